"""Finds the sources in files, folders and globs, and says what is wrong with the other inputs.

Nothing is opened here. A named pipe, socket, device or broken link with an audio suffix is found like a file,
so that it gets reported; `check_source` refuses it before anybody could block on it.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from presets.errors import AirbandError, InputError, UsageError
from render.files.encode import SUFFIXES
from render.files.sidecar import name_bytes, sidecar_path

AUDIO_SUFFIXES = frozenset(SUFFIXES) | {
    ".bwf", ".rf64", ".bw64", ".w64", ".aifc", ".au", ".snd", ".caf", ".ogg", ".oga", ".opus", ".mp2", ".mp3",
    ".m4a", ".m4b", ".mp4", ".m4v", ".aac", ".ac3", ".eac3", ".dts", ".wma", ".mka", ".mkv", ".mov", ".webm",
    ".mxf", ".wv", ".ape", ".tta", ".mpc", ".tak", ".dsf", ".dff", ".spx", ".amr", ".voc", ".amb", ".shn",
    ".m4r", ".thd", ".mlp", ".avi", ".wmv", ".flv", ".3gp", ".mpg", ".mpeg", ".vob", ".m2ts",
}  # fmt: skip
"""Suffixes of audio files in a folder. A file given by name is accepted whatever its suffix."""
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""Kinds of paths that are not regular files, and their names in messages."""


class Found(NamedTuple):
    """A source, and its folder relative to the input it was found in; or an input with its `error`."""

    source: Path
    below: Path = Path()
    error: AirbandError | None = None


def found(inputs: Iterable[str], out: Path | None, recursive: bool) -> Iterator[Found]:
    """Yields each source once, and each input that has none with its error.

    Args:
        inputs: files, globs, and folders (for their audio files, without hidden ones and earlier results).
        out: the destination, which is not searched; None for commands that write nothing.
        recursive: look into subfolders too.

    Raises:
        UsageError: an input is empty (a script with an unset variable gives one), or `-`.
    """
    seen: set[str] = set()
    for text in inputs:
        path = Path(named(text, "inputs"))
        closed: list[OSError] = []
        try:
            sources = list(_sources(text, path, out, recursive, closed.append))
        except InputError as error:
            sources = []
            if not closed:
                yield Found(path, error=error)
        for problem in closed:
            yield Found(Path(problem.filename or path), error=unlisted(problem, path))
        base = path if os.path.isdir(path) else None
        for source in sources:
            same = os.path.realpath(source) if os.path.isfile(source) else os.path.abspath(source)
            if same not in seen:
                seen.add(same)
                yield Found(source, source.parent.relative_to(base) if base else Path())


def named(text: str, field: str) -> str:
    """`text`, if it can name a file or folder.

    Raises:
        UsageError: it is empty, or `-`, which stands for standard input or output.
    """
    if not text:
        raise UsageError("an empty name was given for a file or folder; is a variable unset?", field)
    if text == "-":
        raise UsageError("'-': audio cannot go through a pipe; name a file (./- for one called -)", field)
    return text


def check_source(path: Path) -> None:
    """Refuses anything but a regular file, without opening it.

    Raises:
        InputError: nothing is there, it is not a regular file, or permission to look is lacking.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        reason = "is a broken link" if os.path.islink(path) else "no such file or folder"
        raise InputError(f"{path}: {reason}", str(path)) from None
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else None
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            cause = f"{cause}; a name there may have up to {name_bytes(path.parent)} bytes"
        raise InputError(f"{path}: {cause or error}", str(path)) from None
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in KINDS if is_kind(mode)), "something else")
        raise InputError(f"{path}: is {kind}, not a file", str(path))


def listed(
    folder: Path, out: Path | None, recursive: bool, on_error: Callable[[OSError], None] | None = None
) -> Iterator[Path]:
    """Files in a folder with an audio suffix, sorted; without hidden files, results, and all of `out`.

    Args:
        folder, out, recursive: as for `found`.
        on_error: called with the error of a folder that cannot be listed.
    """
    results = None if out is None else os.path.realpath(out)
    for root, folders, files in os.walk(folder, onerror=on_error):
        inside = Path(root)
        if not recursive:
            folders.clear()
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(inside / name) != results
        )
        there = set(files)
        for name in sorted(files):
            if _is_called_audio(name) and sidecar_path(path := inside / name).name not in there:
                yield path


def unlisted(problem: OSError, folder: Path) -> InputError:
    """The error for a folder, `folder` or one in it, that `listed` could not list."""
    where = problem.filename or folder
    return InputError(f"{where}: cannot be listed: {problem.strerror}", str(where))


def _sources(
    text: str, path: Path, out: Path | None, recursive: bool, on_error: Callable[[OSError], None]
) -> Iterator[Path]:
    if os.path.isdir(path):
        sources = list(listed(path, out, recursive, on_error))
        if not sources:
            hint = "" if recursive else " (its subfolders are searched with --recursive)"
            raise InputError(f"{text}: holds no audio files{hint}", text)
        yield from sources
    elif os.path.lexists(path) or not glob.has_magic(text):
        yield path
    else:
        hits = [hit for hit in globbed(text) if not os.path.exists(sidecar_path(hit))]
        if not hits:
            raise InputError(f"{text}: nothing matches", text)
        yield from hits


def globbed(pattern: str) -> list[Path]:
    """The files with an audio suffix that a glob matches, sorted."""
    names = next(filter(None, (glob.glob(each, recursive=True) for each in readings(pattern))), [])
    called = (name for name in sorted(names) if _is_called_audio(os.path.basename(name)))
    return [Path(name) for name in called if not os.path.isdir(name)]


def readings(pattern: str) -> tuple[str, str]:
    """The globs that a pattern may be meant as: with the name of an existing folder escaped, and with all
    brackets."""
    return _literal(pattern), pattern.replace("[", "[[]")


def _literal(pattern: str) -> str:
    """The glob, with its longest leading folder that exists under that very name escaped."""
    parts = pattern.split(os.sep)
    for count in range(len(parts) - 1, 0, -1):
        head = os.sep.join(parts[:count])
        if head and os.path.isdir(head):
            return os.path.join(glob.escape(head), *parts[count:])
    return pattern


def _is_called_audio(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES
