"""Opinion scores by models of hearing: ViSQOL and Zimtohrli, from packages of the extra `eval`.

Both are made for codecs, whose errors are small; here they rank systems rather than rate their quality.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from presets.schema import RATE_HZ
from render.measure.metrics import Signal

PACKAGES = {"visqol": "visqol", "zimtohrli": "zimtohrli"}
"""The module of each score."""


def missing() -> list[str]:
    """The scores whose packages are not installed."""
    return [name for name, module in PACKAGES.items() if find_spec(module) is None]


def visqol(full: Signal, made: Signal) -> float:
    """ViSQOL (Chinen et al. 2020), audio mode: an opinion score from 1 to 4.73, the score of the same signal.

    NaN where either signal is silent. The first call of an installation compiles for a minute or two.

    Args:
        full, made: the reference and the render, (frames,) at 48 kHz.

    Raises:
        ImportError: visqol-python is not installed.
    """
    if not (np.any(full) and np.any(made)):
        return float("nan")
    with np.errstate(all="ignore"):
        result = _visqol()(np.asarray(full, np.float64), np.asarray(made, np.float64), RATE_HZ)
    return float(result.moslqo)


def zimtohrli(full: Signal, made: Signal) -> float:
    """Zimtohrli (Google, 2024): an opinion score from 1 to 5, the score of the same signal.

    Raises:
        ImportError: zimtohrli is not installed.
    """
    import zimtohrli

    return float(zimtohrli.mos_from_signals(np.asarray(full, np.float32), np.asarray(made, np.float32)))


@lru_cache(maxsize=1)
def _visqol() -> Callable[..., Any]:
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")
    score: Callable[..., Any] = api.measure_from_arrays
    return score
