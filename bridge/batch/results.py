"""The outcome of each item of a batch: as a line of text for the user, and as a JSON line in a results file.

Lines are appended: the last line of an item counts. A line that a kill cut short is skipped when read, and
    ended
before the next one is written.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from bridge.batch.run import Event, Judged
from bridge.batch.sources import check_source
from presets.errors import AirbandError, InputError, OutputError
from presets.printable import printable
from presets.report import RenderReport, plain
from render.files.parts import refusal

OTHER_ENDS = {"unchanged": "left as found", "skipped": "done already", "failed": "failed"}
"""Outcomes of an item other than a render, and the words for them in a summary."""


class Results:
    """An open results file, as a context manager.

    Args:
        path: the file; created if missing, otherwise appended to. Or a pipe that somebody reads, or a
            device.

    Raises:
        OutputError: it cannot be written, or is a file of another kind.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_file = not path.exists() or (path.is_file() and not _is_stdout(path))
            self._file = _appending(path) if is_file else _sending(path)
        except OSError as error:
            reason = "nobody reads this pipe" if error.errno == errno.ENXIO else refusal(error, path)
            raise OutputError(f"{path}: cannot be written: {reason}", "results") from None

    def add(self, event: Event) -> None:
        """Writes the outcome of an item; progress events are ignored.

        Raises:
            OutputError: the line cannot be written, for instance on a full disk.
        """
        if event.what == "progress":
            return
        try:
            self._file.write(json.dumps(line(event)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            reason = refusal(error, self._path)
            raise OutputError(f"{self._path}: cannot be written: {reason}", "results") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a line that could not be written; `add` has reported it
            self._file.close()


def _appending(path: Path) -> BinaryIO:
    """Opens a file at the end of its last whole line."""
    file = path.open("ab+")
    file.seek(0)
    if file.read(1) not in (b"", b"{"):
        file.close()
        raise OutputError(f"{path}: exists and is not a results file; choose another", "results")
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def _sending(path: Path) -> BinaryIO:
    """Opens stdout, a pipe or a device, which are not read back; does not wait for a pipe's reader."""
    if _is_stdout(path):  # opened again, a file would have two ends, and lines overwrite each other
        return os.fdopen(os.dup(1), "wb")
    handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    if os.name == "posix":
        os.set_blocking(handle, True)
    return os.fdopen(handle, "wb")


def _is_stdout(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def line(event: Event) -> dict[str, Any]:
    """The outcome of an item, as plain values."""
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
    if event.judged is not None:
        said |= comparison(event.judged)
    return said


def comparison(judged: Judged) -> dict[str, Any]:
    """The comparison of a clip's takes, as plain values."""
    takes = {
        os.fspath(out): {"distance": distance, **msgspec.to_builtins(judged.figures[out])}
        for out, distance in judged.distances.items()
    }
    return {"why": judged.why, "takes": takes}


def described(event: Event) -> str:
    """The outcome of an item in one line, whatever characters its file's name holds."""
    item = event.item
    if event.error is not None:
        return about(item.source, event.error)
    where = str(item.source) if item.out == item.source else f"{item.source} -> {item.out}"  # edited in place
    if event.what == "skipped":
        return printable(f"{where}: done already")
    report, found = event.report, event.unchanged
    if report is not None and not found:
        found = report.cutoff_reason
        if report.generated:
            found = f"generated above {report.cutoff_hz:.0f} Hz ({report.cutoff_method})"
        if report.filled is not None:
            found = f"{found}; {report.filled.reason}"
    notes = _notes(report) if report is not None else []
    return printable(f"{where}: {'; '.join([found, *notes])}, {event.seconds:.1f} s")


def _notes(report: RenderReport) -> list[str]:
    """What a user should hear of a render, beside what was generated."""
    notes = []
    if report.shortfall is not None:
        notes.append(f"the source is incomplete: {report.shortfall}")
    if report.effects is not None and report.effects.bypassed:
        notes.append(f"bypassed: {', '.join(report.effects.bypassed)}")
    if report.loudness is not None and report.loudness.missed:
        notes.append(report.loudness.missed)
    if report.not_carried:
        notes.append(f"left out of the metadata: {', '.join(report.not_carried)}")
    return notes


def about(source: Path, error: AirbandError) -> str:
    """An error about a file, in one line that names the file once."""
    reason = error.message.removeprefix(f"{os.path.abspath(source)}: ")
    if reason.startswith(f"{source} and "):
        return printable(reason)
    for name in (str(source), source.name):
        if reason.startswith((f"{name}: ", f"{name} ")):
            reason = reason.removeprefix(name).removeprefix(":").lstrip()
            break
    return printable(f"{source}: {reason}")


def compared(event: Event, *, explained: bool) -> Iterator[str]:
    """Lines that compare the takes of a clip and name the best; preceded by a legend of the figures, unless
    that was `explained` before."""
    from render.measure.takes import expected, legend, told

    assert event.judged is not None
    if not event.judged.is_measured:
        yield printable(f"{event.item.source}: {event.judged.why}")
        return
    if not explained:
        yield from legend()
    yield printable(f"{event.item.source}: best is {event.item.out.name}: {event.judged.why}")
    if have := expected(event.judged.figures[event.item.out]):
        yield f"    recordings like this: {have}"
    for out, distance in event.judged.distances.items():
        mark = "*" if out == event.item.out else " "
        yield printable(f"  {mark} {out.name}: {distance:.2f} ({told(event.judged.figures[out])})")


def summary(counts: Counter[str], total: int, seconds: float) -> str:
    """The last line of a batch."""
    parts = [f"{counts['done']} rendered"]
    parts += [f"{counts[what]} {words}" for what, words in OTHER_ENDS.items() if counts[what]]
    left = total - sum(counts[what] for what in ("done", *OTHER_ENDS))
    parts += [f"{left} not rendered"] if left else []
    return f"{', '.join(parts)} in {seconds:.1f} s"


def failed_before(path: Path) -> set[str]:
    """The absolute paths of the destinations whose last line says that they failed.

    Raises:
        InputError: the file cannot be read, or is not a regular file (a named pipe would block).
    """
    last: dict[str, str] = {}
    for said in _lines(path):
        last[os.path.abspath(said["out"])] = said["what"]
    return {out for out, what in last.items() if what == "failed"}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    check_source(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "results") from None
    for part in text.split(b"\n"):
        with suppress(ValueError):
            said = json.loads(part)
            if isinstance(said, dict) and isinstance(said.get("out"), str) and "what" in said:
                yield said
