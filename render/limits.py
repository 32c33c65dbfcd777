"""Checks every source against the limits of `presets.limits`, wherever its samples come from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.errors import InputError, RenderError
from presets.limits import CHANNELS_MAX, PEAK_MAX, RATE_MAX_HZ, RATE_MIN_HZ
from presets.report import Shortfall


def check_shape(rate_hz: int, channels: int, frames: int, name: str) -> None:
    """Raise InputError unless the rate is 4000 to 384000 Hz, with 1 to 8 channels and at least one frame."""
    if not RATE_MIN_HZ <= rate_hz <= RATE_MAX_HZ:
        raise InputError(
            f"{name}: a rate of {rate_hz} Hz is outside {RATE_MIN_HZ} to {RATE_MAX_HZ} Hz", "source"
        )
    if not 1 <= channels <= CHANNELS_MAX:
        raise InputError(f"{name}: {channels} channels; 1 to {CHANNELS_MAX} can be rendered", "source")
    if frames < 1:
        raise InputError(f"{name}: holds no audio (0 frames)", "source")


def check_samples(block: NDArray[np.floating[Any]], start: int, name: str) -> None:
    """Raise InputError unless every sample is finite and within +-16; `start` is the block's first frame."""
    peak = max(float(block.max()), -float(block.min()))
    if peak <= PEAK_MAX:
        return
    if math.isfinite(peak):
        raise InputError(
            f"{name}: a sample of {peak:g} after frame {start} is beyond +-{PEAK_MAX:g}; "
            "full scale is +-1, so scale it down",
            "source",
        )
    bad = int(np.count_nonzero(~np.isfinite(block)))
    raise InputError(
        f"{name}: {bad} samples after frame {start} are NaN or infinite; repair them first", "source"
    )


def check_finite(block: NDArray[np.floating[Any]], made_by: str, at_s: float) -> None:
    """Raise RenderError unless all that `made_by` made is finite; `at_s` is where the block begins."""
    if not np.isfinite(block).all():
        raise RenderError(
            f"{made_by} made NaN or infinity within the window at {at_s:.1f} s, so nothing is kept of this "
            "render; try another model, precision (`airband serve` without --compile) or effect"
        )


def no_stream(name: str, stream: int, streams: int) -> InputError:
    """The error for an audio stream that a source with so many does not have."""
    if not streams:
        return InputError(f"{name} has no audio stream", "source")
    there = "one audio stream, which is 0" if streams == 1 else f"{streams} audio streams, 0 to {streams - 1}"
    return InputError(f"stream = {stream}: {name} has {there}", "stream")


def unreadable(name: str, error: OSError) -> InputError:
    """The error for a source that the disk or the network fails to deliver."""
    return InputError(f"{name} cannot be read: {error.strerror}", "source")


def truncated(name: str, shortfall: Shortfall) -> InputError:
    """The error for a source that holds less than it promises."""
    kind = "truncated" if shortfall.promised is not None else "truncated or damaged"
    return InputError(f"{name} is {kind}: {shortfall} (--accept-truncated takes what is there)", "source")
