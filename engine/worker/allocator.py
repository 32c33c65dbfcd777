"""Controls what the C library does with memory that a render frees."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of malloc.h."""
KEPT_BYTES = 256 * 1024**2
"""Free memory at the end of the heap that the process keeps."""
MAPPED_BYTES = 64 * 1024**2
"""Arrays from this size on are mapped individually, and returned to the system as soon as they are freed."""


def keep_freed_memory() -> None:
    """Lets each window reuse the memory of the last one, if the C library is glibc.

    By default glibc returns arrays of a few megabytes to the system, which then clears every page again: a
    quarter of `draft`'s processor time (8,700 page faults per window and channel, 700 with this). All threads
    share one heap, so that one can use what another has freed: 40 MB less for a clip of 20 s.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(ARENA_MAX, 1)
