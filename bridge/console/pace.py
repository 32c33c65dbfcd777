"""When to look again at something that takes longer to look at the more there is of it."""

from __future__ import annotations

PAUSES = 20
"""A look that took a second is followed by none for 20: it never takes more than a twentieth of a core."""


class Pace:
    """The times of one kind of look, by a monotonic clock, in seconds.

    Args:
        least_s: looks begin so far apart at the least.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._due_s = float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Whether to look now."""
        return now_s >= self._due_s

    def looked(self, began_s: float, ended_s: float) -> None:
        """Counts in a look."""
        self._due_s = max(began_s + self._least_s, ended_s + PAUSES * (ended_s - began_s))

    def hurry(self) -> None:
        """Looks at the next occasion."""
        self._due_s = float("-inf")
