"""When a process was born: a process number alone may have been given to another one since."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def process_birth(pid: int) -> str:
    """A text that differs for any two processes that ever bore this number; "" when none bears it now.

    On Linux the kernel's own clock ticks since boot (proc_pid_stat(5), field 22), which no change of the wall
    clock moves, with the boot's id. Elsewhere the start time as `ps` tells it; on Windows always "".
    """
    with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        if sys.platform == "linux":
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return f"{boot_id()} {after_name[19]}"
        if os.name == "posix":
            asked = ["ps", "-p", str(pid), "-o", "lstart="]
            return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return ""


def boot_id() -> str:
    """Which boot of the machine this is; "" where the system does not tell."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
