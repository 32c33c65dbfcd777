from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from bridge.batch.plan import Item
from bridge.batch.remuxed import remuxed
from bridge.batch.run import Event, Order, Task
from bridge.client.model_choice import Choice
from bridge.wire.messages import Model
from presets.report import RenderReport, SourceReport
from presets.schema import Preset

ORDER = Order(Preset(), "music", Choice(Model("null", True, "cpu"), "asked for"))
REPORT = RenderReport(
    generated=True,
    cutoff_hz=4000.0,
    cutoff_method="given",
    cutoff_reason="",
    model="null",
    weights_digest="none",
    seed=0,
    stem="full",
    rate_hz=48000,
    channels=1,
    frames=48000,
    peak=0.2,
    source=SourceReport(48000, 48000, 0, 48000, 0.2),
)


def test_videos_get_their_sound_back_and_what_has_no_picture_is_told(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    out = tmp_path / "out"
    out.mkdir()
    sine, picture = ["-f", "lavfi", "-i", "sine=duration=1"], ["-f", "lavfi", "-i", "testsrc=duration=1"]
    for arguments in (
        [*sine, *picture, tmp_path / "film.mov"],
        [*sine, tmp_path / "song.wav"],
        [*sine, out / "film.wav"],
        [*sine, out / "song.wav"],
    ):
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)], check=True)
    film = Item(tmp_path / "film.mov", out / "film.wav")
    song = Item(tmp_path / "song.wav", out / "song.wav")

    def batch() -> Generator[Event]:
        yield Event(film, "progress")
        yield Event(film, "done", report=REPORT)
        yield Event(song, "done", report=REPORT)

    tasks = [Task(film, ORDER), Task(song, ORDER)]
    events = list(remuxed(batch(), tasks))
    assert [event.what for event in events] == ["progress", "done", "failed"]
    assert "holds no picture" in str(events[2].error)
    assert sorted(path.name for path in out.iterdir()) == ["film.mov", "film.wav", "song.wav"]
    again = list(remuxed((Event(film, "done", report=REPORT) for _ in range(1)), tasks))
    assert "exists" in str(again[0].error)
    skipped = list(remuxed((Event(film, "skipped") for _ in range(1)), tasks))
    assert [event.what for event in skipped] == ["skipped"]
