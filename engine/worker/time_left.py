"""How long a job still takes, from its steps and a clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from render.upscaler import Step

PACE_SHARE = 0.25
"""The pace is that of the latest quarter of the job: first steps are slower, silence is faster, and other
jobs come and go."""


class TimeLeft:
    """An estimate that follows the pace of a render's steps.

    It begins with the stage `render`. Earlier stages do not tell the pace of the model, which is most of the
    work.
    """

    def __init__(self) -> None:
        self._reached: deque[tuple[int, float]] = deque()

    def after(self, step: Step, now_s: float) -> float | None:
        """Seconds that the job still takes; None where no pace is known yet.

        Args:
            step: the latest one; every step of the job is given, in order.
            now_s: when it was taken, by any monotonic clock.
        """
        reached = self._reached
        if reached and step.step < reached[-1][0]:  # the job began anew
            reached.clear()
        if not reached and step.stage != "render":
            return None
        if not reached or step.step > reached[-1][0]:
            reached.append((step.step, now_s))
        while len(reached) > 2 and reached[1][0] <= step.step - PACE_SHARE * step.of:
            reached.popleft()
        (first, began_s), (last, told_s) = reached[0], reached[-1]
        if first == last:
            return None
        left_s = (told_s - began_s) * (step.of - last) / (last - first)
        return max(0.0, left_s - (now_s - told_s))
