"""Streams that stand one after the other in a file: chained Ogg, joined FLAC and MP3.

A decoder that reads over a joint loses what follows it, or the delay and padding that each stream states.

Sources: RFC 3533 (Ogg), RFC 9639 (FLAC), https://id3.org/id3v2.4.0-structure.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
"""The marker and the head of STREAMINFO, which comes first and has 34 bytes."""
BEGINS = 2
"""Flag of an Ogg page: the first of a stream."""
TAG = re.compile(rb"ID3[\x02-\x04]\x00[\x00-\xf0][\x00-\x7f]{4}|TAG")
ID3V1_BYTES = 128
MPEG_SYNC = re.compile(rb"\xff[\xe2-\xff]")
"""Eleven bits of an MPEG audio frame (MP3, MP2, AAC in ADTS)."""


def links(file: BinaryIO) -> list[tuple[int, int]]:
    """First byte and end of each stream of Ogg or FLAC, which are decoded one by one.

    One that reaches over the whole file where nothing is joined, and for other kinds.

    Args:
        file: open for reading, not empty.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        size, first = len(content), _after_tags(content, 0)
        if content[first : first + 4] == b"OggS":
            starts = [page.at for page in _ogg_pages(content, first) if page.begins]
        elif content[first : first + 4] == b"fLaC":
            starts = list(_flac_starts(content, first))
        else:
            starts = []
    starts[:1] = [0]
    return list(zip(starts, [*starts[1:], size], strict=True))


def tagged_parts(file: BinaryIO) -> list[tuple[int, int]]:
    """First byte and end of each part of a joined MP3, MP2 or AAC file, by the tags at the joints.

    Args:
        file: open for reading, not empty.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at, end = _after_tags(content, 0), len(content)
        if not MPEG_SYNC.match(content, at):
            return [(0, end)]
        starts, ends = [0], []
        while found := TAG.search(content, at):
            at = _after_tags(content, found.start())
            if MPEG_SYNC.match(content, at):
                ends.append(found.start())
                starts.append(at)
            else:
                at = found.start() + 1
    return list(zip(starts, [*ends, end], strict=True))


def ogg_lacks(file: BinaryIO) -> str:
    """What shows that an Ogg file is not whole, in words; "" for one that is, and for other kinds."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        first = _after_tags(content, 0)
        if content[first : first + 4] != b"OggS":
            return ""
        end = 0
        last: dict[int, _Page] = {}
        for page in _ogg_pages(content, first):
            if end and page.at != end and not page.first:
                return f"a part is damaged: no page stands at byte {end}"
            end = page.end
            before = last.get(page.serial)
            # A stream that was recorded off the air begins anywhere: after its headers, whose position is 0.
            if before is not None and not page.first and before.position > 0:
                missing = (page.number - before.number - 1) & 0xFFFFFFFF
                if missing:
                    return f"a part is missing: page {page.number} follows page {before.number}"
            last[page.serial] = page
        return "its last page is cut off" if end > len(content) or content.rfind(b"OggS", end) >= 0 else ""


class _Page(NamedTuple):
    """An Ogg page: its first byte and end, its stream, number and position.

    `first` of its stream; `begins` where the next link of a chain starts with it.
    """

    at: int
    end: int
    serial: int
    number: int
    position: int
    begins: bool
    first: bool


def _ogg_pages(content: mmap.mmap, at: int) -> Iterator[_Page]:
    among_starts = False
    while (at := content.find(b"OggS", at)) >= 0 and at + 27 <= len(content):
        flags, position, serial, number, segments = struct.unpack_from("<BqII4xB", content, at + 5)
        begins = bool(flags & BEGINS)
        end = at + 27 + segments + sum(content[at + 27 : at + 27 + segments])
        yield _Page(at, end, serial, number, position, begins and not among_starts, begins)
        among_starts = begins
        at = end


def _flac_starts(content: mmap.mmap, at: int) -> Iterator[int]:
    """Where each stream starts; what stands in metadata, such as another file in a block, starts none.

    Args:
        content: of the file.
        at: where the first stream starts.
    """
    while True:
        yield at
        at += 4
        while at + 4 <= len(content):
            last, size = content[at] & 0x80, int.from_bytes(content[at + 1 : at + 4], "big")
            at += 4 + size
            if last:
                break
        if (found := FLAC_START.search(content, at)) is None:
            return
        at = found.start()


def magic(file: BinaryIO) -> bytes:
    """The first four bytes of a file behind its tags.

    Args:
        file: open for reading, not empty.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = _after_tags(content, 0)
        return content[at : at + 4]


def _after_tags(content: mmap.mmap, at: int) -> int:
    """Where the ID3 tags end that stand at a place."""
    while found := TAG.match(content, at):
        if found[0] == b"TAG":
            at += ID3V1_BYTES
        else:
            size = 0
            for byte in content[at + 6 : at + 10]:
                size = size << 7 | byte
            at += 10 + size + (10 if content[at + 5] & 0x10 else 0)
    return at
