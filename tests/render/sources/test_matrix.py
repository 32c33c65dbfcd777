"""Every codec and container that ffmpeg writes: samples as ffmpeg decodes them, and the low band's null.

Each is tried with one rate and channel count; with `pytest -m slow`, with all.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from presets.schema import frames_at
from render.clip import ArrayClip, open_clip

CD, DVD = (24000, 44100, 48000), (44100, 48000)
ANY, STEREO, FIVE = (1, 2, 6, 8), (1, 2), (1, 2, 6)

CODECS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "u8.wav": ("-c:a pcm_u8", CD, ANY),
    "16.wav": ("-c:a pcm_s16le", CD, ANY),
    "24.wav": ("-c:a pcm_s24le", CD, ANY),
    "32.wav": ("-c:a pcm_s32le", CD, ANY),
    "float.wav": ("-c:a pcm_f32le", CD, ANY),
    "double.wav": ("-c:a pcm_f64le", CD, ANY),
    "alaw.wav": ("-c:a pcm_alaw", CD, ANY),
    "mulaw.wav": ("-c:a pcm_mulaw", CD, ANY),
    "rf64.wav": ("-c:a pcm_s24le -rf64 always", CD, ANY),
    "ms.wav": ("-c:a adpcm_ms", CD, STEREO),
    "ima.wav": ("-c:a adpcm_ima_wav", CD, STEREO),
    "mp3.wav": ("-c:a libmp3lame -f wav", CD, STEREO),
    "a.w64": ("-c:a pcm_s16le", CD, ANY),
    "16.aiff": ("-c:a pcm_s16be", CD, ANY),
    "float.aif": ("-c:a pcm_f32be -f aiff", CD, ANY),
    "sowt.aifc": ("-c:a pcm_s16le -f aiff", CD, ANY),
    "a.au": ("-c:a pcm_s24be", CD, ANY),
    "be.caf": ("-c:a pcm_s24be", CD, ANY),
    "float.caf": ("-c:a pcm_f32le", CD, ANY),
    "alac.caf": ("-c:a alac", CD, FIVE),
    "a.flac": ("-c:a flac", CD, ANY),
    "flac.oga": ("-c:a flac", CD, ANY),
    "flac.mka": ("-c:a flac", CD, ANY),
    "alac.m4a": ("-c:a alac", CD, FIVE),
    "pcm.mov": ("-c:a pcm_s24le", CD, ANY),
    "a.wv": ("-c:a wavpack", CD, ANY),
    "a.tta": ("-c:a tta", CD, ANY),
    "a.mp3": ("-c:a libmp3lame -q:a 2", CD, STEREO),
    "cbr.mp3": ("-c:a libmp3lame -b:a 128k -write_xing 0", CD, STEREO),
    "a.mp2": ("-c:a mp2", CD, STEREO),
    "vorbis.ogg": ("-c:a libvorbis", CD, ANY),
    "vorbis.webm": ("-c:a libvorbis", CD, ANY),
    "a.opus": ("-c:a libopus", (24000, 48000), ANY),
    "opus.mkv": ("-c:a libopus", (24000, 48000), ANY),
    "a.m4a": ("-c:a aac", CD, ANY),
    "a.aac": ("-c:a aac", CD, ANY),
    "aac.ts": ("-c:a aac", CD, ANY),
    "a.ac3": ("-c:a ac3", DVD, FIVE),
    "a.eac3": ("-c:a eac3", DVD, FIVE),
    "dca.mka": ("-c:a dca -strict -2", DVD, FIVE),
    "a.wma": ("-c:a wmav2", DVD, STEREO),
    "mp3.avi": ("-c:a libmp3lame", CD, STEREO),
}
FULL = [(name, rate, channels) for name, (_, rates, counts) in CODECS.items()
        for rate, channels in product(rates, counts)]  # fmt: skip


def sampled() -> list[tuple[str, int, int]]:
    """One rate and channel count of each codec, so that every rate and count occurs in some codec."""
    chosen = []
    for index, (name, (_, rates, counts)) in enumerate(CODECS.items()):
        chosen.append((name, rates[index % len(rates)], counts[(index // 2) % len(counts)]))
    return chosen


@pytest.mark.parametrize(("name", "rate", "channels"), sampled())
def test_a_file_is_read_as_ffmpeg_reads_it(
    name: str, rate: int, channels: int, tmp_path: Path, heard_by_ffmpeg: Any, ffmpeg: Any, tones: Any
) -> None:
    check(name, rate, channels, tmp_path, heard_by_ffmpeg, ffmpeg, tones)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate", "channels"), FULL)
def test_a_file_of_any_rate_and_channels_is_read_as_ffmpeg_reads_it(
    name: str,
    rate: int,
    channels: int,
    tmp_path: Path,
    heard_by_ffmpeg: Any,
    ffmpeg: Any,
    tones: Any,
    noise_model: Any,
    null_db: Callable[..., float],
    rendered: Callable[..., np.ndarray],
) -> None:
    path = check(name, rate, channels, tmp_path, heard_by_ffmpeg, ffmpeg, tones)
    with open_clip(path, tmp_path) as clip:
        samples = clip.read(0, frames_at(0.5, clip.rate) or 0)
        heard = ArrayClip(samples, clip.rate)
        out = rendered(heard, noise_model(), cutoff=4000.0)
    assert out.shape == (channels, -(-samples.shape[1] * 48000 // clip.rate))
    if clip.rate == 48000:
        assert null_db(out, samples, 4000.0, 48000) < -90


def check(
    name: str, rate: int, channels: int, folder: Path, heard_by_ffmpeg: Any, ffmpeg: Any, tones: Any
) -> Path:
    path = folder / name
    ffmpeg("-i", tones(channels, rate), *CODECS[name][0].split(), path)
    expected = heard_by_ffmpeg(path, channels)
    with open_clip(path, folder) as clip:
        assert (clip.channels, clip.frames) == expected.shape
        assert np.abs(clip.read(0, clip.frames) - expected).max() < 1e-6
        assert clip.shortfall is None
    return path
