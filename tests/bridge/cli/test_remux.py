"""A film in, a film out, through the command and a live engine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

RATE_HZ = 48000


def ffmpeg(*arguments: Any) -> bytes:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg and ffprobe are not on PATH")
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.fixture
def film(tmp_path: Path, dull: NDArray[np.float32]) -> Path:
    """Two seconds of picture with two streams of sound: a tone, then noise that ends at 4 kHz."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "film.mkv"
    soundfile.write(tmp_path / "noise.wav", dull.T, RATE_HZ, "FLOAT")
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=2"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={RATE_HZ}:duration=2"]
    streams = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "mpeg4", "-c:a", "flac"]
    ffmpeg(*picture, *tone, "-i", tmp_path / "noise.wav", *streams, path)
    return path


def sound(path: Path, stream: int) -> NDArray[np.float32]:
    flat = np.frombuffer(ffmpeg("-i", path, "-map", f"0:a:{stream}", "-f", "f32le", "-"), "<f4")
    return flat.reshape(2 * RATE_HZ, -1)


def picture(path: Path) -> bytes:
    return ffmpeg("-i", path, "-map", "0:v", "-c", "copy", "-f", "streamhash", "-")


def test_a_film_comes_back_with_the_chosen_sound_rendered(
    airband: Callable[..., Any], engine: Any, film: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("render", film, "-o", out, "--stream", 1, "--remux", "--state", engine.home.state)
    said = airband(*command, "--model", "draft")
    assert said.code == 0, said
    made = out / "film.mkv"
    assert picture(made) == picture(film)
    assert np.array_equal(sound(made, 0), sound(film, 0))
    stem = soundfile.read(out / "film.wav", dtype="float32")[0]
    assert np.array_equal(sound(made, 1), stem)
    before, after = (np.abs(np.fft.rfft(sound(path, 1)[:, 0])) ** 2 for path in (film, made))
    low, high = slice(200, int(0.85 * 4000 * 2)), slice(5000 * 2, None)
    assert np.allclose(after[low].sum(), before[low].sum(), rtol=1e-3)
    assert after[high].sum() > 1e3 * before[high].sum()
    again = airband(*command, "--model", "draft")
    assert (again.code, "1 done already" in again.out or "skipped" in again.out) == (0, True), again


def test_a_selection_of_a_film_is_refused(airband: Callable[..., Any], engine: Any, film: Path) -> None:
    said = airband("render", film, "-o", film.parent, "--remux", "--start", 1, "--state", engine.home.state)
    assert said.code == 2
    assert "--remux needs the whole stream" in said.err


def test_a_dry_run_tells_what_is_no_film(
    airband: Callable[..., Any], engine: Any, film: Path, tmp_path: Path
) -> None:
    (film.parent / "noise.wav").symlink_to(tmp_path / "noise.wav")
    shutil.copy(film, film.parent / "other.mkv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.mkv").touch()
    said = airband(
        "render", film.parent, "-o", tmp_path / "out", "--remux", "--dry-run", "--state", engine.home.state
    )
    assert f"{film} -> {tmp_path / 'out' / 'film.wav'} (2.0 s): would be rendered" in said.out
    assert "noise.wav: holds no picture; --remux is for videos" in said.out
    assert "other.mkv: exists and is not the result" in said.out
    assert "1 would be rendered" in said.out


def test_what_is_no_film_is_not_rendered(
    airband: Callable[..., Any], engine: Any, film: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = airband("render", tmp_path / "noise.wav", "-o", out, "--remux", "--state", engine.home.state)
    assert said.code == 3
    assert "noise.wav: holds no picture; --remux is for videos" in said.out
    assert not out.exists()
