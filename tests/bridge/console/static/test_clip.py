"""A clip in Chromium, from the drop to the download."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.client.client import Client

pytestmark = pytest.mark.browser

RATE = 48000
BRIGHTNESS = """() => {
    const shown = document.querySelector(".spectrum canvas");
    const {width, height} = shown;
    const canvas = Object.assign(document.createElement("canvas"), {width, height});
    const pen = canvas.getContext("2d", {willReadFrequently: true});
    pen.drawImage(shown, 0, 0);
    const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
    const share = (parseFloat(document.querySelector(".cutoff").style.top) / 100) * canvas.height;
    const mean = (from, to) => {
        let sum = 0;
        for (let n = 4 * canvas.width * Math.round(from); n < 4 * canvas.width * Math.round(to); n += 4) {
            sum += data[n] + data[n + 1] + data[n + 2];
        }
        return sum / 3 / canvas.width / Math.max(1, Math.round(to) - Math.round(from));
    };
    return [mean(0, share - 12), mean(share + 12, canvas.height)];
}"""
"""Brightness of the spectrogram above and below its line, 0 to 255."""


def low_band(samples: NDArray[Any], edge_hz: float) -> NDArray[Any]:
    from scipy.signal import firwin, oaconvolve

    taps = firwin(4097, edge_hz, fs=RATE, window=("kaiser", 14.0))
    return oaconvolve(samples, taps[:, None], mode="same", axes=0)[4096:-4096]


def test_a_clip_is_dropped_cut_previewed_compared_kept_and_downloaded(
    console: Any, visit: Callable[..., Any], source: Path
) -> None:
    tab = visit(console)
    page = tab.page
    with tab.dropped(source):
        line = page.get_by_role("slider", name="Cut-off")
        assert 3500 < int(line.get_attribute("aria-valuenow")) < 4600
        assert "as found" in line.get_attribute("aria-valuetext")
        tab.until(f"({BRIGHTNESS})()[1] > 30")
        above, below = page.evaluate(BRIGHTNESS)
        assert above < below / 10  # the end of the band is visible

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
        tab.hear("Preview selection")
        assert page.locator(".takes tbody small").inner_text() == "music: cutoff 3600"

        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Space")
        tab.until("globalThis.AirbandPlayer.active?.now() > 0.1")
        gains = "[...AirbandPlayer.active.voices.values()].map(({gain}) => gain.gain.value > 0.5).join()"
        tab.until(f"{gains} === 'false,true,false'")
        page.keyboard.press("a")
        tab.until(f"{gains} === 'true,false,false'")
        page.keyboard.press("g")
        tab.until(f"{gains} === 'false,false,true'")
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

        tab.hear("Render all of it")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download: take 2").click()
        assert download.value.suggested_filename == "kick-airband.wav"
        result = soundfile.read(download.value.path())[0]
        given = soundfile.read(source)[0]
        assert result.shape == given.shape
        null = low_band(result - given, 0.85 * 3600)
        assert 20 * np.log10(np.abs(null).max() / np.abs(given).max()) < -90
        assert np.abs(result - given).max() > 0.001


def test_a_take_that_is_done_before_its_beginning_is_answered_is_brought_to_the_player(
    console: Any, visit: Callable[..., Any], source: Path
) -> None:
    tab = visit(console)

    def answer_late(route: Any) -> None:
        answer = route.fetch()
        with Client.connect(state=console.state, start=False) as client:
            client.job(answer.json()["job"]).wait()
        time.sleep(1.0)  # the page learns of the end in a quarter of that
        route.fulfill(response=answer)

    with tab.dropped(source):
        tab.page.route("**/api/clips/*/takes", answer_late)
        tab.hear("Preview selection")
