"""When a process was born: a pid alone may since have been given to another process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def process_birth(pid: int) -> str:
    """A text that differs between any two processes that had this pid; "" when no process has it now.

    On Linux it is the boot id and the kernel's start time in ticks since boot (proc_pid_stat(5), field 22),
    which changes of the wall clock do not move. Elsewhere it is the start time that `ps` tells; on Windows
    always "".
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
    """The id of this boot of the machine; "" where the system has none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
