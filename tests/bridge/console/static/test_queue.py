"""Renders under way in Chromium: watched and cancelled in two tabs, across a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.wire.home import find_home, read_connection

pytestmark = pytest.mark.browser


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """3 minutes that end at 8 kHz: enough for a render to be under way when it is looked at."""
    path = tmp_path / "field recording.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(1).standard_normal(180 * 16000), 16000)
    return path


def begin_render(tab: Any) -> str:
    """Has all of the clip that is shown rendered; the job, once its bar has moved."""
    page = tab.page
    page.get_by_role("button", name="Render all of it").click()
    bar = "document.querySelector('.takes tr[data-state=running] progress')"
    tab.until(f"{bar}?.value > 0")
    before = page.evaluate(f"{bar}.value")
    tab.until(f"!{bar} || {bar}.value > {before}")
    job: str = page.locator("#jobs [data-state=running]").first.get_attribute("data-job")
    return job


def test_a_render_is_watched_and_cancelled_in_two_tabs_that_agree(
    console: Any, visit: Callable[..., Any], long_clip: Path
) -> None:
    one, other = visit(console), visit(console, 360, 740)
    one.page.get_by_label("or name a path").fill(str(long_clip))
    one.page.get_by_role("button", name="Open", exact=True).click()
    one.looked_at(long_clip)
    job = begin_render(one)
    for tab in (one, other):
        tab.until(f"document.querySelector(\"#jobs [data-job='{job}'] progress\")?.value > 0")
    other.page.get_by_role("button", name=f"Cancel {long_clip.name}", exact=True).click()
    for tab in (one, other):
        tab.page.wait_for_selector(f"#jobs [data-job='{job}'][data-state=cancelled]")
        tab.page.wait_for_selector(".takes tr[data-state=cancelled]")
        assert tab.page.locator("#jobs progress").count() == 0
    texts = [tab.page.locator("#jobs .state").all_inner_texts() for tab in (one, other)]
    assert texts[0] == texts[1]
    one.page.get_by_role("button", name=f"Forget {long_clip.name}", exact=True).click()
    other.page.wait_for_selector(f"#jobs [data-job='{job}']", state="detached")
    other.close(long_clip)
    one.page.wait_for_selector(f"h3:text-is('{long_clip.name}')", state="detached")


def test_an_engine_that_is_killed_is_told_of_and_the_page_goes_on_when_it_is_back(
    start_engine: Callable[..., Any],
    begin: Callable[[Path], Any],
    visit: Callable[..., Any],
    long_clip: Path,
) -> None:
    engine = start_engine()
    console = begin(engine.home.state)
    tab = visit(console)
    page = tab.page
    with tab.dropped(long_clip):
        job = begin_render(tab)
        engine.end()
        page.wait_for_selector("#banner:has-text('The engine is gone')")
        assert page.locator("#engine-state").inner_text() == "no engine"
        page.get_by_role("button", name="Start an engine").click()
        page.wait_for_selector("#engine-state[data-state=here]")
        page.wait_for_selector("#banner", state="hidden")
        page.wait_for_selector(f"#jobs [data-job='{job}'][data-state=done]")
        page.wait_for_selector(".takes tbody tr:first-child.heard")
    connection = read_connection(find_home(console.state))
    assert connection is not None
    os.kill(connection.pid, signal.SIGTERM)
