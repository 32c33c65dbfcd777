"""The digest of a source file, computed while its samples are read."""

from __future__ import annotations

import sys
from pathlib import Path

from bridge.wire.transfer import hasher
from presets.errors import InputError
from render.upscaler import Step, StepHook

HASH_BYTES = 32 * 1024**2
"""How much is hashed between two checks for a cancelled job: a thirtieth of a second's work."""


class SourceDigest:
    """blake2b-256 of a file's bytes, from first to last.

    Bytes that are read elsewhere are hashed as they pass, if they are the next ones; the rest is read here
    when the digest is needed.

    Args:
        path: the file.
        on_step: called while the file is read here; cancels by raising.
    """

    def __init__(self, path: Path, on_step: StepHook) -> None:
        self._path, self._on_step = path, on_step
        self._hash = hasher()
        self._hashed = 0

    def see(self, start: int, piece: memoryview) -> None:
        """Takes bytes that were read, see `render.sources.stretch.OnBytes`."""
        end = start + len(piece)
        if start <= self._hashed < end:
            self._hash.update(piece[self._hashed - start :])
            self._hashed = end

    def hexdigest(self) -> str:
        """The digest of the whole file.

        Raises:
            InputError: the file cannot be read.
        """
        self.read_to(sys.maxsize)
        return self._hash.hexdigest()

    def read_to(self, end: int) -> None:
        """Reads and hashes the file up to byte `end`, or to its own end; raises as `hexdigest` does."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._hashed)
                while piece := file.read(min(HASH_BYTES, max(0, end - self._hashed))):
                    self._hash.update(piece)
                    self._hashed += len(piece)
                    if len(piece) == HASH_BYTES:  # there may be more, so check for a cancel
                        self._on_step(Step("read", 0, 1))
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {error.strerror}", "source") from None
