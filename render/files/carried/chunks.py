"""Chunks of WAV and AIFF files: found around the audio wherever they stand, appended after it.

A chunk of ordinary size is held in memory; a larger one stays in its file until it is copied.

Sources: Microsoft RIFF specification 1.0; EBU Tech 3306 (RF64); ITU-R BS.2088 (BW64, which has the same
layout); Apple, "Audio Interchange File Format", version 1.3, and AIFF-C.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from presets.errors import InputError, OutputError
from render.sources.after_audio import chunks_at_end
from render.sources.extent.another_file import is_file
from render.sources.pcm_chunks import CHUNKS_MAX, after_id3, large_sizes

IN_MEMORY_BYTES = 4 * 1024**2
"""A chunk up to this size is held in memory; a cover picture, or an hour's description of objects, is
smaller."""
UNKNOWN_SIZE = 0xFFFFFFFF
"""In RF64 and BW64: look the size up in ds64."""
COPY_BYTES = 1024**2
AUDIO = {b"data", b"SSND"}
BIG_ENDIAN = (b"RIFX", b"AIFF", b"AIFC")
FORMS = {b"RIFF": b"WAVE", b"RIFX": b"WAVE", b"RF64": b"WAVE", b"BW64": b"WAVE"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk's four-letter name and its content."""

    name: bytes
    body: bytes

    @property
    def nbytes(self) -> int:
        """The size of the content."""
        return len(self.body)

    def packed(self, order: str = "<") -> bytes:
        """As it stands in a file: name, size (`<` in WAV, `>` in AIFF), content, pad byte."""
        return self.name + struct.pack(f"{order}I", len(self.body)) + self.body + b"\0" * (len(self.body) % 2)


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk whose content stays where it is, at `offset` of the file `path`."""

    name: bytes
    path: Path
    offset: int
    nbytes: int

    def load(self) -> Chunk:
        """The chunk in memory."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return Chunk(self.name, file.read(self.nbytes))


AnyChunk: TypeAlias = Chunk | StoredChunk


@dataclass(frozen=True, slots=True)
class Chunks:
    """What a WAV or AIFF file holds besides its audio.

    Attributes:
        form: RIFF, RIFX, RF64, BW64, AIFF or AIFC.
        chunks: all but the audio, in the file's order.
        stray_bytes: bytes after the last chunk that are no chunk, or belong to chunks beyond CHUNKS_MAX.
    """

    form: bytes
    chunks: tuple[AnyChunk, ...]
    stray_bytes: int = 0


def form_of(path: Path) -> bytes:
    """RIFF, RIFX, RF64, BW64, AIFF or AIFC, read after any ID3 tags; empty for any other file."""
    with path.open("rb") as file:
        file.seek(after_id3(file))
        head = file.read(12)
    if FORMS.get(head[:4]) == head[8:12]:
        return head[:4]
    return head[8:12] if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC") else b""


def read_chunks(path: Path) -> Chunks:
    """The chunks of a WAV or AIFF file.

    Args:
        path: a RIFF, RIFX, RF64 or BW64 WAVE file, or an AIFF or AIFF-C file. Its audio is skipped, not read.

    Raises:
        InputError: another kind of file.
    """
    form = form_of(path)
    if not form:
        raise InputError(f"{path}: not a WAV or AIFF file", str(path))
    with path.open("rb") as file:
        return _walk(file, path, form)


def _walk(file: BinaryIO, path: Path, form: bytes) -> Chunks:
    order = ">" if form in BIG_ENDIAN else "<"
    end = os.fstat(file.fileno()).st_size
    large: dict[bytes, int] = {}
    chunks: list[AnyChunk] = []
    at, odd = after_id3(file) + 12, False
    while at + 8 <= end and len(chunks) < CHUNKS_MAX:
        name, size = _header(file, at, order)
        if not _is_name(name) and odd:  # a writer that leaves out the pad byte
            at -= 1
            name, size = _header(file, at, order)
        if not _is_name(name) or is_file(file, at):
            break
        if size == UNKNOWN_SIZE and order == "<":
            size = large.get(name, end)
        if name in AUDIO and not 0 < size <= end - at - 8:  # a header from before the end was known
            at, odd = chunks_at_end(file, at + 8, end, order), False
            continue
        if at + 8 + size > end:
            break
        if name not in AUDIO:
            chunk = StoredChunk(name, path, at + 8, size)
            chunks.append(chunk if size > IN_MEMORY_BYTES else chunk.load())
            if name == b"ds64":
                file.seek(at + 8)
                large = large_sizes(file.read(min(size, IN_MEMORY_BYTES)))
        odd = size % 2 == 1
        at += 8 + size + size % 2
    return Chunks(form, tuple(chunks), max(0, end - at))


def _header(file: BinaryIO, at: int, order: str) -> tuple[bytes, int]:
    file.seek(at)
    head = file.read(8)
    return head[:4], struct.unpack(f"{order}I", head[4:])[0] if len(head) == 8 else 0


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in name)


def is_large(chunk: AnyChunk) -> bool:
    """Whether a chunk's size does not fit 32 bits."""
    return chunk.nbytes >= UNKNOWN_SIZE


def append_chunks(path: Path, chunks: Sequence[AnyChunk]) -> None:
    """Writes chunks after the audio and corrects the file's size; the audio is not touched.

    Args:
        path: a finished WAV or AIFF file that nobody else reads yet.
        chunks: what to append, in order. Those of 4 GiB and more need an RF64 file whose header keeps room
            for their sizes (see `render.files.headers.wav_header`).

    Raises:
        OutputError: a file that would pass 4 GiB and is not RF64, or a chunk that its header has no room for.
    """
    form = form_of(path)
    order = ">" if form.startswith(b"AIF") else "<"
    large = [chunk for chunk in chunks if is_large(chunk)]
    with path.open("r+b") as file:
        if large:
            _write_large_sizes(file, path, large)
        file.seek(0, os.SEEK_END)
        if file.tell() % 2:
            file.write(b"\0")
        for chunk in chunks:
            _write(file, chunk, order)
        size = file.tell() - 8
        if form in (b"RF64", b"BW64"):
            file.seek(12)
            if file.read(4) != b"ds64":
                raise OutputError(f"{path}: an RF64 file without a ds64 chunk cannot be extended", str(path))
            file.seek(20)
            file.write(struct.pack("<Q", size))
        elif size > UNKNOWN_SIZE - 1:
            way_out = "AIFF" if order == ">" else "WAV"
            raise OutputError(f"{path}: {size} bytes do not fit a {way_out} file; RF64 holds them", str(path))
        else:
            file.seek(4)
            file.write(struct.pack(f"{order}I", size))


def _write_large_sizes(file: BinaryIO, path: Path, chunks: Sequence[AnyChunk]) -> None:
    """Fills in the table of ds64, which is the first chunk in the files written here."""
    file.seek(12)
    name, nbytes = struct.unpack("<4sI", file.read(8))
    if name != b"ds64" or nbytes < 28 + 12 * len(chunks):
        names = ", ".join(chunk.name.decode("latin-1") for chunk in chunks)
        raise OutputError(f"{path}: no room for the size of {names} of 4 GiB or more", str(path))
    file.seek(20 + 24)
    file.write(struct.pack("<I", len(chunks)))
    for chunk in chunks:
        file.write(struct.pack("<4sQ", chunk.name, chunk.nbytes))


def rename_form(path: Path, form: bytes) -> None:
    """Turns an RF64 file into BW64, or back."""
    with path.open("r+b") as file:
        file.write(form)


def _write(file: BinaryIO, chunk: AnyChunk, order: str) -> None:
    if isinstance(chunk, Chunk):
        file.write(chunk.packed(order))
        return
    file.write(chunk.name + struct.pack(f"{order}I", min(chunk.nbytes, UNKNOWN_SIZE)))
    begin = file.tell()
    with chunk.path.open("rb") as source:
        source.seek(chunk.offset)
        left = chunk.nbytes
        while left and (piece := source.read(min(left, COPY_BYTES))):
            file.write(piece)
            left -= len(piece)
    if file.tell() - begin != chunk.nbytes:
        raise InputError(f"{chunk.path}: became shorter while it was read", str(chunk.path))
    file.write(b"\0" * (chunk.nbytes % 2))


def name_of(chunk: AnyChunk) -> str:
    """A chunk's name as a user reads it; a LIST includes its kind."""
    name = chunk.name.decode("latin-1").strip()
    if chunk.name == b"LIST" and isinstance(chunk, Chunk):
        return f"LIST {chunk.body[:4].decode('latin-1')}"
    return name
