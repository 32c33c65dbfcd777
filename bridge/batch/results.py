"""What became of each item of a batch, one JSON line an item, written as it ends.

Lines are appended: the last one of an item holds. A line that a kill cut short is passed over when read, and
closed before the next one is written.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bridge.batch.run import Event
from presets.errors import InputError, OutputError
from presets.report import plain


class Results:
    """A results file under way, as a context manager.

    Args:
        path: the file; made where it is missing, added to where it is there.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
            self._file.seek(0, os.SEEK_END)
            if self._file.tell():
                self._file.seek(-1, os.SEEK_END)
                if self._file.read(1) != b"\n":
                    self._file.write(b"\n")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}", "results") from None

    def add(self, event: Event) -> None:
        """Writes down how an item ended; progress is passed over.

        Raises:
            OutputError: no room.
        """
        if event.what == "progress":
            return
        try:
            self._file.write(json.dumps(line(event)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}", "results") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def line(event: Event) -> dict[str, Any]:
    """How an item ended, as plain values."""
    said: dict[str, Any] = {
        "source": os.fspath(event.item.source),
        "out": os.fspath(event.item.out),
        "what": event.what,
        "at_s": round(time.time(), 3),
    }
    if event.error is not None:
        said |= {"code": event.error.code, "message": event.error.message, "field": event.error.field}
    if event.what == "done":
        said |= {"seconds": event.seconds, "report": event.report and plain(event.report)}
    return said


def failed_before(path: Path) -> set[str]:
    """The destinations whose last line says that they failed.

    Raises:
        InputError: the file cannot be read.
    """
    last: dict[str, str] = {}
    for said in _lines(path):
        last[said["out"]] = said["what"]
    return {out for out, what in last.items() if what == "failed"}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "results") from None
    for part in text.split(b"\n"):
        with suppress(ValueError):
            said = json.loads(part)
            if isinstance(said, dict) and isinstance(said.get("out"), str) and "what" in said:
                yield said
