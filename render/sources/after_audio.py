"""What follows the audio in a file of plain PCM: chunks, as it should, or what shows that its size is wrong.

A size of 32 bits starts again at 4 GiB, a recorder that was killed leaves the size of a moment ago, and
files that were joined with `cat` state the first one's. Whoever believes such a size loses the rest.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

FORMS = {b"RIFF": b"WAVE", b"RIFX": b"WAVE", b"RF64": b"WAVE", b"BW64": b"WAVE", b"FORM": b"AIF"}
W64_RIFF = bytes.fromhex("726966662E91CF11A5D628DB04C10000")
OTHER_HEADS = (W64_RIFF, b"caff\0\1", b".snd\0\0", b"dns.")
"""How W64, CAF and AU files begin."""
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
"""How the tags begin that some programs put behind a file without making chunks of them."""
CHUNKS = frozenset({b"LIST", b"bext", b"iXML", b"axml", b"id3 ", b"ID3 ", b"_PMX", b"JUNK", b"levl", b"cart"})
"""What is cut off where one of these says that it goes on past the end of the file is no audio."""
AT_THE_END = re.compile(
    b"|".join(map(re.escape, sorted(CHUNKS | {b"cue ", b"smpl", b"inst", b"PEAK", b"MARK"})))
)
"""With which the chunks begin that are looked for behind audio of no known size."""
TAIL_BYTES = 1 << 23
"""So far before the end of the file."""
CHUNKS_MAX = 4096
"""No file in use holds so many; more are not looked at, for a file of nothing else would take minutes."""
ZEROS_BYTES = 1 << 20
"""Padding is looked at as far as this."""
WRAP = 1 << 32
UNKNOWN_SIZE = 0xFFFFFFFF
"""In RF64 and BW64: a size that ds64 tells."""


def beyond_4_gib(file: BinaryIO, at: int, size: int, end: int, order: str) -> int:
    """The size of audio whose 32-bit field holds `size`, which started again at each 4 GiB.

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
    """What is wrong with what follows the audio, in words, "" for nothing; and whether it may be audio.

    Args:
        file: open for reading.
        at: where the audio ends.
        end: of the file, in bytes.
        order: of the bytes, `<` or `>`.
        tolerated: so many bytes that are no chunk are nobody's loss.
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
        return f"{left} bytes follow the audio that its header speaks of, and are no chunk", True
    return "", False


def chunks_at_end(file: BinaryIO, at: int, end: int, order: str) -> int:
    """Where audio ends whose size was never filled in: at the chunks behind it, or at the end of the file.

    They are known by the name of the first, and by sizes that lead to the end of the file to the byte.

    Args:
        file: open for reading.
        at: first byte of audio.
        end: of the file, in bytes.
        order: of the bytes, `<` or `>`.
    """
    begin = max(at, end - TAIL_BYTES)
    file.seek(begin)
    astray: set[int] = set()  # chains that meet go on alike
    for found in AT_THE_END.finditer(file.read(max(0, end - begin))):
        place = begin + found.start()
        while place < end and place not in astray and (chunk := _chunk(file, place, end, order)) is not None:
            astray.add(place)
            place += 8 + chunk[1] + chunk[1] % 2
        if place >= end:
            return begin + found.start()
    return end


def another(file: BinaryIO, at: int) -> str:
    """What is wrong where another file stands at a place, in words; "" where none does."""
    return f"another file follows at byte {at}" if is_file(file, at) else ""


def is_file(file: BinaryIO, at: int) -> bool:
    """Whether the head of another WAV, AIFF, W64, CAF or AU file stands at a place."""
    file.seek(at)
    head = file.read(16)
    is_form = head[:4] in FORMS and head[8:].startswith(FORMS[head[:4]])
    return is_form or head.startswith(OTHER_HEADS)


def _chunk(file: BinaryIO, at: int, end: int, order: str) -> tuple[bytes, int] | None:
    """Name and size of the chunk at a place; None where none stands that ends within the file."""
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
    """How many zeros stand at a place, ZEROS_BYTES at most."""
    file.seek(at)
    piece = file.read(ZEROS_BYTES)
    return len(piece) - len(piece.lstrip(b"\0"))
