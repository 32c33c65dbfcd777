from __future__ import annotations

from math import ceil

import numpy as np
import pytest
import soxr

from render.clip import ArrayClip
from render.resample import resampled, resampled_frames

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000]
PAIRS = [(rate, 48000) for rate in [*RATES, 44099, 192000, 384000, 4000]] + [
    (48000, r) for r in (44100, 88200, 96000)
]


def noise(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(rate).standard_normal((channels, int(seconds * rate)))).astype(
        np.float32
    )


def level_db(error: np.ndarray, signal: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(error.astype(np.float64) ** 2) / np.mean(signal**2) + 1e-30))


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
@pytest.mark.parametrize("frames", [1, 2, 479, 8191, 44101])
def test_the_length_is_the_ceiling_of_the_ratio(rate_in: int, rate_out: int, frames: int) -> None:
    clip = resampled(ArrayClip(noise(1, frames)[:, :frames], rate_in), rate_out)
    assert clip.rate == rate_out
    assert clip.frames == resampled_frames(frames, rate_in, rate_out) == ceil(frames * rate_out / rate_in)
    assert clip.read(0, clip.frames).shape == (1, clip.frames)


def test_lengths_stay_exact_where_floats_do_not() -> None:
    frames = 2**60 + 1
    assert resampled_frames(frames, 44100, 48000) == (frames * 160 + 146) // 147


def test_a_clip_that_has_the_rate_is_left_alone() -> None:
    clip = ArrayClip(noise(0.1, 48000), 48000)
    assert resampled(clip, 48000) is clip


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_a_tone_comes_out_as_the_same_tone_without_lag(rate_in: int, rate_out: int) -> None:
    hz = 0.37 * min(rate_in, rate_out)
    clip = resampled(ArrayClip(np.sin(2 * np.pi * hz * np.arange(2 * rate_in) / rate_in), rate_in), rate_out)
    at = np.arange(rate_out // 2, rate_out * 3 // 2)
    wanted = np.sin(2 * np.pi * hz * at / rate_out)
    assert level_db(clip.read(at[0], len(at))[0] - wanted, wanted) < -85


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_a_stretch_is_that_part_of_the_whole_bit_for_bit(rate_in: int, rate_out: int) -> None:
    source = ArrayClip(noise(2.3, rate_in, 2), rate_in)
    clip = resampled(source, rate_out)
    whole = clip.read(0, clip.frames)
    for start, frames in ((0, 10), (rate_out // 3, rate_out), (clip.frames - 77, 77), (1234, 1)):
        assert np.array_equal(
            resampled(source, rate_out).read(start, frames), whole[:, start : start + frames]
        )
    in_pieces = [clip.read(start, 5000) for start in range(0, clip.frames, 5000)]
    assert np.array_equal(np.concatenate(in_pieces, axis=1)[:, : clip.frames], whole)
    assert not clip.read(clip.frames, 9).any()
    assert not clip.read(-9, 9).any()


@pytest.mark.parametrize(("rate_in", "rate_out"), [pair for pair in PAIRS if pair[0] not in (pair[1], 44099)])
def test_blocks_join_as_one_stream(rate_in: int, rate_out: int) -> None:
    samples = noise(2, rate_in)
    clip = resampled(ArrayClip(samples, rate_in), rate_out)
    stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="VHQ")
    whole = stream.resample_chunk(np.pad(samples[0], rate_in), last=True)[rate_out:][: clip.frames]
    assert level_db(clip.read(0, clip.frames)[0] - whole, whole) < -150


def test_the_tail_is_flushed() -> None:
    samples = np.zeros((1, 44100), np.float32)
    samples[0, -1] = 1
    out = resampled(ArrayClip(samples, 44100), 48000)
    assert out.frames == 48000
    assert np.abs(out.read(47990, 10)).max() > 0.8


def test_channels_do_not_touch() -> None:
    samples = np.concatenate([noise(0.5, 44100), np.zeros((1, 22050), np.float32), noise(0.5, 44100)])
    out = resampled(ArrayClip(samples, 44100), 48000).read(0, 24000)
    assert not out[1].any()
    assert np.array_equal(out[0], out[2])
