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
    family = {pid}
    for each, parent, _ in sorted(rows):
        if parent in family:
            family.add(each)
    return {each: kib / 1024 for each, _, kib in rows if each in family}


def folder_bytes(folder: Path) -> int:
    """What the files below a folder weigh."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
