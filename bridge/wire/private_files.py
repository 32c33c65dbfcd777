"""Folders and small files that only their owner can read or write."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from presets.errors import EngineError

T = TypeVar("T")

FILE_BYTES = 64 * 1024
"""The largest file read here."""
OWN = re.compile(
    r"engine\.(lock|sock|key|json|log|stop)|(client|allowed)\.keys?|jobs\.sqlite|console\.lock|clips|[0-9a-f]{16}"
)
"""Names that Airband gives files and folders; a folder that holds at least one of them is Airband's."""


def make_private_folder(folder: Path) -> None:
    """Makes a folder with mode 0700, or makes sure that an existing one belongs to the user alone.

    Raises:
        EngineError: it is a link or of somebody else, cannot be made or written, or is open to all and holds
            files that Airband did not make (the user's home, or /tmp).
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode):
            raise EngineError(f"{folder} is a link, and must be a folder; remove it")
        if not _is_ours(about):
            raise EngineError(f"{folder} belongs to somebody else; remove it, or choose another --state")
        if stat.S_IMODE(about.st_mode) & 0o077:
            names = os.listdir(folder)
            if names and not any(map(OWN.fullmatch, names)):
                raise EngineError(
                    f"{folder} is open to others and holds files that are not Airband's; choose another "
                    "--state, or close it with `chmod 700`"
                )
            folder.chmod(0o700)
        if not os.access(folder, os.W_OK):
            raise EngineError(f"{folder} may not be written; choose another --state")
    except OSError as error:
        raise EngineError(f"{folder} cannot be made: {error.strerror}; choose another --state") from None


def read_private(path: Path, secret: bool) -> bytes | None:
    """The content of a file that nobody else may write (nor read, if it is secret); None if there is no file.

    Raises:
        EngineError: it cannot be read, is not a regular file, is open to others, or exceeds FILE_BYTES.
    """
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}") from None
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):  # a folder, or a pipe, on which a read would block
        os.close(fd)
        raise EngineError(f"{path} is not a regular file")
    with os.fdopen(fd, "rb") as file:
        mode = stat.S_IMODE(about.st_mode)
        others = 0o077 if secret else 0o022
        if os.name == "posix" and (not _is_ours(about) or mode & others):
            raise EngineError(
                f"{path} is open to others (mode {mode:o}): remove it and start the engine again"
            )
        content = file.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise EngineError(f"{path} holds more than {FILE_BYTES} bytes")
    return content


def write_private(path: Path, value: Any) -> None:
    """Writes a value as JSON, as `write_private_text` does."""
    write_private_text(path, msgspec.json.encode(value).decode())


def write_private_text(path: Path, text: str) -> None:
    """Writes a file of mode 0600, all at once (nobody sees half of it); raises EngineError on failure."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise EngineError(f"{path} cannot be written: {error.strerror}") from None


def parse_private(content: bytes, kind: type[T], path: Path) -> T:
    """Parses what `read_private` read from `path` as a `kind`; raises EngineError if it is not one."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise EngineError(f"{path} is not what Airband writes ({error}): remove it") from None


def _is_ours(about: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or about.st_uid == os.getuid()
