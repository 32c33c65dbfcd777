"""The page about a batch: its content, and how Chromium displays it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.batch.plan import Item
from bridge.batch.run import Event
from bridge.report.page import write
from presets.errors import InputError, OutputError
from presets.report import RenderReport, SourceReport
from presets.schema import Preset
from render.clip import ArrayClip
from render.files.publish import deliver
from render.files.sidecar import StemRecord

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RATE = 48000
HOSTILE = "<!--<script>&\"'.wav"


@pytest.fixture
def events(tmp_path: Path, report: RenderReport, dull: NDArray[np.float32]) -> list[Event]:
    """Three clips with a tone at 10 kHz added, one of them with a hostile name, and a failure."""
    found = []
    for number, name in enumerate(("kick.wav", "snare.wav", HOSTILE)):
        source, out = tmp_path / name, tmp_path / "out" / name
        given = np.tile(np.roll(dull, 1000 * number, axis=1), 1 if number else 6)  # the first is 12 s long
        soundfile.write(source, given.T, RATE, "FLOAT")
        tone = 0.05 * np.sin(2 * np.pi * 10000 * np.arange(given.shape[1]) / RATE)
        frames = given.shape[1]
        about = SourceReport(rate_hz=RATE, frames=frames, first_frame=0, end_frame=frames, peak=0.3)
        said = msgspec.structs.replace(report, source=about, frames=frames)
        record = StemRecord(name, "music", Preset(), said)
        deliver(ArrayClip((given + tone).astype(np.float32), RATE), out, record)
        found.append(Event(Item(source, out), "done", seconds=1.0 + number, report=said))
    lost = Item(tmp_path / "lost.wav", tmp_path / "out" / "lost.wav")
    return [*found, Event(lost, "failed", error=InputError("lost.wav: </script> no such file"))]


def data(page: Path) -> dict[str, Any]:
    match = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert match
    said: dict[str, Any] = json.loads(match[1])
    return said


def test_three_clips_are_in_one_small_file_that_needs_no_other(tmp_path: Path, events: list[Event]) -> None:
    page = tmp_path / "report.html"
    write(page, events, title="Airband <test>")
    text = page.read_text()
    assert len(text) < 3_000_000
    assert "<h1>Airband &lt;test></h1>" in text
    assert not re.search(r"""(?:src|href)=["'](?!#)|https?://|@import|url\(""", text)
    said = data(page)
    assert said["summary"] == "3 rendered, 0 done already, 1 failed; 3 to hear below"
    assert [row["state"] for row in said["rows"]] == ["failed"] + ["rendered"] * 3  # failures first
    assert said["rows"][0]["what"] == "lost.wav: </script> no such file"
    assert [version["key"] for version in said["clips"][0]["versions"]] == ["a", "b", "g"]
    assert text.count("</script>") == 2


def test_a_source_that_changed_is_told_and_not_shown(tmp_path: Path, events: list[Event]) -> None:
    soundfile.write(events[0].item.source, np.zeros((10, 2)), RATE)
    write(tmp_path / "report.html", events, title="x")
    said = data(tmp_path / "report.html")
    assert len(said["clips"]) == 2
    assert "has changed since" in said["rows"][1]["what"]


def rendered(source: Path, given: NDArray[np.float32], report: RenderReport, preset: Preset) -> Event:
    """A render of `given`, the preset's range of `source`, with a tone at 10 kHz added."""
    frames, out = given.shape[1], source.parent / "out" / "a.wav"
    tone = 0.005 * np.sin(2 * np.pi * 10000 * np.arange(frames) / RATE)
    about = SourceReport(rate_hz=RATE, frames=frames, first_frame=0, end_frame=frames, peak=0.3)
    said = msgspec.structs.replace(report, source=about, frames=frames)
    deliver(ArrayClip((given + tone).astype(np.float32), RATE), out, StemRecord("a", "music", preset, said))
    return Event(Item(source, out), "done", report=said)


def added_db(page: Path) -> float:
    (clip,) = data(page)["clips"]
    return float(dict(clip["figures"])["added, against all"].removesuffix(" dB"))


def test_a_source_that_broke_off_is_shown_as_far_as_it_goes(
    tmp_path: Path, report: RenderReport, dull: NDArray[np.float32]
) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, np.tile(dull, 2).T, RATE, "FLOAT")
    source.write_bytes(source.read_bytes()[: -4 * dull.size])
    event = rendered(source, dull, report, Preset(accept_truncated=True))
    write(tmp_path / "report.html", [event], title="x")
    assert added_db(tmp_path / "report.html") < -15


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on PATH")
def test_the_stream_that_was_rendered_is_the_one_to_hear(
    tmp_path: Path, report: RenderReport, dull: NDArray[np.float32]
) -> None:
    source = tmp_path / "a.mkv"
    for name, samples in (("other.wav", dull[:, ::-1]), ("own.wav", dull)):
        soundfile.write(tmp_path / name, samples.T, RATE, "FLOAT")
    inputs = ("-i", tmp_path / "other.wav", "-i", tmp_path / "own.wav", "-map", "0", "-map", "1")
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c", "copy", source], check=True)
    event = rendered(source, dull, report, Preset(stream=1))
    write(tmp_path / "report.html", [event], title="x")
    assert added_db(tmp_path / "report.html") < -15


def test_a_page_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write(tmp_path / "file" / "report.html", [], title="x")


@pytest.fixture
def opened(tmp_path: Path, events: list[Event]) -> Iterator[Callable[..., Any]]:
    """`opened(width, height)`: the page in Chromium; fails the test at any message of its console."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    write(tmp_path / "report.html", events, title="Airband test")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)

        def open_page(width: int, height: int) -> Any:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto((tmp_path / "report.html").as_uri())
            return page

        yield open_page
        browser.close()
    assert complaints == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_the_page_plays_switches_and_sorts(opened: Callable[..., Any], width: int, height: int) -> None:
    page = opened(width, height)
    assert page.locator("article").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = "[...players.values()][0].picture !== undefined"
    page.locator(".player").first.scroll_into_view_if_needed()
    page.wait_for_function(drawn, timeout=60000)  # the waveform appears before anything is played
    lines = """(() => { const text = document.createRange();
        text.selectNodeContents(document.querySelector('td.state'));
        return text.getClientRects().length; })()"""
    assert page.evaluate(lines) == 1
    player = page.locator(".player").first
    player.focus()
    page.keyboard.press("Space")
    page.wait_for_function("AirbandPlayer.active && AirbandPlayer.active.now() > 0.2", timeout=60000)
    gains = "[...AirbandPlayer.active.voices.values()].map(({gain}) => gain.gain.value)"
    assert [value > 0.5 for value in page.evaluate(gains)] == [True, False, False]
    page.evaluate("AirbandPlayer.active.seek(0)")
    page.keyboard.press("b")
    assert player.locator("[aria-pressed=true]").inner_text() == "B After"
    page.wait_for_function(f"({gains}).map((v) => v > 0.5).join() === 'false,true,false'", timeout=60000)
    page.keyboard.press("g")
    page.evaluate("AirbandPlayer.active.seek(5)")
    page.keyboard.press("Space")
    page.evaluate("AirbandPlayer.active.pause()")  # at its end, space would have started it again
    place = page.evaluate("AirbandPlayer.active.now()")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("AirbandPlayer.active.now()") == pytest.approx(max(place - 1, 0), abs=0.05)
    sounds = """[...AirbandPlayer.active.buffers.values()].map((b) => {
        const s = b.getChannelData(0); let sum = 0; for (const v of s) sum += v * v;
        return [b.length, Math.sqrt(sum / s.length)]; })"""
    (frames_a, before_rms), (frames_b, _), (frames_g, added_rms) = page.evaluate(sounds)
    assert frames_a == frames_b == frames_g == 12 * RATE
    assert before_rms > 0.01
    assert added_rms == pytest.approx(0.05 / 2**0.5, rel=0.1)

    page.locator("th button").nth(4).click()
    page.locator("th button").nth(4).click()
    work = page.locator("#files tbody tr td:nth-child(5)").all_inner_texts()
    assert work == ["3.00", "2.00", "1.00", ""]
    assert page.locator("td.failed").inner_text() == "failed"
    page.locator("#log").check()
    assert float(page.locator(".picture b").first.evaluate("b => b.style.top").rstrip("%")) < 50
