from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile


@pytest.fixture
def ffmpeg() -> Callable[..., bytes]:
    """`ffmpeg(*arguments)`: runs it and returns its standard output; skips the test where there is none."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")

    def run(*arguments: Any) -> bytes:
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True)
        said = done.stderr.decode(errors="replace").strip()
        lacks = ("Unknown encoder", "not a suitable output format", "invalid block size")
        if any(lack in said for lack in lacks):
            pytest.skip(f"this ffmpeg lacks it: {said.splitlines()[0]}")
        assert done.returncode == 0, said
        return done.stdout

    return run


@pytest.fixture
def heard_by_ffmpeg(ffmpeg: Callable[..., bytes]) -> Callable[[Path, int], np.ndarray]:
    """A file as `ffmpeg -f f32le` decodes it, (channels, frames)."""

    def run(path: Path, channels: int) -> np.ndarray:
        flat = np.frombuffer(ffmpeg("-i", path, "-map", "0:a:0", "-f", "f32le", "-"), "<f4")
        return flat.reshape(-1, channels).T

    return run


@pytest.fixture
def tones(tmp_path: Path) -> Callable[..., Path]:
    """`tones(channels, rate, seconds)`: a float WAV with 300 (n + 1) Hz in channel n."""

    def make(channels: int = 2, rate: int = 44100, seconds: float = 1.0, name: str = "tones.wav") -> Path:
        t = np.arange(round(seconds * rate)) / rate
        signal = np.stack([0.3 * np.sin(2 * np.pi * 300 * (n + 1) * t) for n in range(channels)])
        path = tmp_path / name
        soundfile.write(path, signal.T, rate, subtype="FLOAT", format="WAV")
        return path

    return make


@pytest.fixture
def order_of() -> Callable[[np.ndarray, int], list[int]]:
    """The number of the loudest tone of `tones` in each channel."""

    def told(samples: np.ndarray, rate: int) -> list[int]:
        n = samples.shape[1]
        t = np.arange(n) / rate
        probes = np.exp(-2j * np.pi * 300 * np.arange(1, 9)[:, None] * t) * np.hanning(n)
        return [int(k) + 1 for k in np.abs(samples @ probes.T).argmax(axis=1)]

    return told
