"""Limits how often something is polled that takes longer the more of it there is."""

from __future__ import annotations

PAUSES = 20
"""Pause after a poll, in multiples of its duration: polling then takes at most a twentieth of a core."""


class Pace:
    """The schedule of one kind of poll, by a monotonic clock, in seconds.

    Args:
        least_s: the shortest time between the starts of two polls.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._due_s = float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Whether a poll is due now."""
        return now_s >= self._due_s

    def looked(self, began_s: float, ended_s: float) -> None:
        """Records a poll."""
        self._due_s = max(began_s + self._least_s, ended_s + PAUSES * (ended_s - began_s))

    def hurry(self) -> None:
        """Makes the next poll due at once."""
        self._due_s = float("-inf")
