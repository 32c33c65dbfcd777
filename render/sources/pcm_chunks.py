"""Chunks of files that hold plain PCM, and their sizes, which are trusted only where they can be true.

A recorder that was killed, or one that writes to a pipe, leaves a placeholder; some writers include the
header in the size. Such files are read to their end.

Sources: Microsoft RIFF specification 1.0; EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64); ID3v2.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

CHUNKS_MAX = 4096
"""No file in use holds more chunks; further ones are not read, since a file of chunks alone would take
minutes."""
HEADER_BYTES_MAX = 48
"""A size that exceeds the file by at most this includes the header's own bytes: RIFF, fmt and data have
44."""


def after_id3(file: BinaryIO, at: int = 0) -> int:
    """Where a file, or a stream in it, begins after ID3v2 tags, which some programs put before any kind of
    file.

    Args:
        file: open for reading.
        at: where the first tag may stand.
    """
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if head[5] & 0x10 else 0)


def is_placeholder(size: int) -> bool:
    """Whether a size was never filled in: 0, -1, the largest that fits, or a round one above a gigabyte."""
    return (
        size <= 0
        or 0x7F000000 <= size <= 0x7F000100  # SoX, in an AIFF on a pipe
        or 0x7FFF0000 <= size <= 0x80000000
        or 0xFFFF0000 <= size <= 0xFFFFFFFF
        or size >= 1 << 56
        or (size >= 10**9 and (size % 10**8 == 0 or size % (1 << 28) == 0))
    )


def sized(at: int, size: int, end: int, first: int = 0) -> tuple[int | None, int]:
    """Promised and held bytes of audio that starts at `at` in a file from byte `first` to `end`.

    The promise is None where `size` cannot be trusted.
    """
    there = max(0, end - at)
    if size <= there and not is_placeholder(size):
        return size, size
    over = size - there
    counts_header = over <= HEADER_BYTES_MAX or at - first - over in (0, 4, 8)
    if is_placeholder(size) or counts_header:
        return None, there
    return size, there


def chunks_from(file: BinaryIO, at: int, end: int, big_endian: bool) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and first byte of the chunks of a RIFF or FORM from byte `at` on; sizes by ds64 in RF64."""
    order = ">" if big_endian else "<"
    large: dict[bytes, int] = {}
    for _ in range(CHUNKS_MAX):
        if at + 8 > end:
            return
        file.seek(at)
        name, size = struct.unpack(f"{order}4sI", file.read(8))
        if name == b"ds64":
            large = large_sizes(body(file, at + 8, size))
        elif size == 0xFFFFFFFF:
            size = large.get(name, size)
        yield name, size, at + 8
        at += 8 + size
        if size % 2:
            file.seek(at)
            after = file.read(4)
            # A pad byte is zero. Some writers leave it out, and the next name stands in its place.
            at += 0 if len(after) == 4 and after[:1] != b"\0" and is_name(after) else 1


def body(file: BinaryIO, at: int, size: int, most: int = 1 << 16) -> bytes:
    """The first `most` bytes of a chunk's content, which starts at byte `at`."""
    file.seek(at)
    return file.read(min(size, most))


def large_sizes(ds64: bytes) -> dict[bytes, int]:
    """The 64-bit sizes of a ds64 chunk: that of the audio where it is filled in, and those of its table."""
    data, _, count = struct.unpack_from("<QQI", ds64.ljust(28, b"\0"), 8)
    sizes = {b"data": data} if data else {}
    for index in range(min(count, (len(ds64) - 28) // 12)):
        name, size = struct.unpack_from("<4sQ", ds64, 28 + 12 * index)
        sizes[name] = size
    return sizes


def only_chunks(file: BinaryIO, at: int, end: int, order: str) -> bool:
    """Whether nothing but chunks stands from `at` to the end: then a size of 0 means that there is no
    audio."""
    for _ in range(CHUNKS_MAX):
        if at + 8 > end:
            break
        file.seek(at)
        name, size = struct.unpack(f"{order}4sI", file.read(8))
        if not is_name(name):
            return False
        at += 8 + size + size % 2
    return at <= end + 1 and end - at < 8


def is_name(name: bytes) -> bool:
    """Whether four bytes can be a chunk's name."""
    return all(0x20 <= letter < 0x7F for letter in name)
