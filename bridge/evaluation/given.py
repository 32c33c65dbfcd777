"""The input of a system in an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from render.measure.metrics import Signal


@dataclass(frozen=True, slots=True)
class Given:
    """The input of a system.

    Attributes:
        samples: (frames,) float32, the degraded clip.
        rate: its rate, in Hz.
        full: (frames,) at 48 kHz, the original clip, for commands that measure an upper bound.
    """

    samples: NDArray[np.float32]
    rate: int
    full: Signal
