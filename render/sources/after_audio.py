"""What follows the audio in a file of plain PCM: chunks, as it should be, or signs that its size is wrong.

A 32-bit size wraps at 4 GiB, a recorder that was killed leaves an earlier size, and files that were joined
with `cat` state the size of the first. A reader that trusts such a size loses the rest.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from render.sources.extent.another_file import another
from render.sources.pcm_chunks import CHUNKS_MAX

TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
"""First bytes of tags that some programs append to a file without making chunks of them."""
CHUNKS = frozenset({b"LIST", b"bext", b"iXML", b"axml", b"id3 ", b"ID3 ", b"_PMX", b"JUNK", b"levl", b"cart"})
"""A chunk of these names is no audio, even if by its size it goes on past the end of the file."""
AT_THE_END = re.compile(
    b"|".join(map(re.escape, sorted(CHUNKS | {b"cue ", b"smpl", b"inst", b"PEAK", b"MARK"})))
)
"""Names of the chunks that are looked for after audio of unknown size."""
TAIL_BYTES = 1 << 23
"""They are looked for this far from the end of the file on."""
ZEROS_BYTES = 1 << 20
"""Padding is read up to this length."""
WRAP = 1 << 32
UNKNOWN_SIZE = 0xFFFFFFFF
"""In RF64 and BW64: the size stands in ds64."""


def beyond_4_gib(file: BinaryIO, at: int, size: int, end: int, order: str) -> int:
    """The true size of audio whose 32-bit size field, `size`, wrapped at 4 GiB; else `size`.

    Args:
        file: open for reading.
        at: first byte of audio.
        size: as it stands in the header.
        end: of the file, in bytes.
        order: of the bytes, `<` or `>`.
    """
    for larger in range(size + WRAP, end - at + 1, WRAP):
        after = at + larger + larger % 2
        if after >= end or _chunk(file, after, end, order):
            return larger
    return size


def doubt(file: BinaryIO, at: int, end: int, order: str, tolerated: int) -> tuple[str, bool]:
    """What is wrong after the audio, in words, "" for nothing; and whether what follows may be audio.

    Args:
        file: open for reading.
        at: where the audio ends.
        end: of the file, in bytes.
        order: of the bytes, `<` or `>`.
        tolerated: up to this many bytes that are no chunk are ignored.
    """
    for _ in range(CHUNKS_MAX):
        if (start := _next_chunk(file, at, end, order)) is None:
            break
        if why := another(file, start):
            return why, False
        name, size = _chunk(file, start, end, order) or (b"", 0)
        if name in (b"data", b"SSND"):
            return f"a second chunk of audio follows at byte {start}", False
        at = start + 8 + size
    else:
        return "", False
    for start in (at, at + at % 2):
        if why := another(file, start):
            return why, False
        if _begins_otherwise(file, start):
            return "", False
    left = end - at
    if left > tolerated and _zeros(file, at) < min(left, ZEROS_BYTES):
        return f"{left} bytes that are no chunk follow the audio that its header promises", True
    return "", False


def chunks_at_end(file: BinaryIO, at: int, end: int, order: str) -> int:
    """Where audio ends whose size was never filled in: at the chunks after it, or at the end of the file.

    The chunks are recognised by the name of the first, and by sizes that lead exactly to the end of the file.

    Args:
        file: open for reading.
        at: first byte of audio.
        end: of the file, in bytes.
        order: of the bytes, `<` or `>`.
    """
    begin = max(at, end - TAIL_BYTES)
    file.seek(begin)
    astray: set[int] = set()  # places of chains that do not lead to the end
    for found in AT_THE_END.finditer(file.read(max(0, end - begin))):
        place = begin + found.start()
        while place < end and place not in astray and (chunk := _chunk(file, place, end, order)) is not None:
            astray.add(place)
            place += 8 + chunk[1] + chunk[1] % 2
        if place >= end:
            return begin + found.start()
    return end


def _chunk(file: BinaryIO, at: int, end: int, order: str) -> tuple[bytes, int] | None:
    """Name and size of the chunk at a place; None where there is none that ends within the file."""
    if not 0 <= at <= end - 8:
        return None
    file.seek(at)
    name, size = struct.unpack(f"{order}4sI", file.read(8))
    if size == UNKNOWN_SIZE:
        size = end - at - 8
    is_name = all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in name)
    return (name, size) if is_name and at + 8 + size <= end else None


def _begins_otherwise(file: BinaryIO, at: int) -> bool:
    """Whether a tag stands at a place, or a chunk that is cut off."""
    file.seek(at)
    head = file.read(16)
    return head.startswith(TAGS) or head[:4] in CHUNKS


def _next_chunk(file: BinaryIO, at: int, end: int, order: str) -> int | None:
    """Where the next chunk starts: behind a pad byte, without one, or behind zeros."""
    for start in (at + at % 2, at):
        if _chunk(file, start, end, order):
            return start
    behind = at + _zeros(file, at)
    return behind if _chunk(file, behind, end, order) else None


def _zeros(file: BinaryIO, at: int) -> int:
    """How many zeros stand at a place, counted up to ZEROS_BYTES."""
    file.seek(at)
    piece = file.read(ZEROS_BYTES)
    return len(piece) - len(piece.lstrip(b"\0"))
