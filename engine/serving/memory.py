"""How much memory the connections of an engine may hold.

libzmq gathers a message of many frames, and what its peers send faster than the loop reads, in memory of its
own that no option bounds. The process's resident size is the one figure that holds it all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from presets.limits import CREDIT_BYTES

SPARE_BYTES = 32 * 1024**2
"""Beside the credit of its transfers; with what comes until it is noticed, growth stays below 64 MiB."""


class MemoryBudget:
    """Compares the process's resident size with what it was when it began to serve.

    Where the system does not tell (anywhere but on Linux), the budget is never exceeded.
    """

    def __init__(self) -> None:
        self._base_bytes = 0

    def begin(self) -> None:
        """Takes the present size as the base."""
        self._base_bytes = resident_bytes()

    def is_exceeded(self, transfers: Callable[[], int]) -> bool:
        """Whether the process holds more than its base, SPARE_BYTES, and the credit of its transfers.

        Args:
            transfers: how many there are; asked for only where that matters.
        """
        beyond_bytes = resident_bytes() - self._base_bytes - SPARE_BYTES
        return beyond_bytes > 0 and beyond_bytes > CREDIT_BYTES * transfers()


def resident_bytes() -> int:
    """The resident size of this process; 0 where the system does not tell."""
    # Asked for in every turn of the loop: as bytes, and without a buffer.
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", "rb", buffering=0) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
