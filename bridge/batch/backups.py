"""Backups of files that `airband edit` changed: every version, under its digest, until it is restored.

For each file, `edits/<digest of the path>/` in the state folder holds the bytes of each version that an edit
replaced, and `history.json`, the list of edits. The history is written before the file is replaced: a crash
in between leaves an edit whose `before` is still the file's content, and such an edit is ignored.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bridge.wire.home import Home, prepare
from bridge.wire.lock import FileLock
from presets.errors import InputError, OutputError
from presets.printable import printable
from render.files.encode import check_room, file_digest
from render.files.parts import as_output_error, part_beside, put_in_place

LOCK_S = 60.0
"""How long to wait for another `airband edit` that is replacing or restoring a file, in seconds."""


class Edit(msgspec.Struct, frozen=True):
    """One edit of one file.

    Attributes:
        before, after: blake2b-256 of the file's bytes before and after.
        when_s: seconds since 1970.
        recipe: identifies the preset of the edit; "" when unknown.
    """

    before: str
    after: str
    when_s: float
    recipe: str = ""


class History(msgspec.Struct):
    """The edits of one file that can be undone, oldest first."""

    path: str
    edits: list[Edit] = []


class Backups:
    """The backups in one state folder.

    Args:
        home: the engine's folders; created if missing.
    """

    def __init__(self, home: Home) -> None:
        prepare(home)
        self._folder = home.state / "edits"

    def recipe_of(self, path: Path) -> str:
        """The recipe of a file's last edit; "" if the file is no longer the result of that edit."""
        with self._alone(path) as (_, history):
            last = history.edits[-1] if history.edits and path.is_file() else None
            return last.recipe if last is not None and last.after == file_digest(path) else ""

    def replace(self, path: Path, part: Path, before: str, recipe: str = "") -> None:
        """Replaces a file by a finished part, and keeps the old bytes.

        Args:
            path: the file, not a symbolic link.
            part: the new content, a file in the same folder.
            before: digest of the file's bytes that `part` was made from.
            recipe: identifies the preset of the edit, for `recipe_of`.

        Raises:
            OutputError: the file has changed since, or a file cannot be written. `path` is then unchanged.
        """
        with self._alone(path) as (folder, history):
            if _kept(path, folder) != before:
                _drop(folder, history, before)
                raise OutputError(f"{path}: changed while it was being rendered; edit it again", str(path))
            history.edits.append(Edit(before, file_digest(part), time.time(), recipe))
            _write(folder, history)
            put_in_place(part, path)

    def undo(self, path: Path, force: bool = False) -> Edit:
        """Restores the bytes a file had before its last edit; a second call goes back one edit further.

        Args:
            path: the file, not a symbolic link. It may have been deleted since.
            force: restore it even if it was changed after that edit; the change is lost.

        Returns:
            The edit that was undone.

        Raises:
            InputError: no edit of this file is known.
            OutputError: the file was changed since, its backup is damaged, or it cannot be written.
        """
        with self._alone(path) as (folder, history):
            now = file_digest(path) if path.is_file() else ""
            while history.edits and history.edits[-1].before == now:
                history.edits.pop()
            if not history.edits:
                _write(folder, history)
                raise InputError(f"{path}: has no edit that could be undone", str(path))
            last = history.edits[-1]
            if last.after != now and not force:
                raise OutputError(
                    f"{path}: was changed after airband edited it; --force restores what was before that "
                    "edit and loses the change",
                    str(path),
                )
            _restore(folder / last.before, path)
            history.edits.pop()
            _write(folder, history)
            _drop(folder, history, last.before)
        return last

    @contextmanager
    def _alone(self, path: Path) -> Iterator[tuple[Path, History]]:
        """The folder and history of one file, under a lock that keeps all other processes away."""
        name = hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()
        folder = self._folder / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self._folder / "lock")
            if not lock.acquire(LOCK_S):
                raise OutputError(f"{self._folder} is held by another `airband edit`; try again", str(path))
            try:
                yield folder, _read(folder, path)
            finally:
                with suppress(OSError):  # not empty: it still holds versions
                    folder.rmdir()
                lock.release()
        except OSError as error:
            # Of a copy, which has two, what is written comes second.
            reason = f"{error.filename2 or error.filename or folder}: {error.strerror}"
            if error.errno == errno.ENOSPC:
                reason = f"no room on the disk of {self._folder}; make some, or choose another --state"
            raise OutputError(f"{path} cannot be backed up or restored: {reason}", str(path)) from None


def _kept(path: Path, folder: Path) -> str:
    """Copies a file's bytes into `folder`, named by their digest; returns the digest."""
    part = folder / "part"
    shutil.copyfile(path, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    digest = file_digest(part)
    os.replace(part, folder / digest)
    return digest


def _restore(backup: Path, path: Path) -> None:
    nbytes = backup.stat().st_size
    with part_beside(path) as part, as_output_error(path):
        check_room(path, nbytes)
        shutil.copyfile(backup, part)
        if file_digest(part) != backup.name:
            raise OutputError(f"{path}: its backup {backup} is damaged", str(path))
        put_in_place(part, path)


def _drop(folder: Path, history: History, digest: str) -> None:
    if all(edit.before != digest for edit in history.edits):
        (folder / digest).unlink(missing_ok=True)


def _read(folder: Path, path: Path) -> History:
    try:
        return msgspec.json.decode((folder / "history.json").read_bytes(), type=History)
    except FileNotFoundError:
        return History(printable(str(path)))
    except msgspec.DecodeError as error:
        raise OutputError(f"{folder / 'history.json'} is damaged: {error}; move it away", str(path)) from None


def _write(folder: Path, history: History) -> None:
    if not history.edits:
        (folder / "history.json").unlink(missing_ok=True)
        return
    part = folder / "part"
    with part.open("wb") as file:
        file.write(msgspec.json.encode(history))
        os.fsync(file.fileno())
    os.replace(part, folder / "history.json")
