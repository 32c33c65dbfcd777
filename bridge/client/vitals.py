"""Resources that an engine uses: the memory of its processes, the disk space of its spool."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path


def memory_mb(pid: int) -> dict[int, float]:
    """The resident memory in MiB of a process and its descendants, by pid; empty where there is no `ps`."""
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
    """The size of all files below a folder; symbolic links are not followed."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
