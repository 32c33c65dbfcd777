"""An excerpt of a render and its source on one time line, for a page to play and draw."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from presets.errors import InputError
from presets.report import RenderReport
from presets.schema import RATE_HZ
from render.clip import Clip, open_clip
from render.resample import resampled, resampled_frames
from render.upscaler import Audio

EXCERPT_S = 12.0
"""Longest excerpt on a page, in seconds. Of a longer clip it is the stretch to which most was added."""


class Excerpt(NamedTuple):
    """A stretch of a render.

    Attributes:
        before, after: (channels, frames) float32 at 48 kHz; the source and the result.
        added: likewise; what the render generated in this stretch.
        start_s: its begin in the result, in seconds.
        whole_s: length of the whole result, in seconds.
    """

    before: Audio
    after: Audio
    added: Audio
    start_s: float
    whole_s: float


def excerpt(
    source: Path, out: Path, report: RenderReport, *, stream: int = 0, accept_truncated: bool = False
) -> Excerpt:
    """Reads an excerpt of a render and its source.

    Args:
        source, out: the files.
        report: the render's report, which says what range of the source it covers.
        stream, accept_truncated: the knobs with which the source was read.

    Raises:
        InputError: one of the files cannot be read, or they do not belong together.
    """
    read = open_clip(source, stream=stream, accept_truncated=accept_truncated)
    with read as given, open_clip(out) as made:
        before, after = resampled(given, RATE_HZ), resampled(made, RATE_HZ)
        first = resampled_frames(report.source.first_frame, given.rate, RATE_HZ)
        if given.channels != made.channels or given.frames != report.source.frames:
            raise InputError(f"{source}: has changed since {out} was made from it", str(source))
        frames = min(after.frames, round(EXCERPT_S * RATE_HZ))
        start = _busiest(before, after, first, frames, report.stem)
        here, there = before.read(first + start, frames), after.read(start, frames)
        added = _added(here, there, report.stem)
        return Excerpt(here, there, added, start / RATE_HZ, after.frames / RATE_HZ)


def _added(before: Audio, after: Audio, stem: str) -> Audio:
    """What a render generated, by its stem: all of `high`, nothing of `low`, of `full` the difference."""
    if stem == "high":
        return after
    return after - before if stem == "full" else np.zeros_like(after)


def _busiest(before: Clip, after: Clip, first: int, frames: int, stem: str) -> int:
    """Where the stretch of `frames` begins to which most was added, searched in steps of half its length."""
    best, most = 0, -1.0
    for start in range(0, after.frames - frames + 1, max(1, frames // 2)):
        added = _added(before.read(first + start, frames), after.read(start, frames), stem)
        power = float(np.mean(added.astype(np.float64) ** 2))
        if power > most:
            best, most = start, power
    return best
