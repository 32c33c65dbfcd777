"""The page in Chromium, used as a user would: by mouse, by keyboard, in two tabs, with the engine killed."""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.client.client import Client
from bridge.wire.home import find_home, read_connection

pytestmark = pytest.mark.browser

RATE = 48000
WAIT_MS = 60_000


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """`visit(console, width, height, ...)`: a tab with the page; its console must stay silent."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def go(console: Any, width: int = 1280, height: int = 900, **more: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(console.url)
        assert page.url == f"{console.origin}/"
        page.wait_for_selector("#engine-state[data-state=here]")
        return page

    yield go
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


@contextmanager
def a_clip(console: Any, page: Any, path: Path) -> Iterator[None]:
    """Drops a file on the page, and closes it in the end."""
    content = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name));
            const drop = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
            document.getElementById("drop").dispatchEvent(drop);
        }""",
        [path.name, content],
    )
    page.wait_for_selector(f"h3:text-is('{path.name}')")
    page.wait_for_selector(".actions button.main:not([disabled])")
    yield
    page.get_by_role("button", name=f"Close {path.name}").first.click()
    page.wait_for_selector(f"h3:text-is('{path.name}')", state="detached")


def until(page: Any, condition: str) -> None:
    """Waits for a condition in the page; playwright's own way evaluates text there, which the CSP forbids."""
    deadline_s = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline_s, condition
        time.sleep(0.05)


def hear(page: Any, button: str) -> None:
    """Presses a button that renders, and waits until the new take is in the player."""
    count = page.locator(".takes tbody tr").count()
    page.get_by_role("button", name=button).click()
    until(page, f"document.querySelectorAll('.takes tbody tr').length === {count + 1}")
    page.wait_for_selector(".takes tbody tr:first-child.heard")


def low_band(samples: NDArray[Any], edge_hz: float) -> NDArray[Any]:
    from scipy.signal import firwin, oaconvolve

    taps = firwin(4097, edge_hz, fs=RATE, window=("kaiser", 14.0))
    return oaconvolve(samples, taps[:, None], mode="same", axes=0)[4096:-4096]


def test_a_clip_is_dropped_cut_previewed_compared_kept_and_downloaded(
    console: Any, visit: Callable[..., Any], source: Path
) -> None:
    page = visit(console)
    with a_clip(console, page, source):
        line = page.get_by_role("slider", name="Cut-off")
        assert 3500 < int(line.get_attribute("aria-valuenow")) < 4600
        assert "as found" in line.get_attribute("aria-valuetext")

        box = line.bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + box["height"] / 2 - 60, steps=5)
        page.mouse.up()
        dragged = float(page.get_by_label("cutoff", exact=True).input_value())
        assert dragged > 5000
        assert page.locator(".knob.changed label").all_inner_texts() == ["cutoff"]
        line.press("ArrowDown")
        assert float(page.get_by_label("cutoff", exact=True).input_value()) == pytest.approx(
            dragged - 100, abs=10
        )
        page.get_by_label("cutoff", exact=True).fill("3600")
        page.get_by_label("cutoff", exact=True).press("Tab")
        assert line.get_attribute("aria-valuenow") == "3600"

        start, end = page.locator(".actions input[type=number]").all()
        start.fill("0.5")
        end.fill("2.5")
        end.press("Tab")
        hear(page, "Preview selection")
        assert page.locator(".takes tbody small").inner_text() == "music: cutoff 3600"

        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Space")
        until(page, "globalThis.AirbandPlayer.active?.now() > 0.1")
        gains = "[...AirbandPlayer.active.voices.values()].map(({gain}) => gain.gain.value > 0.5).join()"
        until(page, f"{gains} === 'false,true,false'")
        page.keyboard.press("a")
        until(page, f"{gains} === 'true,false,false'")
        page.keyboard.press("g")
        until(page, f"{gains} === 'false,false,true'")
        assert page.locator(".player [aria-pressed=true]").inner_text() == "G Only what was added"
        lengths = page.evaluate("[...AirbandPlayer.active.buffers.values()].map((each) => each.length)")
        assert lengths == [2 * RATE] * 3
        assert page.evaluate("[...AirbandPlayer.active.voices.values()].every(({source}) => source.loop)")
        page.keyboard.press("Space")
        page.evaluate("AirbandPlayer.active.seek(1.5)")
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("AirbandPlayer.active.now()") == pytest.approx(0.5)

        page.get_by_label("Keep as preset").fill("by-hand")
        page.get_by_role("button", name="Save preset").click()
        page.wait_for_selector("#said:text-is('kept as by-hand')")
        assert page.locator(".settings select").first.input_value() == "by-hand"
        assert page.get_by_label("cutoff", exact=True).input_value() == "3600"
        assert page.locator(".knob.changed").count() == 0

        hear(page, "Render all of it")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download: take 2").click()
        assert download.value.suggested_filename == "kick-airband.wav"
        result = soundfile.read(download.value.path())[0]
        given = soundfile.read(source)[0]
        assert result.shape == given.shape
        null = low_band(result - given, 0.85 * 3600)
        assert 20 * np.log10(np.abs(null).max() / np.abs(given).max()) < -90
        assert np.abs(result - given).max() > 0.001


def test_a_job_is_watched_and_cancelled_in_two_tabs_that_agree(
    console: Any, visit: Callable[..., Any]
) -> None:
    one, other = visit(console), visit(console, 360, 740)
    noise = (0.1 * np.random.default_rng(1).standard_normal((1, 600 * 16000))).astype("f4")
    with Client.connect(state=console.state, start=False) as client:
        job = client.submit((noise, 16000), "music").id
    for page in (one, other):
        page.wait_for_selector(f"#jobs [data-job='{job}'][data-state=running]")
        until(page, f"document.querySelector(\"#jobs [data-job='{job}'] progress\").value > 0")
    until(one, f"document.querySelector(\"[data-job='{job}'] .left\").textContent.endsWith(' left')")
    other.locator(f"[data-job='{job}']").get_by_role("button", name="Cancel pcm", exact=True).click()
    for page in (one, other):
        page.wait_for_selector(f"#jobs [data-job='{job}'][data-state=cancelled]")
    texts = [page.locator("#jobs .state").all_inner_texts() for page in (one, other)]
    assert texts[0] == texts[1]
    one.locator(f"[data-job='{job}']").get_by_role("button", name="Forget pcm", exact=True).click()
    other.wait_for_selector(f"#jobs [data-job='{job}']", state="detached")


def test_an_engine_that_is_killed_is_told_of_and_the_page_goes_on_when_it_is_back(
    start_engine: Callable[..., Any], begin: Callable[[Path], Any], visit: Callable[..., Any], source: Path
) -> None:
    engine = start_engine()
    console = begin(engine.home.state)
    page = visit(console)
    with a_clip(console, page, source):
        noise = (0.1 * np.random.default_rng(1).standard_normal((1, 30 * 16000))).astype("f4")
        with Client.connect(state=console.state, start=False) as client:
            job = client.submit((noise, 16000), "music").id
        page.wait_for_selector(f"#jobs [data-job='{job}'][data-state=running]")
        engine.end()
        page.wait_for_selector("#banner:has-text('The engine is gone')")
        page.get_by_role("button", name="Start an engine").click()
        page.wait_for_selector("#engine-state[data-state=here]")
        page.wait_for_selector("#banner", state="hidden")
        page.wait_for_selector(f"#jobs [data-job='{job}'][data-state=done]")
        hear(page, "Preview selection")
    connection = read_connection(find_home(console.state))
    assert connection is not None
    os.kill(connection.pid, signal.SIGTERM)


def test_a_batch_is_started_and_its_report_plays(
    console: Any, visit: Callable[..., Any], source: Path, tmp_path: Path
) -> None:
    page = visit(console)
    (tmp_path / "jobs.csv").write_text("path,seed\nkick.wav,1\nlost.wav,2\n")
    page.get_by_text("Watch a folder, render").click()
    page.get_by_label("Folder or manifest").fill(str(tmp_path / "jobs.csv"))
    page.get_by_label("Results to").fill(str(tmp_path / "out"))
    page.get_by_role("button", name="Render it once").click()
    page.wait_for_selector(".batch[data-state=done]")
    assert page.locator(".batch .about").inner_text() == "2 files: 1 rendered, 0 done already, 1 failed"
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Report of jobs.csv").click()
    report = opened.value
    report.wait_for_selector(".player")
    report.locator(".player").first.focus()
    report.keyboard.press("Space")
    until(report, "globalThis.AirbandPlayer.active?.now() > 0.1")
    report.close()
    page.get_by_role("button", name="Remove jobs.csv").click()
    page.wait_for_selector(".batch", state="detached")


@pytest.mark.skipif(find_spec("axe_playwright_python") is None, reason="needs axe-playwright-python")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(
    console: Any, visit: Callable[..., Any], source: Path, width: int, scheme: str
) -> None:
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    axe = (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    page = visit(console, width, 900, color_scheme=scheme)
    with a_clip(console, page, source):
        hear(page, "Preview selection")
        for summary in page.locator("summary").all():
            summary.click()
        page.evaluate(axe)
        found = page.evaluate("axe.run().then(({violations}) => violations)")
        serious = [
            (each["id"], each["impact"], [node["html"] for node in each["nodes"]][:3])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
