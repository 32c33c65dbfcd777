"""Sources on their way in: bytes from the wire to a file of the spool, hashed as they pass.

Nothing here waits for the disk, unless one upload has very many pieces that are not written yet: pieces are
hashed in the caller's thread; others open the file, write it and, once all of it is on the disk, name it. An
upload whose last piece came is `stored` then. Credit follows what is written, and the more uploads send, the
less each gets: that much memory they may take, however slow the disk.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from functools import partial
from io import FileIO
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue

from bridge.wire.bounds import bounded_text
from bridge.wire.messages import Chunk, Failed, File, Grant, Pcm
from bridge.wire.transfer import Receiver
from engine.state.disk import is_disk_full, write_errors_explained
from engine.state.spool import RESERVE_BYTES
from presets.errors import BusyError, OutputError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

FILES_MAX = 128
"""Files of uploads open at a time; beyond it the one silent longest is closed until its next piece."""
WRITERS = 4
"""Threads that write: file systems sync several files nearly as fast as one."""
CREDIT_SUM_BYTES = 256 * 1024**2
"""What the uploads that send share of credit: with FILES_MAX of them, two pieces each."""
WRITES_MAX = 4 * CREDIT_BYTES // CHUNK_BYTES
"""Pieces of one upload that may wait to be written before the caller waits for them."""
SYNC_BYTES = 64 * 1024**2
"""A file is synced whenever it grew by this, so that the last sync does not take seconds."""
HASH_AT_ONCE_BYTES = 16 * 1024**2
"""What is there of an interrupted upload is hashed at once up to this (20 ms), beyond it in a thread."""


class Upload:
    """One source; goes on where an earlier connection left it.

    Args:
        path: the file it grows in.
        receiver: what is there of it already.
        writer: one thread, so that pieces are written in order; no other touches the file.
        wake: called from that thread once the upload is stored, or could not be.
        on_due: called from that thread when more credit is due, or a piece could not be written.
        evict, name: as for `Uploads`.
    """

    def __init__(
        self,
        path: Path,
        receiver: Receiver,
        writer: Executor,
        wake: Callable[[], None],
        on_due: Callable[[], None],
        evict: Callable[[int], int],
        name: Callable[[Path, str], None],
    ) -> None:
        self._path, self._writer, self.receiver = path, writer, receiver
        self._wake, self._on_due, self._evict, self._name = wake, on_due, evict, name
        self._writes: deque[Future[None]] = deque()
        self._file: FileIO | None = None
        self._failed: OSError | None = None
        self._synced = self._written = receiver.offset
        self.heard_s = time.monotonic()

    def take(self, chunk: Chunk, buffer: memoryview) -> None:
        """Hands what is new in a piece to the writer.

        Raises:
            WireError: a piece out of turn, or another digest at the end.
            OutputError: no room on the disk.
        """
        self.heard_s = time.monotonic()
        fresh = self.receiver.take(chunk.offset, buffer, chunk.last, chunk.digest)
        due = self.receiver.complete or self.receiver.offset - self._synced >= SYNC_BYTES
        if due:
            self._synced = self.receiver.offset
        write = self._writer.submit(self._write, fresh, due, self.receiver.digest)
        self._writes.append(write)
        with write_errors_explained(self._path.parent):
            while self._writes and (len(self._writes) > WRITES_MAX or self._writes[0].done()):
                self._writes.popleft().result()
        if self.receiver.complete:
            write.add_done_callback(lambda _: self._wake())

    def grant(self) -> tuple[int, int] | None:
        """Credit that is due, see `Receiver.grant`; OutputError when a piece could not be written."""
        if self._failed is not None:
            with write_errors_explained(self._path.parent):
                raise self._failed
        return self.receiver.grant(self._written)

    @property
    def outstanding(self) -> int:
        """How many bytes may have been sent that are not written."""
        return 0 if self.has_ended else self.receiver.outstanding(self._written)

    @property
    def stored(self) -> bool:
        """Whether all of it has come and bears its name; raises OutputError when that failed."""
        with write_errors_explained(self._path.parent):
            while self._writes and self._writes[0].done():
                self._writes.popleft().result()
        return self.receiver.complete and not self._writes

    @property
    def has_ended(self) -> bool:
        """Whether its last piece was written, or could not be, so that nobody touches its file any more."""
        return self.receiver.complete and all(write.done() for write in self._writes)

    def wait(self) -> None:
        """Waits until what came is written."""
        wait(self._writes)

    def rest(self) -> None:
        """Closes the file until the next piece, once what came is written; its bytes stay."""
        self._writes.append(self._writer.submit(self._close))

    def _write(self, piece: memoryview, sync: bool, digest: str | None) -> None:
        """Writes a piece; with a `digest` it was the last. A file that lacks a piece is not written on."""
        if self._failed is not None:
            raise self._failed
        try:
            file = self._append(piece)
            self._written += len(piece)
            if digest is None and self.receiver.is_grant_due(self._written):
                self._on_due()
            if sync:
                os.fsync(file.fileno())
            if digest is not None:
                self._close()
                self._name(self._path, digest)
        except OSError as error:
            self._failed = error
            self._close()
            self._on_due()
            raise

    def _append(self, piece: memoryview) -> FileIO:
        may_evict = True
        while self._file is None or piece:
            try:
                if self._file is None:
                    self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - until `rest`
                piece = piece[self._file.write(piece) :]
            except OSError as error:
                if not (may_evict and is_disk_full(error) and self._evict(RESERVE_BYTES)):
                    raise
                may_evict = False
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Uploads:
    """All uploads of an engine, by job.

    Args:
        wake: called from a thread when the last piece of an upload is on the disk.
        evict: makes so many bytes of room on a full disk and says how many it made; from a thread.
        name: given the file of a complete source and its digest, names it so; from a thread.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        evict: Callable[[int], int],
        name: Callable[[Path, str], None],
    ) -> None:
        self._wake, self._evict, self._name = wake, evict, name
        self._uploads: dict[str, Upload] = {}
        self._writing: OrderedDict[str, Upload] = OrderedDict()
        """Those with an open file, the one that was silent longest first."""
        self._complete: dict[str, Upload] = {}
        self._due: SimpleQueue[str] = SimpleQueue()
        self._hashing: dict[str, Future[Receiver]] = {}
        self._writers = [ThreadPoolExecutor(1, "airband-spool") for _ in range(WRITERS)]
        self._turns = cycle(self._writers)
        self._hasher = ThreadPoolExecutor(1, "airband-hash")

    def __contains__(self, job: str) -> bool:
        return job in self._uploads

    @property
    def writing(self) -> int:
        """How many have a file open: at most FILES_MAX."""
        return len(self._writing)

    @property
    def outstanding(self) -> int:
        """How many bytes may be on their way; beyond FILES_MAX times CREDIT_BYTES there are never so many."""
        sent = sum(upload.outstanding for upload in self._uploads.values())
        return min(sent, FILES_MAX * CREDIT_BYTES)

    @property
    def complete(self) -> list[tuple[str, Upload]]:
        """Those whose last piece came, until they are closed."""
        return list(self._complete.items())

    def digest(self, job: str) -> str:
        """Of a source whose last piece came; "" before that, and once it is closed."""
        return self._complete[job].receiver.digest or "" if job in self._complete else ""

    def brings(self, digest: str) -> bool:
        """Whether one whose last piece came has this digest."""
        return any(upload.receiver.digest == digest for upload in self._complete.values())

    def silent(self, for_s: float) -> list[tuple[str, Upload]]:
        """Those of which nothing came for so long."""
        before_s = time.monotonic() - for_s
        return [each for each in self._uploads.items() if each[1].heard_s < before_s]

    def take(self, chunk: Chunk, buffer: memoryview) -> Upload:
        """Takes a piece of a source that was begun; raises as `Upload.take` does."""
        upload = self._uploads[chunk.job]
        self._writing[chunk.job] = upload
        self._writing.move_to_end(chunk.job)
        if len(self._writing) > FILES_MAX:
            self._writing.popitem(last=False)[1].rest()
        upload.take(chunk, buffer)
        if upload.receiver.complete:
            self._complete[chunk.job] = upload
        return upload

    def open(self, job: str, path: Path, source: Pcm | File) -> Upload:
        """The upload of a job, begun or taken up again.

        Raises:
            BusyError: much of it is there from an earlier engine, and is being hashed.
            WireError: more of it is there than it should hold.
        """
        if job in self._uploads:
            self._uploads[job].receiver.credit_bytes = self._share
            return self._uploads[job]
        with write_errors_explained(path.parent):
            there = path.stat().st_size if path.exists() else 0
        receiver = self._resumed(job, path, nbytes(source), there) if there else Receiver(nbytes(source))
        writer, on_due = next(self._turns), partial(self._note_due, job)
        upload = Upload(path, receiver, writer, self._wake, on_due, self._evict, self._name)
        self._uploads[job] = upload
        receiver.credit_bytes = self._share
        return upload

    @property
    def _share(self) -> int:
        """The credit of one upload."""
        return min(CREDIT_BYTES, CREDIT_SUM_BYTES // max(1, len(self._writing)))

    def credit(self, job: str) -> list[Grant]:
        """The grant that is due, if one is; OutputError when a piece could not be written."""
        upload = self._uploads[job]
        upload.receiver.credit_bytes = self._share
        granted = upload.grant()
        return [] if granted is None else [Grant(job, *granted)]

    def news(self) -> Iterator[Grant | Failed]:
        """What became due since the last time: credit for what is written now, the end of what cannot be."""
        while not self._due.empty():
            job = self._due.get()
            if job in self._uploads:
                try:
                    yield from self.credit(job)
                except OutputError as error:
                    yield Failed(job, error.code, bounded_text(error.message), error.field)

    def _note_due(self, job: str) -> None:
        self._due.put(job)
        self._wake()

    def _resumed(self, job: str, path: Path, total: int, there: int) -> Receiver:
        if job not in self._hashing:
            self._hashing[job] = self._hasher.submit(_received, path, total)
        if there > HASH_AT_ONCE_BYTES and not self._hashing[job].done():
            raise BusyError(f"{there} bytes of this source are there and are being checked", retry_s=0.5)
        with write_errors_explained(path.parent):
            return self._hashing.pop(job).result()

    def close(self, job: str) -> None:
        """Ends an upload, complete or not."""
        self._hashing.pop(job, None)
        self._writing.pop(job, None)
        self._complete.pop(job, None)
        upload = self._uploads.pop(job, None)
        if upload is not None and not upload.has_ended:
            upload.rest()
            upload.wait()

    def close_all(self) -> None:
        """Ends them all; what has come stays for the next engine."""
        for job in list(self._uploads):
            self.close(job)
        for writer in self._writers:
            writer.shutdown()
        self._hasher.shutdown(cancel_futures=True)


def nbytes(source: Pcm | File) -> int:
    """What a source will weigh."""
    return source.audio.nbytes if isinstance(source, Pcm) else source.nbytes


def _received(path: Path, total: int) -> Receiver:
    return Receiver(total, _pieces(path))


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece
