"""What the C library does with memory that a render frees."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of malloc.h."""
KEPT_BYTES = 256 * 1024**2
"""Free memory at the end of the heap that stays with the process."""
MAPPED_BYTES = 64 * 1024**2
"""From this size on an array is mapped by itself, and given back as soon as it is freed."""


def keep_freed_memory() -> None:
    """Has the next window use the memory of the one before, where the C library is glibc.

    Left to itself it gives arrays of a few megabytes back to the system, which then clears every page anew: a
    quarter of the processor time of `draft` (8,700 page faults a window and channel, 700 with this). All
    threads share one heap: what one has freed the next one uses, 40 MB less for a clip of 20 s.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(ARENA_MAX, 1)
