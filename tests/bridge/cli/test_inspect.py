from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Airband = Callable[..., Any]


def test_a_table_tells_of_each_file(airband: Airband, clips: Path) -> None:
    said = airband("inspect", clips, "-r")
    assert said.code == 0, said.err
    assert [line for line in said.out.splitlines() if not line.startswith(" ")] == [
        str(clips / name) for name in ("kick.wav", "snare.flac", "sub/hat.wav")
    ]
    assert "WAV PCM_24, 48000 Hz, 2 ch, 0.83 s" in said.out
    assert said.out.count("falls off a cliff") == 3


def test_json_has_the_cutoff_a_render_takes(airband: Airband, clips: Path) -> None:
    (said,) = airband("inspect", clips / "kick.wav", "--json").events
    assert 3800 < said["cutoff_hz"] < 4300
    assert said["shelf_hz"] == said["cutoff_hz"]
    assert said["faults"]["stereo"] == "stereo"
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_a_file_that_cannot_be_read_is_named_and_passed_over(airband: Airband, clips: Path) -> None:
    (clips / "broken.wav").write_bytes(b"RIFF\0\0\0\0WAVEjunk")
    said = airband("inspect", clips)
    assert said.code == 3
    assert "broken.wav" in said.err
    assert "snare.flac" in said.out
    gone = airband("inspect", clips / "none.wav")
    assert (gone.code, gone.err) == (3, f"airband: {clips / 'none.wav'}: no such file or folder\n")


def test_ctrl_c_says_what_stays(clips: Path) -> None:
    many = clips.parent / "many"
    many.mkdir()
    for number in range(300):
        os.link(clips / "kick.wav", many / f"{number:03}.wav")
    program = "from bridge.cli.app import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "inspect", str(many)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "299.wav" not in out
    assert (process.returncode, err) == (130, "airband: cancelled; no file was changed\n")


def test_a_picture_is_drawn_of_each(airband: Airband, clips: Path, tmp_path: Path) -> None:
    assert airband("inspect", clips, "--plot", tmp_path / "plots").code == 0
    drawn = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert drawn == ["kick.wav.png", "snare.flac.png"]
    assert (tmp_path / "plots" / "kick.wav.png").read_bytes().startswith(b"\x89PNG")


def test_files_of_one_name_have_a_picture_each(airband: Airband, clips: Path, tmp_path: Path) -> None:
    (clips / "sub" / "kick.wav").write_bytes((clips / "sub" / "hat.wav").read_bytes())
    assert airband("inspect", clips, "-r", "--plot", tmp_path / "tree").code == 0
    drawn = sorted(
        path.relative_to(tmp_path / "tree").as_posix() for path in (tmp_path / "tree").rglob("*.png")
    )
    assert drawn == ["kick.wav.png", "snare.flac.png", "sub/hat.wav.png", "sub/kick.wav.png"]
    two = (clips / "kick.wav", clips / "sub" / "kick.wav")
    assert airband("inspect", *two, "--plot", tmp_path / "flat").code == 0
    assert sorted(path.name for path in (tmp_path / "flat").iterdir()) == ["kick.wav-2.png", "kick.wav.png"]


def test_a_picture_that_cannot_be_written_is_the_outputs_fault(
    airband: Airband, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "plots").write_text("a file")
    said = airband("inspect", clips / "kick.wav", "--plot", tmp_path / "plots" / "below")
    assert said.code == 4
    assert "plots is not a folder; choose another" in said.err


def test_a_picture_of_a_name_that_leaves_no_room_for_its_ending_has_a_shorter_one(
    airband: Airband, clips: Path, tmp_path: Path
) -> None:
    long = clips / f"{'k' * 251}.wav"
    (clips / "kick.wav").rename(long)
    assert airband("inspect", long, "--plot", tmp_path / "plots").code == 0
    (picture,) = (tmp_path / "plots").iterdir()
    assert picture.name.startswith("kkk")
    assert picture.read_bytes().startswith(b"\x89PNG")
