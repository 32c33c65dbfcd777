"""Sources on their way in: bytes from the wire to a file of the spool, hashed as they pass."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from io import FileIO
from pathlib import Path

from bridge.wire.messages import Chunk, File, Grant, Pcm
from bridge.wire.transfer import Receiver
from engine.serving.spool import write_errors_explained
from presets.errors import BusyError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

FILES_MAX = 128
"""Files of uploads open at a time; beyond it the one silent longest is closed until its next piece."""
WRITES_MAX = CREDIT_BYTES // CHUNK_BYTES
"""Pieces of one upload that may wait to be written."""
SYNC_BYTES = 64 * 1024**2
"""A file is synced whenever it grew by this, so that the last sync does not hold the loop for seconds."""
HASH_AT_ONCE_BYTES = 16 * 1024**2
"""What is there of an interrupted upload is hashed in the loop up to this (20 ms), beyond it in a thread."""


class Upload:
    """One source; goes on where an earlier connection left it.

    Pieces are hashed in the caller's thread and written in the writer's, one beside the other.

    Args:
        path: the file it grows in.
        receiver: what is there of it already.
        writer: one thread, so that pieces are written in order.
    """

    def __init__(self, path: Path, receiver: Receiver, writer: Executor) -> None:
        self._path, self._writer, self.receiver = path, writer, receiver
        self._writes: deque[Future[None]] = deque()
        self._file: FileIO | None = None
        self._synced = receiver.offset

    def take(self, chunk: Chunk, buffer: memoryview) -> None:
        """Writes what is new in a piece.

        Raises:
            WireError: a piece out of turn, or another digest at the end.
            OutputError: no room on the disk.
        """
        fresh = self.receiver.take(chunk.offset, buffer, chunk.last, chunk.digest)
        due = self.receiver.complete or self.receiver.offset - self._synced >= SYNC_BYTES
        if due:
            self._synced = self.receiver.offset
        with write_errors_explained(self._path.parent):
            if self._file is None:
                self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - until `rest`
            self._writes.append(self._writer.submit(_write, self._file, fresh, due))
            while len(self._writes) > (0 if self.receiver.complete else WRITES_MAX):
                self._writes.popleft().result()

    def rest(self) -> None:
        """Closes the file until the next piece; its bytes stay."""
        wait(self._writes)
        if self._file is not None:
            self._file.close()
            self._file = None


class Uploads:
    """All uploads of an engine, by job."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._writing: OrderedDict[str, Upload] = OrderedDict()
        """Those with an open file, the one that was silent longest first."""
        self._hashing: dict[str, Future[Receiver]] = {}
        self._writer = ThreadPoolExecutor(1, "airband-spool")
        self._hasher = ThreadPoolExecutor(1, "airband-hash")

    def __contains__(self, job: str) -> bool:
        return job in self._uploads

    @property
    def writing(self) -> int:
        """How many have a file open: at most FILES_MAX."""
        return len(self._writing)

    def take(self, chunk: Chunk, buffer: memoryview) -> Upload:
        """Takes a piece of a source that was begun; raises as `Upload.take` does."""
        upload = self._uploads[chunk.job]
        self._writing[chunk.job] = upload
        self._writing.move_to_end(chunk.job)
        if len(self._writing) > FILES_MAX:
            self._writing.popitem(last=False)[1].rest()
        upload.take(chunk, buffer)
        return upload

    def open(self, job: str, path: Path, source: Pcm | File) -> Upload:
        """The upload of a job, begun or taken up again.

        Raises:
            BusyError: much of it is there from an earlier engine, and is being hashed.
            WireError: more of it is there than it should hold.
        """
        if job in self._uploads:
            return self._uploads[job]
        with write_errors_explained(path.parent):
            there = path.stat().st_size if path.exists() else 0
        if job not in self._hashing:
            self._hashing[job] = self._hasher.submit(_received, path, nbytes(source))
        hashing = self._hashing[job]
        if there > HASH_AT_ONCE_BYTES and not hashing.done():
            raise BusyError(f"{there} bytes of this source are there and are being checked", retry_s=0.5)
        with write_errors_explained(path.parent):
            receiver = self._hashing.pop(job).result()
        self._uploads[job] = Upload(path, receiver, self._writer)
        return self._uploads[job]

    def close(self, job: str) -> None:
        """Ends an upload, complete or not."""
        self._hashing.pop(job, None)
        self._writing.pop(job, None)
        upload = self._uploads.pop(job, None)
        if upload is not None:
            upload.rest()

    def close_all(self) -> None:
        """Ends them all; what has come stays for the next engine."""
        for job in list(self._uploads):
            self.close(job)
        self._writer.shutdown()
        self._hasher.shutdown(cancel_futures=True)


def credit(job: str, upload: Upload) -> list[Grant]:
    """The grant that is due, if one is."""
    granted = upload.receiver.grant()
    return [] if granted is None else [Grant(job, *granted)]


def nbytes(source: Pcm | File) -> int:
    """What a source will weigh."""
    return source.audio.nbytes if isinstance(source, Pcm) else source.nbytes


def _received(path: Path, total: int) -> Receiver:
    return Receiver(total, _pieces(path) if path.exists() else ())


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


def _write(file: FileIO, piece: memoryview, sync: bool) -> None:
    while piece:
        piece = piece[file.write(piece) :]
    if sync:
        os.fsync(file.fileno())
