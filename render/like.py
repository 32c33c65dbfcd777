"""The knob `like`: a full-band recording of the same source corrects the generated band.

The largest error of any model is in the clip's own long-term contour: how this voice, instrument or room goes
on above the cut-off. A second recording of the same source shows it. It is cut as the clip is and rendered by
the same model, and the result is compared with the recording; the mean error of each band, smoothed, corrects
the clip's generated band. A recording of something else would mislead: it is recognised by its spectrum below
the cut-off, which must resemble the clip's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from presets.errors import InputError
from presets.report import LikeReport
from presets.schema import RATE_HZ, Preset
from render.band.cutoff import Cutoff, find_cutoff
from render.band.slope import RIPPLES, Slope
from render.clip import ArrayClip, Clip
from render.filters import Filter, shaped
from render.generate import FramesHook, Generator, Model
from render.resample import resampled
from render.segments import Grid, Segments
from render.stereo import StereoPolicy
from render.upscaler import Audio, Upscaler

Recordings = Sequence[tuple[str, Clip]]
"""Full-band recordings of one source, each with what the user calls it."""
Levels = NDArray[np.float64]

LONGEST_S = 20.48
"""Length rendered of all recordings together, from where each begins to sound: four of the draft's
windows."""
HUSH = 1e-4
"""Seconds at the start without a sample larger than this are skipped: -80 dBFS, above the noise of 16
bits."""
FFT, HOP = 2048, 512
BANDS_PER_OCTAVE = 6
LOWEST_BAND_HZ = 300.0
LEAST_DB, MOST_DB = 0.1, 12.0
"""The smallest correction that is worth a filter, and the greatest that is applied."""
ACTIVE_DB = 40.0
"""Frames this many dB below the loudest, or more, do not count."""
KNOWN_SHARE = 0.97
"""A recording is used up to this share of its Nyquist frequency."""
EDGE_ORDER = 120.0
"""Order of the filter that cuts a recording where the clip's edge shows no slope: 36 dB within a twentieth of
an octave."""
MOVEMENT_WEIGHT = 0.5
ALIKE_DB, UNLIKE_DB = 2.0, 3.0
"""Up to the first difference of the low bands a correction is applied in full; from the second on, the
recording is of another kind. Of 135 training recordings at 4 kHz, eight in ten pairs of one source are 1.3 to
3.3 dB apart in speech and up to 9 in effects, pairs of two domains 4 to 11 dB. LSD above the cut-off grows by
more than 0.02 in 0.4 to 1 % of the pairs of two domains; with 3 and 4 dB it would in 3 to 5 %."""
EMPTY_DB = 40.0
"""Where the model's band is this many dB below the recording's, it generated nothing."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the recordings taught.

    Attributes:
        hz: (bands,) the bands' centres, from the cut-off up.
        error_db: (bands,) what to add to the generated band there.
        difference_db: how far the recordings' low band is from the clip's; None where that cannot be told.
        share: of the mean error that is applied: 1 for the same source, 0 for one of another kind.
        reason: one sentence for the user.
    """

    hz: Levels
    error_db: Levels
    difference_db: float | None
    share: float
    reason: str

    @property
    def filter(self) -> Filter | None:
        """The correction as a filter; None where there is none."""
        if not np.any(np.abs(self.error_db) >= LEAST_DB):
            return None
        return shaped(self.hz, self.error_db)

    @property
    def report(self) -> LikeReport:
        """The lesson's part of the render's report."""
        least_db, most_db = float(self.error_db.min()), float(self.error_db.max())
        return LikeReport(self.reason, self.share, self.difference_db, least_db, most_db)


def learn(
    recordings: Recordings,
    source: Clip,
    cutoff: Cutoff,
    preset: Preset,
    upscaler: Upscaler,
    on_frames: FramesHook,
) -> Lesson:
    """What to add to the band that `upscaler` generates for `source` above `cutoff`.

    Args:
        recordings: full-band ones of the same source, with their names.
        source: the clip, at 48 kHz.
        cutoff: where the clip's band ends, and how.
        preset, upscaler: as for the clip.
        on_frames: called at each of the model's steps; cancels by raising.

    Raises:
        InputError: a recording that is not full-band, cannot be read, is silent or too short.
    """
    assert cutoff.hz is not None
    edges_hz = band_edges(cutoff.hz)
    low = edges_hz[1:] <= 0.9 * cutoff.hz
    heard = _profile(_excerpt(source, LONGEST_S), edges_hz)
    errors, kinds = [], []
    for name, recording in recordings:
        with blamed_on_like():
            check_full_band(name, recording)
            full = _excerpt(resampled(recording, RATE_HZ), LONGEST_S / len(recordings))
        known = edges_hz[1:] <= KNOWN_SHARE * recording.rate / 2
        profile = _profile(full, edges_hz)
        if profile is None:
            raise InputError(f"{name}: is silent or shorter than half a second; give more of it", "like")
        made = _profile(_rendered(degrade(full, cutoff), cutoff, preset, upscaler, on_frames), edges_hz)
        assert made is not None
        errors.append(np.where(known, profile.level_db - made.level_db, np.nan))
        kinds.append(profile)
    difference_db = min(unlike_db(heard, kind, low) for kind in kinds) if heard is not None else None
    share = 0.0 if difference_db is None else _believed(difference_db)
    high = edges_hz[:-1] >= cutoff.hz
    raw_db = _filled(np.array(errors)[:, high])
    hz = np.sqrt(edges_hz[1:] * edges_hz[:-1])[high]
    if float(np.median(raw_db)) > EMPTY_DB:
        share, reason = 0.0, "nothing to learn: the model leaves the band empty"
    elif difference_db is None:
        reason = (
            "less than half a second of the source sounds, its channels added: too little to tell its kind"
        )
    elif not share:
        reason = f"its low band differs by {difference_db:.1f} dB: a recording of another kind, left out"
    else:
        reason = f"its low band differs by {difference_db:.1f} dB; {share:.0%} of its correction is taken"
    error_db = np.clip(_smooth(raw_db), -MOST_DB, MOST_DB) * share
    return Lesson(hz, error_db, difference_db, share, reason)


@contextmanager
def blamed_on_like() -> Iterator[None]:
    """Turns an InputError about a recording into one of the knob `like`: the source is not at fault."""
    try:
        yield
    except InputError as error:
        if error.field == "like":
            raise
        raise InputError(f"like: {error.message}", "like") from None


def _believed(difference_db: float) -> float:
    """The share of a correction that is applied, by the difference of the low bands."""
    return float(np.clip((UNLIKE_DB - difference_db) / (UNLIKE_DB - ALIKE_DB), 0, 1))


def check_full_band(name: str, recording: Clip) -> None:
    """Raises InputError where a recording's band ends below a full band; the message names where."""
    found = find_cutoff(recording, "auto")
    if found.hz is not None:
        raise InputError(
            f"{name}: its band ends at {found.hz:.0f} Hz; `like` needs a recording that goes on to 18 kHz",
            "like",
        )


def degrade(full: Audio, cutoff: Cutoff) -> Audio:
    """`full`, (channels, frames) at 48 kHz, filtered as the clip was, without delay."""
    from scipy import fft

    assert cutoff.hz is not None
    slope = cutoff.slope or Slope(cutoff.hz, EDGE_ORDER, RIPPLES[0], RATE_HZ / 2, cutoff.hz, 0.0)
    frames = full.shape[1]
    size = fft.next_fast_len(2 * frames, real=True)
    gain = 10 ** (-slope.loss_db(fft.rfftfreq(size, 1 / RATE_HZ)) / 20)
    return np.asarray(fft.irfft(fft.rfft(full, size) * gain, size)[:, :frames], np.float32)


def band_edges(cutoff_hz: float) -> Levels:
    """Edges of bands a sixth of an octave wide, the cut-off among them, from about 300 Hz to 24 kHz."""
    below = int(BANDS_PER_OCTAVE * np.log2(cutoff_hz / LOWEST_BAND_HZ))
    above = int(BANDS_PER_OCTAVE * np.log2(RATE_HZ / 2 / cutoff_hz))
    return np.asarray(cutoff_hz * 2.0 ** (np.arange(-below, above + 1) / BANDS_PER_OCTAVE))


@dataclass(frozen=True, slots=True)
class Profile:
    """Mean and standard deviation of the level of each band, in dB, over the frames that sound."""

    level_db: Levels
    movement_db: Levels


def unlike_db(one: Profile, other: Profile, low: NDArray[np.bool_]) -> float:
    """How far apart the low bands of two sounds are in dB, whatever their loudness: root of the mean square
    differences of their levels (less the mean) and, weighted by MOVEMENT_WEIGHT, of their movement."""
    level = (one.level_db - other.level_db)[low]
    movement = (one.movement_db - other.movement_db)[low]
    return float(np.sqrt(np.mean((level - level.mean()) ** 2) + MOVEMENT_WEIGHT**2 * np.mean(movement**2)))


def _profile(samples: Audio, edges_hz: Levels) -> Profile | None:
    """The profile of (channels, frames); None for silence or less than half a second."""
    from scipy import fft

    if samples.shape[1] < RATE_HZ // 2:
        return None
    window = np.hanning(FFT + 1)[:-1].astype(np.float32)
    framed = np.lib.stride_tricks.sliding_window_view(samples, FFT, axis=1)[:, ::HOP]
    power = (np.abs(fft.rfft(framed * window, axis=2)) ** 2).astype(np.float64).mean(axis=0)
    loud = power.sum(axis=1)
    if not loud.max() > 0:
        return None
    decibels = 10 * np.log10(power[loud > loud.max() * 10 ** (-ACTIVE_DB / 10)] + 1e-12)
    bins = np.searchsorted(np.arange(FFT // 2 + 1) * RATE_HZ / FFT, edges_hz)
    bins[1:] = np.maximum(bins[1:], bins[:-1] + 1)
    bands = np.stack([decibels[:, a:b].mean(axis=1) for a, b in pairwise(bins)], axis=1)
    return Profile(bands.mean(axis=0), bands.std(axis=0))


def _excerpt(clip: Clip, seconds: float) -> Audio:
    """The first `seconds` from where the clip begins to sound, channels averaged: (1, frames) at 48 kHz."""
    seconds_in = range(0, clip.frames, RATE_HZ)
    start = next((at for at in seconds_in if np.abs(clip.read(at, RATE_HZ)).max() > HUSH), 0)
    samples = clip.read(start, min(clip.frames - start, round(seconds * RATE_HZ)))
    return np.asarray(samples.mean(axis=0, keepdims=True), np.float32)


def _filled(errors_db: Levels) -> Levels:
    """(recordings, bands) to their mean; bands that no recording reaches take the error of the last below."""
    known = int(np.count_nonzero(~np.isnan(errors_db).all(axis=0)))
    mean: Levels = np.nanmean(errors_db[:, :known], axis=0)
    return np.pad(mean, (0, errors_db.shape[1] - known), mode="edge")


def _rendered(
    samples: Audio, cutoff: Cutoff, preset: Preset, upscaler: Upscaler, on_frames: FramesHook
) -> Audio:
    """`samples` rendered by the model: the full stem, without gain or gate."""
    clip = ArrayClip(samples, RATE_HZ)
    plain = msgspec.structs.replace(
        preset, stem="full", high_gain_db=0.0, gate_db="off", start=None, end=None, like=None
    )
    grid = Grid(clip.frames, upscaler.body_cells, upscaler.context_cells, upscaler.fade_frames)
    policy = StereoPolicy("linked", clip.channels, upscaler.links_channels)
    peak = float(np.abs(samples).max())
    model = Model(plain, upscaler, policy, peak)
    generator = Generator(clip, grid, plain, model, policy, cutoff, on_frames)
    with closing(Segments(clip, grid, generator, clip.frames)) as segments:
        return samples + segments.read(0, clip.frames)


def _smooth(errors_db: Levels) -> Levels:
    """Smoothed over three bands, half an octave."""
    return np.asarray(np.convolve(np.pad(errors_db, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid"))
