"""How much memory this process holds: the one figure in which all that libzmq gathers shows.

libzmq gathers a message of many frames, and what its peers send faster than they are read, in memory of its
own that no option bounds.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache


def resident_bytes() -> int:
    """The resident size of this process; 0 where the system does not tell (anywhere but on Linux)."""
    with suppress(OSError, ValueError, IndexError):
        return int(os.pread(_statm(os.getpid()), 128, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@cache  # asked several times a second, also by a fork
def _statm(pid: int) -> int:
    """A process's figures, open."""
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
