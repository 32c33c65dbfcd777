"""Clips in pieces, by byte credit: the two halves of a transfer, without sockets.

The receiver grants credit: "you may send bytes up to here". The sender cuts pieces that end within it and
hashes them as they leave; the last one carries the digest of the whole. All positions are absolute, so a
transfer goes on after a lost connection wherever the receiver says it stands, and a piece that arrives twice
does no harm.
"""

from __future__ import annotations

import hashlib
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from presets.errors import InputError, WireError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hasher() -> hashlib.blake2b:
    """An empty blake2b-256, the digest of everything Airband transfers."""
    return hashlib.blake2b(digest_size=32)


class Bytes(Protocol):
    """A source of bytes with a known size, read at any offset."""

    nbytes: int

    def read(self, offset: int, count: int) -> memoryview:
        """Bytes [offset, offset + count); they stay as they are for as long as the view lives."""
        ...


class ArrayBytes:
    """The bytes of an array in C order, not copied.

    Args:
        array: any contiguous array; it must not change while it is sent.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        import numpy as np

        self._view = np.ascontiguousarray(array).data.cast("B")
        self.nbytes = self._view.nbytes

    def read(self, offset: int, count: int) -> memoryview:
        """A view into the array."""
        return self._view[offset : offset + count]


class FileBytes:
    """The bytes of a file, as a context manager.

    Each piece is read into memory of its own: one copy more than a mapping, but a file that shrinks while it
    is sent gives an error instead of a SIGBUS.

    Args:
        path: an existing file.

    Raises:
        InputError: it cannot be opened, is empty, or is not a regular file.
    """

    def __init__(self, path: Path) -> None:
        try:
            if not path.is_file():
                raise InputError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
            self._file: BufferedReader = path.open("rb")
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        self._path = path
        self.nbytes = self._file.seek(0, 2)
        if self.nbytes == 0:
            self._file.close()
            raise InputError(f"{path}: the file is empty")

    def read(self, offset: int, count: int) -> memoryview:
        """A fresh piece of the file.

        Raises:
            InputError: the file can no longer be read, or has become shorter.
        """
        try:
            self._file.seek(offset)
            piece = self._file.read(count)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {error.strerror}") from None
        if len(piece) != count:
            raise InputError(f"{self._path}: became shorter while it was sent")
        return memoryview(piece)

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def __enter__(self) -> FileBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Piece(NamedTuple):
    """What goes into one `chunk`: `digest` is set on the last one."""

    offset: int
    buffer: memoryview
    last: bool
    digest: str | None


class Sender:
    """Cuts a source into pieces within the credit that was granted, and hashes it on the way.

    Args:
        source: what to send.
        chunk_bytes: the most one piece may weigh.
    """

    def __init__(self, source: Bytes, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._source = source
        self._chunk_bytes = chunk_bytes
        self._hash = hasher()
        self._hashed = 0
        self._limit = 0
        self._offset = 0
        self._finished = False

    def resume(self, offset: int) -> None:
        """Goes on at `offset`, where the receiver stands; credit granted before is void.

        Raises:
            WireError: an offset beyond the source's end.
        """
        if not 0 <= offset <= self._source.nbytes:
            raise WireError(f"resumed at byte {offset} of {self._source.nbytes}", "offset")
        self._offset = self._limit = offset
        self._finished = False

    def grant(self, offset: int, count: int) -> None:
        """Takes credit for bytes [offset, offset + count); a grant that was overtaken changes nothing."""
        self._limit = max(self._limit, min(offset + count, self._source.nbytes))

    def next(self) -> Piece | None:
        """The next piece, or None until more credit comes, and after the last."""
        total = self._source.nbytes
        count = min(self._chunk_bytes, self._limit - self._offset)
        if self._finished or (count <= 0 and self._offset < total):
            return None
        offset, end = self._offset, self._offset + count
        buffer = self._source.read(offset, count)
        self._absorb(offset, buffer)
        self._offset = end
        self._finished = end == total
        return Piece(offset, buffer, self._finished, self._hash.hexdigest() if self._finished else None)

    def _absorb(self, offset: int, buffer: memoryview) -> None:
        """Hashes what was not hashed yet: also what the receiver already had, and nothing twice."""
        while self._hashed < offset:
            missed = self._source.read(self._hashed, min(self._chunk_bytes, offset - self._hashed))
            self._hash.update(missed)
            self._hashed += len(missed)
        fresh = buffer[self._hashed - offset :]
        self._hash.update(fresh)
        self._hashed += len(fresh)


class Receiver:
    """Takes pieces in order and keeps account of credit; what is in them is for others to check.

    Attributes:
        nbytes: the size of the whole.
        offset: the byte that is next.
        credit_bytes: how much the sender may be ahead; it may be set anew before any grant.
        digest: what the last piece said of the whole; None before it came.

    Args:
        nbytes: the size of the whole.
        offset: how much of it earlier transfers brought.
        credit_bytes: see above.

    Raises:
        WireError: more is there than the whole.
    """

    def __init__(self, nbytes: int, offset: int = 0, credit_bytes: int = CREDIT_BYTES) -> None:
        if offset > nbytes:
            raise WireError(f"{offset} bytes are there of a source of {nbytes}", "nbytes")
        self.nbytes, self.offset, self.credit_bytes = nbytes, offset, credit_bytes
        self.digest: str | None = None
        self._granted = offset

    @property
    def complete(self) -> bool:
        """Whether the last piece came."""
        return self.digest is not None

    def grant(self, settled: int | None = None) -> tuple[int, int] | None:
        """Credit (offset, bytes) to tell the sender, or None while it has more than half of it left.

        Args:
            settled: up to which byte nothing waits for the receiver any more; up to its offset by default.
        """
        settled = self.offset if settled is None else settled
        if not self.is_grant_due(settled):
            return None
        self._granted = self._end_of_credit(settled)
        return self.offset, self._granted - self.offset

    def is_grant_due(self, settled: int) -> bool:
        """Whether `grant` gives any; from any thread."""
        is_low = (self._granted - settled) * 2 <= self.credit_bytes
        return is_low and self._end_of_credit(settled) > self._granted

    def outstanding(self, settled: int) -> int:
        """How many bytes beyond `settled` the sender may have sent."""
        return self._granted - settled

    def renew(self, settled: int | None = None) -> tuple[int, int]:
        """Credit (offset, bytes) for a sender that starts anew here; what was granted before is void."""
        self._granted = max(self.offset, self._end_of_credit(self.offset if settled is None else settled))
        return self.offset, self._granted - self.offset

    def take(self, offset: int, buffer: memoryview, last: bool, digest: str | None) -> memoryview:
        """What is new in a piece, to be written at the position `offset` had before the call.

        Args:
            offset: where the piece begins; bytes before the receiver's own offset are skipped.
            buffer: its bytes.
            last: whether it is said to be the end.
            digest: that of the whole, with the last piece.

        Raises:
            WireError: a gap, bytes beyond the credit or the end, an end that is none or has no digest.
        """
        end = offset + len(buffer)
        if self.complete:
            raise WireError(f"a piece at byte {offset} after the last one", "offset")
        if offset > self.offset:
            raise WireError(f"a piece at byte {offset}; byte {self.offset} is next", "offset")
        if end > self.nbytes:
            raise WireError(f"a piece up to byte {end} of a source of {self.nbytes}", "offset")
        if end > self._granted:
            raise WireError(f"a piece up to byte {end}; credit ends at {self._granted}", "offset")
        if last != (end == self.nbytes):
            raise WireError(f"`last` is {last} at byte {end} of {self.nbytes}", "last")
        if last and digest is None:
            raise WireError("the last piece without the digest of the whole", "digest")
        fresh = buffer[self.offset - offset :] if end > self.offset else buffer[:0]
        self.offset += len(fresh)
        self.digest = digest if last else None
        return fresh

    def _end_of_credit(self, settled: int) -> int:
        return min(settled + self.credit_bytes, self.nbytes)


class CheckedReceiver(Receiver):
    """A receiver that hashes what it takes, and has its digest only where that is the one of what came.

    Args:
        nbytes: the size of the whole.
    """

    def __init__(self, nbytes: int) -> None:
        super().__init__(nbytes)
        self._hash = hasher()

    def take(self, offset: int, buffer: memoryview, last: bool, digest: str | None) -> memoryview:
        """As `Receiver.take`; raises WireError also for another digest than that of what came."""
        fresh = super().take(offset, buffer, last, digest)
        self._hash.update(fresh)
        self.digest = None
        if last:
            check_digest(self._hash, digest)
            self.digest = digest
        return fresh


def check_digest(found: hashlib.blake2b, said: str | None) -> None:
    """Raises WireError where what came has another digest than the sender said."""
    if said != found.hexdigest():
        raise WireError(f"digest {said} of what was sent, {found.hexdigest()} of what arrived", "digest")
