"""Chunks of a WAV file: reading them past the audio, appending them after it (RIFF and RF64).

Sources: Microsoft RIFF specification 1.0; EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from presets.errors import InputError, OutputError

CHUNK_BYTES_MAX = 64 * 1024**2
"""A chunk beside the audio that is larger than this is taken for damage."""
UNKNOWN_SIZE = 0xFFFFFFFF
"""In RF64: look the size up in ds64."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk's four-letter name and its content."""

    name: bytes
    body: bytes

    def packed(self) -> bytes:
        """As it stands in a file: name, size, content, pad byte."""
        return self.name + struct.pack("<I", len(self.body)) + self.body + b"\0" * (len(self.body) % 2)


def is_wave(path: Path) -> bool:
    """Whether `path` starts as a RIFF or RF64 WAVE file does."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"


def read_chunks(path: Path) -> list[Chunk]:
    """All chunks of a WAV file but the audio itself, in the file's order.

    Args:
        path: a RIFF or RF64 WAVE file. Its `data` chunk is skipped, not read. A last chunk that is cut off is
            left out: the audio decides whether the file is readable.

    Raises:
        InputError: not a WAVE file, or a chunk larger than CHUNK_BYTES_MAX.
    """
    with path.open("rb") as file:
        return list(_walk(file, path))


def _walk(file: BinaryIO, path: Path) -> Iterator[Chunk]:
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        raise InputError(f"{path}: not a WAV file", str(path))
    end = os.fstat(file.fileno()).st_size
    data_bytes = 0
    while (header := file.read(8)) and len(header) == 8:
        name, size = header[:4], struct.unpack("<I", header[4:])[0]
        if name == b"data":
            size = data_bytes if size == UNKNOWN_SIZE and data_bytes else size
            file.seek(size + size % 2, os.SEEK_CUR)
            continue
        if file.tell() + size > end:
            return
        if size > CHUNK_BYTES_MAX:
            raise InputError(
                f"{path}: chunk {name!r} holds {size} bytes, the limit is {CHUNK_BYTES_MAX}", str(path)
            )
        body = file.read(size)
        file.seek(size % 2, os.SEEK_CUR)
        if name == b"ds64" and len(body) >= 16:
            data_bytes = struct.unpack("<Q", body[8:16])[0]
        yield Chunk(name, body)


def append_chunks(path: Path, chunks: list[Chunk]) -> None:
    """Writes chunks after the audio and puts the file's size right; the audio is not touched.

    Args:
        path: a finished RIFF or RF64 WAVE file that nobody else reads yet.
        chunks: what to append, in order.

    Raises:
        OutputError: a RIFF file that would pass 4 GiB.
    """
    with path.open("r+b") as file:
        form = file.read(4)
        file.seek(0, os.SEEK_END)
        if file.tell() % 2:
            file.write(b"\0")
        for chunk in chunks:
            file.write(chunk.packed())
        size = file.tell() - 8
        if form == b"RF64":
            file.seek(12)
            if file.read(4) != b"ds64":
                raise OutputError(f"{path}: an RF64 file without a ds64 chunk cannot be extended", str(path))
            file.seek(20)
            file.write(struct.pack("<Q", size))
        elif size > UNKNOWN_SIZE - 1:
            raise OutputError(f"{path}: {size} bytes do not fit a WAV file; RF64 holds them", str(path))
        else:
            file.seek(4)
            file.write(struct.pack("<I", size))
