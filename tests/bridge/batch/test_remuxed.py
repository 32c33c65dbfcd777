from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from bridge.batch.plan import Item
from bridge.batch.remuxed import check_video, remuxed
from bridge.batch.run import Event, Order, Task
from bridge.client.model_choice import Choice
from bridge.wire.messages import Model
from presets.errors import InputError, OutputError
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


def test_videos_get_their_sound_back_whatever_their_names_and_their_neighbours(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    out = tmp_path / "out"
    out.mkdir()
    sine, picture = ["-f", "lavfi", "-i", "sine=duration=1"], ["-f", "lavfi", "-i", "testsrc=duration=1"]
    for arguments in (
        [*sine, *picture, tmp_path / "film.mov"],
        [*sine, out / "film.wav"],
    ):
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)], check=True)
    film = Item(tmp_path / "film.mov", out / "film.wav")
    name = "odd" if sys.platform == "darwin" else os.fsdecode(b"odd\xff")  # APFS accepts only UTF-8
    odd = Item(tmp_path / f"{name}.mov", out / f"{name}.wav")
    shutil.copy(film.source, odd.source)
    shutil.copy(film.out, odd.out)
    lost = Item(film.source, out / "lost.wav")
    lost.out.touch()

    def batch() -> Generator[Event]:
        yield Event(film, "progress")
        yield Event(film, "done", report=REPORT)
        yield Event(lost, "done", report=REPORT)
        yield Event(odd, "done", report=REPORT)

    tasks = [Task(item, ORDER) for item in (film, lost, odd)]
    events = list(remuxed(batch(), tasks))
    assert [event.what for event in events] == ["progress", "done", "failed", "done"]
    assert (out / "film.mov").is_file()
    assert odd.out.with_suffix(".mov").is_file()
    again = list(remuxed((Event(film, "done", report=REPORT) for _ in range(1)), tasks))
    assert "exists" in str(again[0].error)
    skipped = list(remuxed((Event(film, "skipped") for _ in range(1)), tasks))
    assert [event.what for event in skipped] == ["skipped"]


def test_what_could_not_go_back_is_refused_before_it_is_rendered(tmp_path: Path) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not on PATH")
    sine, picture = ["-f", "lavfi", "-i", "sine=duration=1"], ["-f", "lavfi", "-i", "testsrc=duration=1"]
    for arguments in ([*sine, tmp_path / "song.wav"], [*sine, *picture, tmp_path / "film.avi"]):
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)], check=True)
    (tmp_path / "torn.mp4").write_bytes(b"no film")
    for name, kind, why in (
        ("song.wav", InputError, "holds no picture"),
        ("film.avi", OutputError, "writes .mkv"),
        ("torn.mp4", InputError, "ffprobe says"),
    ):
        with pytest.raises(kind, match=why):
            check_video(Task(Item(tmp_path / name, tmp_path / "out.wav"), ORDER))
