"""Finds streams that follow each other in one file: chained Ogg, joined FLAC and MP3.

A decoder that misses a joint loses what follows it, or the delay and padding that each stream states.

Sources: RFC 3533 (Ogg), RFC 9639 (FLAC), https://id3.org/id3v2.4.0-structure.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from render.sources.content import Content

FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
"""The marker and the head of STREAMINFO, which comes first and has 34 bytes."""
OGG_PAGE = re.compile(b"OggS")
BEGINS = 2
"""Flag of an Ogg page: the first of a stream."""
TAG = re.compile(rb"ID3[\x02-\x04]\x00[\x00-\xf0][\x00-\x7f]{4}|TAG")
ID3V1_BYTES = 128
MPEG_SYNC = re.compile(rb"\xff[\xe2-\xff]")
"""The sync word, eleven bits, of an MPEG audio frame (MP3, MP2, AAC in ADTS)."""


def links(file: BinaryIO) -> list[tuple[int, int]]:
    """First byte and end of each stream of a joined Ogg or FLAC file, to be decoded one by one.

    Where nothing is joined, and for other kinds, one stream spans the whole file.

    Args:
        file: open for reading, not empty.
    """
    content = Content(file)
    first = after_tags(content, 0)
    if content.read(first, 4) == b"OggS":
        starts = [page.at for page in _ogg_pages(content, first) if page.begins]
    elif content.read(first, 4) == b"fLaC":
        starts = list(_flac_starts(content, first))
    else:
        starts = []
    starts[:1] = [0]
    return list(zip(starts, [*starts[1:], len(content)], strict=True))


def tagged_parts(file: BinaryIO) -> list[tuple[int, int]]:
    """First byte and end of each part of a joined MP3, MP2 or AAC file, by the tags at the joints.

    Args:
        file: open for reading, not empty.
    """
    content = Content(file)
    at, end = after_tags(content, 0), len(content)
    if not MPEG_SYNC.match(content.read(at, 2)):
        return [(0, end)]
    starts, ends = [0], []
    while (tag := content.search(TAG, at)) >= 0:
        at = after_tags(content, tag)
        if MPEG_SYNC.match(content.read(at, 2)):
            ends.append(tag)
            starts.append(at)
        else:
            at = tag + 1
    return list(zip(starts, [*ends, end], strict=True))


def ogg_lacks(file: BinaryIO) -> str:
    """Why an Ogg file is not whole, in words; "" for one that is, and for other kinds."""
    content = Content(file)
    first = after_tags(content, 0)
    if content.read(first, 4) != b"OggS":
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
    return "its last page is cut off" if end > len(content) or content.search(OGG_PAGE, end) >= 0 else ""


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


def _ogg_pages(content: Content, at: int) -> Iterator[_Page]:
    among_starts = False
    while (at := content.search(OGG_PAGE, at)) >= 0 and at + 27 <= len(content):
        flags, position, serial, number, segments = struct.unpack("<BqII4xB", content.read(at + 5, 22))
        begins = bool(flags & BEGINS)
        end = at + 27 + segments + sum(content.read(at + 27, segments))
        yield _Page(at, end, serial, number, position, begins and not among_starts, begins)
        among_starts = begins
        at = end


def _flac_starts(content: Content, at: int) -> Iterator[int]:
    """Where each stream starts; metadata is skipped, since a block may hold another file.

    Args:
        content: of the file.
        at: where the first stream starts.
    """
    while at >= 0:
        yield at
        at = content.search(FLAC_START, after_metadata(content, at))


def after_metadata(content: Content, at: int) -> int:
    """Where the audio of a FLAC stream begins, whose marker stands at a place."""
    at += 4
    while at + 4 <= len(content):
        head = content.read(at, 4)
        at += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            break
    return at


def magic(file: BinaryIO) -> bytes:
    """The first four bytes of a file after its tags.

    Args:
        file: open for reading, not empty.
    """
    content = Content(file)
    return content.read(after_tags(content, 0), 4)


def after_tags(content: Content, at: int) -> int:
    """Where the ID3 tags that begin at a place end."""
    while found := TAG.match(head := content.read(at, 10)):
        if found[0] == b"TAG":
            at += ID3V1_BYTES
        else:
            size = 0
            for byte in head[6:]:
                size = size << 7 | byte
            at += 10 + size + (10 if head[5] & 0x10 else 0)
    return at
