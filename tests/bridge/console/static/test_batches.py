"""A batch in Chromium, and its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_a_batch_is_started_and_its_report_plays(
    console: Any, visit: Callable[..., Any], source: Path, tmp_path: Path
) -> None:
    tab = visit(console)
    page = tab.page
    (tmp_path / "jobs.csv").write_text("path,seed\nkick.wav,1\nlost.wav,2\n")
    page.get_by_text("Watch a folder, render").click()
    page.get_by_label("Folder or manifest").fill(str(tmp_path / "jobs.csv"))
    page.get_by_label("Results to").fill(str(tmp_path / "out"))
    page.get_by_role("button", name="Render it once").click()
    page.wait_for_selector(".batch[data-state=done]")
    assert page.locator(".batch .about").inner_text() == "2 files: 1 rendered, 0 done already, 1 failed"
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Report of jobs.csv").click()
    report = type(tab)(opened.value)
    report.page.wait_for_selector(".player")
    report.page.locator(".player").first.focus()
    report.page.keyboard.press("Space")
    report.until("globalThis.AirbandPlayer.active?.now() > 0.1")
    report.page.close()
    page.get_by_role("button", name="Remove jobs.csv").click()
    page.wait_for_selector(".batch", state="detached")
