"""A stem is put back beside the picture: the same video packets, and sound in sync to the sample."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from presets.errors import OutputError
from presets.schema import make
from render.clip import open_clip
from render.files.encode import Encoding, encode
from render.files.remux import has_picture, remux

RATE = 48000
VIDEO = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=2", "-c:v", "mpeg4", "-bf", "2"]
KINDS = {
    "aac.mp4": ["-c:a", "aac", "-b:a", "256k"],
    "late.mp4": ["-c:a", "aac", "-b:a", "256k"],
    "pcm.mov": ["-c:a", "pcm_s24le"],
    "late.mov": ["-c:a", "pcm_s24le"],
    "vorbis.mkv": ["-c:a", "libvorbis", "-q:a", "8"],
    "late.mkv": ["-c:a", "flac"],
}


def ffmpeg(*arguments: Any) -> bytes:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg and ffprobe are not on PATH")
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.fixture
def film(tmp_path: Path) -> Any:
    """`film(name)`: two seconds of picture with clicks and noise; with `late` the sound starts at 0.25 s."""

    def make_film(name: str) -> Path:
        rng = np.random.default_rng(3)
        noise = (0.1 * rng.standard_normal((RATE * 3 // 2, 2))).astype("<f4")
        raw = tmp_path / "sound.f32"
        raw.write_bytes(noise.tobytes())
        late = ["-itsoffset", "0.25"] if name.startswith("late") else []
        sound = [*late, "-f", "f32le", "-ar", RATE, "-ac", 2, "-i", raw]
        path = tmp_path / name
        maps = ["-map", "1:v", "-map", "0:a"]
        ffmpeg(*sound, *VIDEO[:4], *maps, *VIDEO[4:], *KINDS[name], path)
        return path

    return make_film


def on_the_time_line(path: Path, stream: int = 0) -> np.ndarray:
    """A stream's sound on the picture's time line, from 0 on, with gaps filled."""
    aligned = ["-af", "aresample=async=1:first_pts=0:min_hard_comp=0.0001", "-f", "f32le", "-"]
    return np.frombuffer(ffmpeg("-i", path, "-map", f"0:a:{stream}", *aligned), "<f4").reshape(-1, 2)


def picture(path: Path) -> bytes:
    return ffmpeg("-i", path, "-map", "0:v", "-c", "copy", "-f", "streamhash", "-")


@pytest.mark.parametrize("name", KINDS)
def test_the_sound_is_back_in_its_place_to_the_sample(tmp_path: Path, film: Any, name: str) -> None:
    source = film(name)
    assert has_picture(source)
    stem, out = tmp_path / "stem.wav", tmp_path / f"out{source.suffix}"
    with open_clip(source, tmp_path) as clip:
        encode(clip, stem, Encoding("wav", 32), make(), mask=3)
    remux(source, stem, out, stream=0, peak=0.6)
    before, after = on_the_time_line(source), on_the_time_line(out)
    frames = min(len(before), len(after))
    assert frames > RATE
    assert np.abs(before[:frames] - after[:frames]).max() < 2.0**-20
    assert picture(out) == picture(source)
    with pytest.raises(OutputError, match="exists"):
        remux(source, stem, out, stream=0, peak=0.6)
    assert not list(tmp_path.glob(".airband-*"))


def test_only_the_chosen_stream_is_replaced(tmp_path: Path, film: Any) -> None:
    one = film("pcm.mov")
    both, stem, out = tmp_path / "both.mov", tmp_path / "stem.wav", tmp_path / "out.mov"
    maps = ["-map", "0", "-map", "1:a", "-c", "copy", "-metadata:s:a:1", "language=deu"]
    ffmpeg("-i", one, "-i", one, *maps, both)
    with open_clip(both, tmp_path, stream=1) as clip:
        samples = clip.read(0, clip.frames) * np.float32(0.5)
    from render.clip import ArrayClip

    encode(ArrayClip(samples, RATE), stem, Encoding("wav", 32), make(), mask=3)
    remux(both, stem, out, stream=1, peak=0.6)
    assert np.array_equal(on_the_time_line(out), on_the_time_line(both))
    assert np.allclose(on_the_time_line(out, 1), 0.5 * on_the_time_line(both, 1), atol=1e-6)


def test_what_cannot_be_kept_is_refused(tmp_path: Path, film: Any) -> None:
    source = film("aac.mp4")
    with pytest.raises(OutputError, match=r"\.mkv, \.mov, \.mp4"):
        remux(source, tmp_path / "a.wav", tmp_path / "a.webm", stream=0, peak=0.5)
    with pytest.raises(OutputError, match=r"peak is 1\.200"):
        remux(source, tmp_path / "a.wav", tmp_path / "a.mp4", stream=0, peak=1.2)
    with pytest.raises(OutputError, match="is the source itself"):
        remux(source, tmp_path / "a.wav", source, stream=0, peak=0.5, force=True)
    sound = tmp_path / "a.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", sound)
    assert not has_picture(sound)
