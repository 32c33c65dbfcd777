"""How much memory this process holds, which is the only figure that shows libzmq's buffers.

libzmq buffers messages of many frames, and messages that arrive faster than they are read, in memory that no
option bounds.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache


def resident_bytes() -> int:
    """The resident size of this process in bytes; 0 except on Linux."""
    with suppress(OSError, ValueError, IndexError):
        return int(os.pread(_statm(os.getpid()), 128, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@cache  # asked several times a second; keyed by pid, since a forked child needs its own
def _statm(pid: int) -> int:
    """The open descriptor of a process's memory figures."""
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
