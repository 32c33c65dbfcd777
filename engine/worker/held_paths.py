"""Holds the paths that jobs name, so that the files checked against the roots are those read and written.

A path is opened folder by folder from the top, past no symbolic link, and stays open until its job has ended.
All access goes through the descriptor, by /proc/PID/fd/N, which child processes (ffmpeg, plugin hosts) can
open too. So nobody can lead a job outside the roots by renaming a folder or replacing it by a link. Where the
system has no such names (anywhere but on Linux), a path is opened by its own name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from presets.errors import AirbandError, InputError, OutputError
from render.files.parts import permit, refusal

CAN_HOLD = hasattr(os, "O_PATH") and Path("/proc/self/fd").is_dir()


@contextmanager
def named(shown: Path, own: str, own_name: str | None = None) -> Iterator[None]:
    """Errors of the block name `shown` as the user does: `own`, and its last part `own_name`."""
    try:
        yield
    except AirbandError as error:
        for path, name in ((str(shown), own), (shown.name, own_name)):
            if name is not None:
                error.message = error.message.replace(path, name)
                error.field = error.field and error.field.replace(path, name)
        raise


@contextmanager
def held_file(path: Path, link: Path) -> Iterator[Path]:
    """Holds a file for reading, until the end of the block. Yields `link`, which has the suffix of the file's
    name.

    Errors name the file by `path` and its own name.

    Args:
        path: with links resolved, and checked.
        link: where the link is made; nothing may exist there.

    Raises:
        InputError: it does not exist, or it or a folder above was replaced by a symbolic link.
    """
    if not CAN_HOLD:
        yield path
        return
    try:
        held = _walk(path, len(path.parts))[0]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "source") from None
    try:
        os.symlink(_through(held), link)
        with named(link, str(path), path.name):
            yield link
    finally:
        link.unlink(missing_ok=True)
        os.close(held)


class HeldFolder:
    """Holds a folder for writing, or if it does not exist, the nearest existing one above it.

    Args:
        path: with links resolved, and checked.

    Raises:
        OutputError: one of its folders was replaced by a symbolic link.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held, self._missing = -1, tuple[str, ...]()
        if CAN_HOLD:
            try:
                self._held, self._missing = _walk(path, 0)
            except OSError as error:
                raise OutputError(f"{path}: cannot be opened: {refusal(error, path)}", str(path)) from None

    def close(self) -> None:
        """Releases the folder."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    @contextmanager
    def opened(self, umask: int | None = None, make: bool = False) -> Iterator[Path]:
        """A path to the folder, until the end of the block; errors name the folder by its own path.

        Args:
            umask: permissions that new folders do not get; by default this process's own.
            make: whether to create missing folders.

        Raises:
            OutputError: it cannot be made, or a symbolic link appeared where a folder was missing.
        """
        if not CAN_HOLD:
            yield self._path
            return
        at = os.dup(self._held)
        try:
            if make:
                for name in self._missing:
                    at = self._made(at, name, umask)
            place = Path(_through(at), *(() if make else self._missing))
            with named(place, str(self._path)):
                yield place
        finally:
            os.close(at)

    def _made(self, above: int, name: str, umask: int | None) -> int:
        """Opens or creates a folder in `above`, and closes `above`."""
        try:
            try:
                os.mkdir(name, dir_fd=above)
                is_new = True
            except FileExistsError:
                is_new = False
            made = os.open(name, _FOLDER, dir_fd=above)
            if is_new and umask is not None:
                permit(Path(_through(made)), Path(_through(above)), 0o777, umask)
        except OSError as error:
            reason = f"cannot be made: {error.strerror}; choose another folder"
            raise OutputError(f"{self._path}: {reason}", str(self._path)) from None
        os.close(above)
        return made


_FOLDER = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def _walk(path: Path, needed: int) -> tuple[int, tuple[str, ...]]:
    """Opens a path, or its deepest existing folder; returns the descriptor and the missing parts.

    Raises OSError if it meets a symbolic link, or if fewer than `needed` parts of the path exist.
    """
    at = os.open(path.anchor, _FOLDER)
    try:
        for index, name in enumerate(path.parts[1:], 1):
            is_file = index == needed - 1
            flags = _FOLDER & ~os.O_DIRECTORY if is_file else _FOLDER
            try:
                below = os.open(name, flags, dir_fd=at)
            except FileNotFoundError:
                if needed:
                    raise
                return at, path.parts[index:]
            os.close(at)
            at = below
    except OSError:
        os.close(at)
        raise
    return at, ()


def _through(held: int) -> str:
    return f"/proc/{os.getpid()}/fd/{held}"
