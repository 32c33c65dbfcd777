"""Which steps of a sampler are guided, and which compute all of the U-Net.

Both save work where it changes little: guidance in the last steps (Kynkäänniemi et al. 2024), and the
coarse levels of the U-Net, which hardly differ from one step to the next (DeepCache, Ma et al. 2023).
"""

from __future__ import annotations

import math
from typing import NamedTuple

EARLY = 1.5
"""How dense whole steps are at the start: the k-th of n is at (k / n)^EARLY of the run.

The result is nearer to that of whole steps alone than with even distances (engine/bench/README.md)."""


class Prediction(NamedTuple):
    """What the network is asked for at one step.

    Attributes:
        scale: of guidance; 1 is none.
        whole: whether its coarse levels are computed; else their last output is used again.
    """

    scale: float
    whole: bool


def predictions(
    steps: int, scale: float, guided_share: float = 1.0, cache_interval: int = 1
) -> list[Prediction]:
    """The predictions of a run, from the noisiest step on.

    Args:
        steps: of the sampler.
        scale: of guidance where there is some.
        guided_share: of the steps, from the first on, that are guided; 0..1.
        cache_interval: mean number of steps for one that is whole; the first is, and the first after
            guidance.
    """
    count = math.ceil(steps / cache_interval)
    whole = [0]
    for index in range(1, count):
        whole.append(max(whole[-1] + 1, int(steps * (index / count) ** EARLY)))
    guided = math.ceil(steps * guided_share) if scale != 1.0 else steps
    return [
        Prediction(scale if step < guided else 1.0, step in whole or step == guided) for step in range(steps)
    ]
