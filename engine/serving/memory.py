"""How much memory the connections of an engine may hold."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

from bridge.wire.resident import resident_bytes

SPARE_BYTES = 32 * 1024**2
"""Beside what its transfers have on their way; with what comes until it is noticed, below 64 MiB more."""


class MemoryBudget:
    """Compares the process's resident size with what it was when it began to serve.

    Where the system does not tell (anywhere but on Linux), the budget is never exceeded.
    """

    def __init__(self) -> None:
        self._base_bytes = 0

    def begin(self) -> None:
        """Takes the present size as the base."""
        self._base_bytes = resident_bytes()

    def is_exceeded(self, outstanding: Callable[[], int]) -> bool:
        """Whether the process holds more than its base, SPARE_BYTES, and what its transfers may.

        What it has freed and not given back does not count: that is given back first.

        Args:
            outstanding: how many bytes may be on their way; asked for only where that matters.
        """
        may_bytes = self._base_bytes + SPARE_BYTES
        if resident_bytes() <= may_bytes:
            return False
        may_bytes += outstanding()
        if resident_bytes() <= may_bytes:
            return False
        _give_back_freed()
        return resident_bytes() > may_bytes


def _give_back_freed() -> None:
    """Has the C library give freed memory back to the system, where it is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
