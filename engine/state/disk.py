"""An engine's files on disk: naming, deleting and syncing them, and explaining errors such as a full disk."""

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
    """Deletes a file if it exists; if it cannot be deleted, logs that and leaves it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be deleted: %s", path, error.strerror)


def file_digest(path: Path) -> str:
    """blake2b-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def seal(written: Path, path: Path) -> None:
    """Gives a written file its final name, after its bytes are on disk."""
    with open(written, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(written, path)


def shorten_log(path: Path, nbytes: int) -> None:
    """Shortens a log larger than `nbytes` to the last half of that; its writer must append."""
    with suppress(OSError), path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size > nbytes:
            file.seek(size - nbytes // 2)
            kept = file.read().partition(b"\n")[2]
            file.seek(0)
            file.write(kept)
            file.truncate()


def sync_names(folder: Path) -> None:
    """Makes the names of a folder's files survive a power failure; does nothing if the folder is gone.

    Windows cannot open folders, and needs no such sync.
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
    """Whether an error was caused by a full disk."""
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
        way_out = "make room or correct its permissions"
        if isinstance(error, FileNotFoundError):
            way_out = "it was removed under a running engine: `airband stop`, and the next one makes it again"
        raise OutputError(f"{where}: {error.strerror or error}; {way_out}") from None


@contextmanager
def write_errors_logged(what: str, job: str) -> Iterator[None]:
    """Logs an AirbandError and goes on; the state folder then still holds the job's earlier state."""
    try:
        yield
    except AirbandError as error:
        log.error("%s of job %s is not kept: %s", what, job, error)
