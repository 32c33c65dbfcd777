"""All watch folders and batches of a console, kept in a file of the state folder.

A console that ended or was killed resumes, at its next start, what was running; nothing is done twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from bridge.console.batches.batch import Batch, BatchAsked, Kept
from bridge.console.engine_line import EngineLine
from bridge.wire.private_files import make_private_folder
from bridge.wire.ulid import new_ulid
from presets.errors import OutputError, UsageError

BATCHES_MAX = 100


class Batches:
    """All watch folders and batches of a console.

    Args:
        path: the file that stores them.
        line: to the engine.
    """

    def __init__(self, path: Path, line: EngineLine) -> None:
        self._path, self._line = path, line
        self._lock, self._closed = threading.Lock(), False
        make_private_folder(path.parent)
        self._batches: dict[str, Batch] = {kept.id: self._made(kept) for kept in self._read()}

    def resume(self) -> None:
        """Resumes what was running when the console ended."""
        for batch in list(self._batches.values()):
            if batch.state == "running":
                batch.start()

    def add(self, asked: BatchAsked) -> dict[str, Any]:
        """Starts a batch.

        Raises:
            UsageError, InputError: it could never run, or its paths are outside the engine's roots.
        """
        roots = self._line.roots
        source, out = roots.allowed(asked.source, "source"), roots.allowed(asked.out, "out")
        if not source.exists():
            raise UsageError(f"{source}: no such file or folder", "source")
        if len(self._batches) >= BATCHES_MAX:
            raise UsageError(f"{BATCHES_MAX} batches are listed; remove some", "batch")
        asked = msgspec.structs.replace(asked, source=str(source), out=str(out))
        batch = self._made(Kept(new_ulid(), asked, "paused"))
        batch.check()
        self._batches[batch.id] = batch
        batch.start()
        return batch.told()

    def get(self, id: str) -> Batch:
        """The batch with that id; raises UsageError if there is none."""
        batch = self._batches.get(id)
        if batch is None:
            raise UsageError("this batch is not listed any more", "batch")
        return batch

    def act(self, id: str, what: Literal["pause", "resume", "remove"]) -> None:
        """Pauses a batch, resumes it, or pauses it and removes it from the list."""
        batch = self.get(id)
        if what == "resume":
            batch.start()
            return
        batch.pause()
        if what == "remove":
            self._batches.pop(id, None)  # another page may have removed it a moment ago
            self._write()

    def told(self) -> list[dict[str, Any]]:
        """All batches as pages show them, the latest first."""
        return [batch.told() for batch in reversed(list(self._batches.values()))]

    def close(self) -> None:
        """Ends the threads; the next console resumes what was running."""
        self._closed = True  # so that the file keeps the state "running"
        for batch in list(self._batches.values()):
            if batch.state == "running":
                batch.pause()

    def _made(self, kept: Kept) -> Batch:
        return Batch(kept, self._line, self._write)

    def _read(self) -> Iterator[Kept]:
        with suppress(OSError, msgspec.DecodeError):
            yield from msgspec.json.decode(self._path.read_bytes(), type=list[Kept])

    def _write(self) -> None:
        if self._closed:
            return
        with self._lock:
            kept = [Kept(batch.id, batch.asked, batch.state) for batch in list(self._batches.values())]
            part = self._path.with_suffix(".part")
            try:
                part.write_bytes(msgspec.json.encode(kept))
                part.replace(self._path)
            except OSError as error:
                raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None
