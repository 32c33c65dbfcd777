"""What a system of an evaluation gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from render.measure.metrics import Signal


@dataclass(frozen=True, slots=True)
class Given:
    """What a system gets.

    Attributes:
        samples: (frames,) float32, the degraded clip.
        rate: its rate, Hz.
        full: (frames,) at 48 kHz, the clip it was made from: a command may be a ceiling, which needs it.
    """

    samples: NDArray[np.float32]
    rate: int
    full: Signal
