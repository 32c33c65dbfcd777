"""Transfer of clips in pieces, by byte credit: sender and receiver, without sockets.

The receiver grants credit: "you may send bytes up to here". The sender cuts pieces that end within it and
hashes them as they leave; the last piece carries the digest of the whole. All positions are absolute, so
after a lost connection a transfer continues at the offset that the receiver names, and a piece that arrives
twice does no harm.
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
    """An empty blake2b-256, the digest of all that Airband transfers."""
    return hashlib.blake2b(digest_size=32)


class Bytes(Protocol):
    """A source of bytes with a known size, read at any offset."""

    nbytes: int

    def read(self, offset: int, count: int) -> memoryview:
        """Bytes [offset, offset + count); they do not change for as long as the view lives."""
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

    Each piece is read into memory of its own. That is one copy more than a memory map, but a file that
    shrinks while it is sent raises an error instead of a SIGBUS.

    Args:
        path: an existing file.

    Raises:
        InputError: it cannot be opened, is empty, or is not a regular file.
    """

    def __init__(self, path: Path) -> None:
        try:
            if not path.is_file():
                reason = "not a file" if path.exists() else "no such file"
                raise InputError(f"{path}: {reason}", "source")
            self._file: BufferedReader = path.open("rb")
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}", "source") from None
        self._path = path
        self.nbytes = self._file.seek(0, 2)
        if self.nbytes == 0:
            self._file.close()
            raise InputError(f"{path}: the file is empty", "source")

    def read(self, offset: int, count: int) -> memoryview:
        """A fresh piece of the file.

        Raises:
            InputError: the file can no longer be read, or has become shorter.
        """
        try:
            self._file.seek(offset)
            piece = self._file.read(count)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {error.strerror}", "source") from None
        if len(piece) != count:
            raise InputError(f"{self._path}: became shorter while it was sent", "source")
        return memoryview(piece)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> FileBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Piece(NamedTuple):
    """The content of one `chunk`; `digest` is set on the last one."""

    offset: int
    buffer: memoryview
    last: bool
    digest: str | None


class Sender:
    """Cuts a source into pieces within the granted credit, and hashes it on the way.

    Args:
        source: what to send.
        chunk_bytes: the size of the largest piece.
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
        """Continues at `offset`, the receiver's position; credit granted before is void.

        Raises:
            WireError: `offset` lies beyond the end of the source.
        """
        if not 0 <= offset <= self._source.nbytes:
            raise WireError(f"resumed at byte {offset} of {self._source.nbytes}", "offset")
        self._offset = self._limit = offset
        self._finished = False

    def grant(self, offset: int, count: int) -> None:
        """Takes credit for bytes [offset, offset + count); a smaller grant changes nothing."""
        self._limit = max(self._limit, min(offset + count, self._source.nbytes))

    def next(self) -> Piece | None:
        """The next piece; None while there is no credit, and after the last piece."""
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
        """Hashes each byte of the source once and in order, also those that the receiver already had."""
        while self._hashed < offset:
            missed = self._source.read(self._hashed, min(self._chunk_bytes, offset - self._hashed))
            self._hash.update(missed)
            self._hashed += len(missed)
        fresh = buffer[self._hashed - offset :]
        self._hash.update(fresh)
        self._hashed += len(fresh)


class Receiver:
    """Takes pieces in order and keeps account of credit; it does not check their content.

    Attributes:
        nbytes: the size of the whole.
        offset: the next byte to come.
        credit_bytes: how far the sender may be ahead; it may be changed before any grant.
        digest: the digest of the whole that the last piece brought; None until then.

    Args:
        nbytes: the size of the whole.
        offset: how many bytes earlier transfers brought.
        credit_bytes: see above.

    Raises:
        WireError: `offset` exceeds `nbytes`.
    """

    def __init__(self, nbytes: int, offset: int = 0, credit_bytes: int = CREDIT_BYTES) -> None:
        if offset > nbytes:
            raise WireError(f"{offset} bytes exist already of a source of {nbytes}", "nbytes")
        self.nbytes, self.offset, self.credit_bytes = nbytes, offset, credit_bytes
        self.digest: str | None = None
        self._granted = offset

    @property
    def complete(self) -> bool:
        """Whether the last piece has come."""
        return self.digest is not None

    def grant(self, settled: int | None = None) -> tuple[int, int] | None:
        """The credit to tell the sender, as (offset, bytes); None while more than half of the last is left.

        Args:
            settled: the receiver has dealt with all bytes before this one (default: before its offset).
        """
        settled = self.offset if settled is None else settled
        if not self.is_grant_due(settled):
            return None
        self._granted = self._end_of_credit(settled)
        return self.offset, self._granted - self.offset

    def is_grant_due(self, settled: int) -> bool:
        """Whether `grant` would give credit; safe from any thread."""
        is_low = (self._granted - settled) * 2 <= self.credit_bytes
        return is_low and self._end_of_credit(settled) > self._granted

    def outstanding(self, settled: int) -> int:
        """How many bytes beyond `settled` the sender may have sent."""
        return self._granted - settled

    def renew(self, settled: int | None = None) -> tuple[int, int]:
        """Credit (offset, bytes) for a sender that starts again here; credit granted before is void."""
        self._granted = max(self.offset, self._end_of_credit(self.offset if settled is None else settled))
        return self.offset, self._granted - self.offset

    def take(self, offset: int, buffer: memoryview, last: bool, digest: str | None) -> memoryview:
        """The new bytes of a piece, to be written at the position that `offset` had before the call.

        Args:
            offset: where the piece begins; bytes before the receiver's own offset are skipped.
            buffer: its bytes.
            last: whether the sender calls it the last piece.
            digest: the digest of the whole, with the last piece.

        Raises:
            WireError: a gap, bytes beyond the credit or the end, or a last piece short of the end or without
                a digest.
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
    """A receiver that hashes what it takes; its digest is set only if it matches the received bytes.

    Args:
        nbytes: the size of the whole.
    """

    def __init__(self, nbytes: int) -> None:
        super().__init__(nbytes)
        self._hash = hasher()

    def take(self, offset: int, buffer: memoryview, last: bool, digest: str | None) -> memoryview:
        """As `Receiver.take`; raises WireError also when the digest does not match the received bytes."""
        fresh = super().take(offset, buffer, last, digest)
        self._hash.update(fresh)
        self.digest = None
        if last:
            check_digest(self._hash, digest)
            self.digest = digest
        return fresh


def check_digest(found: hashlib.blake2b, said: str | None) -> None:
    """Raises WireError unless the sender's digest matches that of the received bytes."""
    if said != found.hexdigest():
        raise WireError(
            f"the sender states digest {said}, the received bytes have {found.hexdigest()}", "digest"
        )
