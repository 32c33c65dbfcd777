"""Files of an engine on their disk: named when whole, deleted where they can be; what a full disk says."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from presets.errors import AirbandError, OutputError

log = logging.getLogger("airband.engine")


def remove(path: Path) -> None:
    """Deletes a file if it is there; one that cannot be deleted is told to the log and left."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be deleted: %s", path, error.strerror)


def file_digest(path: Path) -> str:
    """blake2b-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def seal(written: Path, path: Path) -> None:
    """Gives a written file its final name once its bytes are on the disk."""
    with open(written, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(written, path)


def shorten_log(path: Path, nbytes: int) -> None:
    """Keeps the last half of `nbytes` of a log that weighs more; whoever writes into it appends."""
    with suppress(OSError), path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size > nbytes:
            file.seek(size - nbytes // 2)
            kept = file.read().partition(b"\n")[2]
            file.seek(0)
            file.write(kept)
            file.truncate()


def sync_names(folder: Path) -> None:
    """Makes the names of a folder's files outlive a loss of power; one that is gone has none.

    Windows opens no folders, and keeps names by itself.
    """
    if os.name != "posix":
        return
    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def is_disk_full(error: BaseException) -> bool:
    """Whether a disk without room is why an error was raised."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return cause is not None and is_disk_full(cause)


@contextmanager
def write_errors_explained(where: Path) -> Iterator[None]:
    """Turns an OSError of a write into an OutputError that names the place."""
    try:
        yield
    except OSError as error:
        way_out = "make room or mend its permissions"
        if isinstance(error, FileNotFoundError):
            way_out = "it was removed under a running engine: `airband stop`, and the next one makes it anew"
        raise OutputError(f"{where}: {error.strerror or error}; {way_out}") from None


@contextmanager
def write_errors_logged(what: str, job: str) -> Iterator[None]:
    """Logs an AirbandError and goes on: the state folder then holds the job's earlier state."""
    try:
        yield
    except AirbandError as error:
        log.error("%s of job %s is not kept: %s", what, job, error)
