"""A file lock that the operating system releases when its holder dies, however it dies."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


class FileLock:
    """An exclusive lock between processes, held from `acquire` to `release` or to the end of the process.

    Args:
        path: the file to lock; it is created if missing, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, timeout_s: float = 0.0) -> bool:
        """Tries for up to `timeout_s` to take the lock; returns whether it did."""
        deadline = time.monotonic() + timeout_s
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        while not _lock(fd):
            if time.monotonic() >= deadline:
                os.close(fd)
                return False
            time.sleep(0.02)
        self._fd = fd
        return True

    @property
    def is_in_place(self) -> bool:
        """False when another file, or none, now lies at the path, so that others could lock that one."""
        try:
            return self._fd is not None and os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except OSError:
            return False

    def write(self, content: bytes) -> None:
        """Replaces the content of the locked file, which tells others who holds it; the lock must be held."""
        assert self._fd is not None
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, content)
        os.ftruncate(self._fd, len(content))

    def release(self) -> None:
        """Releases the lock; does nothing if it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_held(path: Path) -> bool:
    """Whether some process holds the lock on `path` at this moment."""
    if not path.exists():
        return False
    probe = FileLock(path)
    free = probe.acquire()
    probe.release()
    return not free


if sys.platform == "win32":
    import msvcrt

    LOCKED_BYTE = 2**30

    def _lock(fd: int) -> bool:
        try:
            os.lseek(fd, LOCKED_BYTE, os.SEEK_SET)  # no other process may read a locked byte
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
