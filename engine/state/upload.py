"""One incoming source: a thread hashes and writes its pieces, checks the whole, and names it.

The caller that brings the pieces never waits for that thread. Unwritten pieces are in memory, limited by the
sender's credit, and credit follows what is written. The thread works in short steps, so that its uploads take
turns. A step hashes some of what an earlier engine left of the source; or it hashes and writes a piece; or it
compares the digest of the whole with the sender's, syncs the file and names it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from io import FileIO
from pathlib import Path
from threading import Event, Lock

from bridge.wire.messages import Chunk
from bridge.wire.transfer import Receiver, check_digest, hasher
from engine.state.disk import is_disk_full, write_errors_explained
from engine.state.spool import RESERVE_BYTES
from presets.errors import AirbandError, OutputError
from presets.limits import CHUNK_BYTES

SIGN_S = 5.0
"""How often a sender is told that the engine still reads the existing part of its source, in seconds."""
SYNC_BYTES = 64 * 1024**2
"""The file is synced each time it has grown by this, so that the last sync does not take seconds."""


class Upload:
    """One source; continues what an earlier engine received.

    Attributes:
        receiver: the order of its pieces, and its credit.
        heard_s: when its last piece arrived (monotonic clock).
        stored: it is complete, on disk and has its name.

    Args:
        path: the file it is written to.
        receiver: its offset tells how much of the source exists already.
        writer: a single thread, which alone touches the file.
        on_news: called from that thread when more credit is due, from time to time while it `reads`, and when
            it is done with an upload that was stored, failed or abandoned.
        evict: frees so many bytes on a full disk and returns how many; called from that thread.
        name: names the file of a complete source by its digest; called from that thread.
        count: called with the change of `outstanding`, from any thread.
    """

    def __init__(
        self,
        path: Path,
        receiver: Receiver,
        writer: Executor,
        on_news: Callable[[], None],
        evict: Callable[[int], int],
        name: Callable[[Path, str], None],
        count: Callable[[int], None],
    ) -> None:
        self.receiver, self.heard_s = receiver, time.monotonic()
        self._sign_s = self.heard_s
        self._path, self._writer, self._on_news = path, writer, on_news
        self._evict, self._name, self._count = evict, name, count
        self._there = receiver.offset
        self._lock = Lock()
        """Protects the pieces that wait to be written, and whether the thread works on them."""
        self._pieces: deque[memoryview | bytearray] = deque()
        self._rests = Event()
        self._rests.set()
        self.stored = self._is_abandoned = False
        self._failed: AirbandError | None = None
        self._file: FileIO | None = None
        self._hash = hasher()
        self._settled = self._synced = 0
        """Up to which byte it is hashed and in the file, and up to which it is synced."""
        self._counted = 0
        self._start()

    def take(self, chunk: Chunk, buffer: memoryview) -> None:
        """Takes the new part of a piece; raises WireError for one out of turn."""
        self.heard_s = time.monotonic()
        fresh = self.receiver.take(chunk.offset, buffer, chunk.last, chunk.digest)
        with self._lock:
            if self._pieces and len(self._pieces[-1]) + len(fresh) <= CHUNK_BYTES:
                self._pieces[-1] = _joined(self._pieces[-1], fresh)  # so that tiny pieces do not pile up
            elif fresh:
                self._pieces.append(fresh)
        self._start()

    def grant(self) -> tuple[int, int] | None:
        """Credit that is due, see `Receiver.grant`.

        Raises:
            OutputError: a piece could not be written.
            WireError: the received bytes do not match the sender's digest.
        """
        if self._failed is not None:
            raise self._failed
        granted = self.receiver.grant(self._settled)
        self._count_outstanding()
        return granted

    def renew(self) -> tuple[int, int]:
        """Credit for a sender that starts again, see `Receiver.renew`; more follows as old bytes are read."""
        granted = self.receiver.renew(self._settled)
        self._count_outstanding()
        return granted

    @property
    def reads(self) -> bool:
        """Whether the part that an earlier engine received is still being read."""
        return self._settled < self._there

    @property
    def outstanding(self) -> int:
        """How many bytes may have been sent but are not written."""
        return 0 if self._is_abandoned else self.receiver.outstanding(max(self._settled, self._there))

    @property
    def rests(self) -> bool:
        """Whether the thread leaves its file alone until more arrives."""
        return self._rests.is_set()

    def wait(self) -> None:
        """Waits until the received bytes are written, or writing failed."""
        self._rests.wait()

    def close_file(self) -> None:
        """Closes the file until the next piece, once the current step is done."""
        self._writer.submit(self._close_file)

    def abandon(self) -> None:
        """Discards what is not written; the file is left alone once the upload `rests`."""
        with self._lock:
            self._is_abandoned = True
            self._pieces.clear()
        self._count_outstanding()
        self._start()

    def _count_outstanding(self) -> None:
        with self._lock:
            outstanding = self.outstanding
            self._count(outstanding - self._counted)
            self._counted = outstanding

    def _start(self) -> None:
        with self._lock:
            if self._has_work and self._rests.is_set():
                self._rests.clear()
                self._writer.submit(self._work)

    @property
    def _has_work(self) -> bool:
        if self._is_abandoned or self._failed is not None:
            return self._file is not None
        return self._settled < self._there or bool(self._pieces) or (self._is_whole and not self.stored)

    @property
    def _is_whole(self) -> bool:
        return self.receiver.complete and self._settled == self.receiver.nbytes

    def _work(self) -> None:
        """Does one step; the next one comes after those of the thread's other uploads."""
        try:
            with write_errors_explained(self._path.parent):
                self._step()
        except AirbandError as error:
            self._failed = error
        with self._lock:
            if self._failed is not None:
                self._pieces.clear()
            if is_at_work := self._has_work:
                self._writer.submit(self._work)
            else:
                self._rests.set()
        is_news = self.stored or self._is_abandoned or self._failed is not None
        is_sign_due = self.reads and time.monotonic() - self._sign_s > SIGN_S
        if is_sign_due:
            self._sign_s = time.monotonic()
        if (is_news and not is_at_work) or is_sign_due or self.receiver.is_grant_due(self._settled):
            self._on_news()

    def _step(self) -> None:
        if self._is_abandoned or self._failed is not None:
            self._close_file()
        elif self._settled < self._there:
            self._read_on()
        elif self._pieces:
            with self._lock:
                piece = self._pieces.popleft() if self._pieces else b""
            self._write(piece)
        else:
            self._finish()

    def _read_on(self) -> None:
        with open(self._path, "rb") as file:
            file.seek(self._settled)
            piece = file.read(min(CHUNK_BYTES, self._there - self._settled))
        if not piece:
            raise OutputError(
                f"{self._path} became shorter while it was read; submit the job again", "source"
            )
        self._hash.update(piece)
        self._settled = self._synced = self._settled + len(piece)

    def _write(self, piece: memoryview | bytearray | bytes) -> None:
        self._hash.update(piece)
        file = self._append(memoryview(piece))
        self._settled += len(piece)
        self._count_outstanding()
        if self._settled - self._synced >= SYNC_BYTES:
            os.fsync(file.fileno())
            self._synced = self._settled

    def _append(self, piece: memoryview) -> FileIO:
        may_evict = True
        while self._file is None or piece:
            try:
                if self._file is None:
                    self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - until it is closed
                piece = piece[self._file.write(piece) :]
            except OSError as error:
                if not (may_evict and is_disk_full(error) and self._evict(RESERVE_BYTES)):
                    raise
                may_evict = False
        return self._file

    def _finish(self) -> None:
        said = self.receiver.digest
        check_digest(self._hash, said)
        assert said is not None
        os.fsync(self._append(memoryview(b"")).fileno())
        self._close_file()
        self._name(self._path, said)
        self.stored = True

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _joined(piece: memoryview | bytearray, more: memoryview) -> bytearray:
    joined = piece if isinstance(piece, bytearray) else bytearray(piece)
    joined += more
    return joined
