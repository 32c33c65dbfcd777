"""Limits the memory that the connections of an engine may hold."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable

from bridge.wire.resident import resident_bytes

SPARE_BYTES = 32 * 1024**2
"""Allowance above the base and the transfers; over ipc about 40 MB more arrive until it is noticed."""


class MemoryBudget:
    """Compares the process's resident size with its size when it began to serve.

    It is never exceeded before that, nor where the system reports no size (anywhere but on Linux).
    """

    def __init__(self) -> None:
        self._base_bytes = math.inf

    def begin(self) -> None:
        """Takes the current size as the base."""
        self._base_bytes = resident_bytes()

    def is_exceeded(self, outstanding: Callable[[], int]) -> bool:
        """Whether the process holds more than its base, SPARE_BYTES and what its transfers may hold.

        Freed memory does not count: before the last comparison it is returned to the system.

        Args:
            outstanding: returns how many bytes may be on their way; called only if that matters.
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
    """Makes the C library return freed memory to the system, if it is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
