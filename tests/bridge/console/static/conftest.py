"""Tabs of Chromium with the console's page, used as a user would."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_S = 60.0


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@dataclass
class Tab:
    """A tab with the page."""

    page: Any

    def until(self, condition: str) -> None:
        """Waits for a condition in the page; playwright's own wait evaluates text, which the CSP forbids."""
        deadline_s = time.monotonic() + WAIT_S
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline_s, condition
            time.sleep(0.05)

    @contextmanager
    def dropped(self, path: Path) -> Iterator[None]:
        """Drops a file on the page; closes the clip at the end of the block."""
        content = base64.b64encode(path.read_bytes()).decode()
        self.page.evaluate(
            """([name, content]) => {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                const data = new DataTransfer();
                data.items.add(new File([bytes], name));
                const drop = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
                document.getElementById("drop").dispatchEvent(drop);
            }""",
            [path.name, content],
        )
        self.looked_at(path)
        yield
        self.close(path)

    def looked_at(self, path: Path) -> None:
        """Waits until a clip is shown and can be rendered."""
        self.page.wait_for_selector(f"h3:text-is('{path.name}')")
        self.page.wait_for_selector(".actions button.main:not([disabled])")

    def close(self, path: Path) -> None:
        self.page.get_by_role("button", name=f"Close {path.name}").first.click()
        self.page.wait_for_selector(f"h3:text-is('{path.name}')", state="detached")

    def hear(self, button: str) -> None:
        """Presses a button that renders, and waits until the new take is in the player."""
        count = self.page.locator(".takes tbody tr").count()
        self.page.get_by_role("button", name=button).click()
        self.until(f"document.querySelectorAll('.takes tbody tr').length === {count + 1}")
        self.page.wait_for_selector(".takes tbody tr:first-child.heard")


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Tab]]:
    """`visit(console, width, height, ...)`: a tab with the page; its JavaScript console must stay silent."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def go(console: Any, width: int = 1280, height: int = 900, **more: Any) -> Tab:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(1000 * WAIT_S)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(console.url)
        assert page.url == f"{console.origin}/"
        page.wait_for_selector("#engine-state[data-state=here]")
        return Tab(page)

    yield go
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []
