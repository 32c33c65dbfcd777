"""Paths that a page names: allowed only below the engine's roots, whatever links and dots they contain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bridge.batch.manifest.tables import SUFFIXES
from bridge.batch.sources import AUDIO_SUFFIXES
from presets.errors import InputError, UsageError
from presets.printable import is_utf8, printable

SUGGESTIONS = 40


class Roots:
    """The folders that may be opened.

    Args:
        folders: absolute, with links resolved; none for an engine that opens no paths.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def allowed(self, text: str, field: str = "path") -> Path:
        """The path that `text` names, links followed.

        Raises:
            UsageError: it is not absolute, or not UTF-8, so that no page and no record can hold it.
            InputError: it lies outside the roots; the error does not tell whether anything exists there.
        """
        try:
            path = Path(os.path.expanduser(text))
            if not path.is_absolute() or "\0" in text:
                raise UsageError(f"{text!r} is not an absolute path", field)
            path = Path(os.path.realpath(path))
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"{text!r} is not a path: {error}", field) from None
        if not any(path.is_relative_to(folder) for folder in self._folders):
            raise InputError(
                f"{text}: outside the folders that this engine may open; drop the file, or start the engine "
                "with --root",
                field,
            )
        if not is_utf8(str(path)):
            raise UsageError(
                f"{printable(str(path))}: its name is not UTF-8; rename it, or drop the file", field
            )
        return path

    def suggestions(self, text: str) -> list[str]:
        """Folders (with a slash), audio files and manifests whose paths begin with `text`."""
        if not text:
            return [f"{folder}".rstrip("/") + "/" for folder in self._starts()]
        head, tail = os.path.split(text)
        try:
            folder = self.allowed(head or "/")
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (UsageError, InputError, OSError):
            return []
        found = []
        for entry in entries:
            if not entry.name.startswith(tail) or (entry.name.startswith(".") and not tail.startswith(".")):
                continue
            if not is_utf8(entry.name):
                continue
            path = os.path.join(head, entry.name)
            if entry.is_dir():
                found.append(path + "/")
            elif Path(entry.name).suffix.lower() in {*AUDIO_SUFFIXES, *SUFFIXES}:
                found.append(path)
            if len(found) == SUGGESTIONS:
                break
        return found

    def _starts(self) -> list[Path]:
        home = Path.home()
        return [home] if any(home.is_relative_to(folder) for folder in self._folders) else list(self._folders)
