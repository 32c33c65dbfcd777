"""Sources on their way in: bytes from the wire to a file of the spool, hashed as they pass."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from pathlib import Path

from bridge.wire.messages import Chunk, File, Grant, Pcm
from bridge.wire.transfer import Receiver
from engine.serving.spool import write_errors_explained
from presets.errors import BusyError, WireError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

UPLOADS_MAX = 256
"""Uploads open at a time: each holds a file."""
WRITES_MAX = CREDIT_BYTES // CHUNK_BYTES
"""Pieces of one upload that may wait to be written."""
SYNC_BYTES = 64 * 1024**2
"""A file is synced whenever it grew by this, so that the last sync does not hold the loop for seconds."""


class Upload:
    """One source; goes on where an earlier connection, or an earlier engine, left it.

    Pieces are hashed in the caller's thread and written in the writer's, one beside the other.

    Args:
        path: the file it grows in.
        nbytes: the size of the whole.
        writer: one thread, so that pieces are written in order.
    """

    def __init__(self, path: Path, nbytes: int, writer: Executor) -> None:
        self._path, self._writer = path, writer
        self._writes: deque[Future[None]] = deque()
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - lives as long as the upload
        try:
            self.receiver = Receiver(nbytes, _pieces(path))
        except WireError:
            self._file.close()
            raise
        self._synced = self.receiver.offset

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
            self._writes.append(self._writer.submit(self._write, fresh, due))
            while len(self._writes) > (0 if self.receiver.complete else WRITES_MAX):
                self._writes.popleft().result()

    def close(self) -> None:
        """Lets go of the file; its bytes stay."""
        wait(self._writes)
        self._file.close()

    def _write(self, piece: memoryview, sync: bool) -> None:
        while piece:
            piece = piece[self._file.write(piece) :]
        if sync:
            os.fsync(self._file.fileno())


class Uploads:
    """All uploads of an engine, by job."""

    def __init__(self) -> None:
        self._open: dict[str, Upload] = {}
        self._writer = ThreadPoolExecutor(1, "airband-spool")

    def __contains__(self, job: str) -> bool:
        return job in self._open

    def __getitem__(self, job: str) -> Upload:
        return self._open[job]

    def open(self, job: str, path: Path, source: Pcm | File) -> Upload:
        """The upload of a job, begun or taken up again; raises BusyError beyond UPLOADS_MAX."""
        if job not in self._open:
            if len(self._open) >= UPLOADS_MAX:
                raise BusyError(f"{UPLOADS_MAX} sources are uploading, the most this engine takes")
            with write_errors_explained(path.parent):
                self._open[job] = Upload(path, nbytes(source), self._writer)
        return self._open[job]

    def close(self, job: str) -> None:
        """Ends an upload, complete or not."""
        upload = self._open.pop(job, None)
        if upload is not None:
            upload.close()

    def close_all(self) -> None:
        """Ends them all; what has come stays for the next engine."""
        for job in list(self._open):
            self.close(job)
        self._writer.shutdown()


def credit(job: str, upload: Upload) -> list[Grant]:
    """The grant that is due, if one is."""
    granted = upload.receiver.grant()
    return [] if granted is None else [Grant(job, *granted)]


def nbytes(source: Pcm | File) -> int:
    """What a source will weigh."""
    return source.audio.nbytes if isinstance(source, Pcm) else source.nbytes


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece
