"""What an engine takes of its machine: the memory of its processes, the room of its spool."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path


def memory_mb(pid: int) -> dict[int, float]:
    """The resident memory of a process and of those it started; empty where there is no `ps`."""
    if not shutil.which("ps") or not pid:
        return {}
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=False)
    rows = [tuple(map(int, line.split())) for line in table.stdout.splitlines()]
    family, added = set[int](), {pid}
    while added:  # a child may have a lower number than its parent
        family |= added
        added = {each for each, parent, _ in rows if parent in family} - family
    return {each: kib / 1024 for each, _, kib in rows if each in family}


def folder_bytes(folder: Path) -> int:
    """What the files below a folder weigh; what links lead to does not lie there."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
