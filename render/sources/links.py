"""Streams that stand one after the other in a file: chained Ogg, joined FLAC. Each is decoded by itself.

A decoder that reads over a joint loses what follows it, or the delay and padding that each stream states.

Sources: RFC 3533 (Ogg), RFC 9639 (FLAC).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import BinaryIO

FLAC_STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
"""The marker and the head of STREAMINFO, which comes first and has 34 bytes."""
BEGINS, ENDS = 2, 4
"""Flags of an Ogg page: first of a stream, last of a stream."""


def links(file: BinaryIO) -> list[tuple[int, int]]:
    """First byte and end of each stream; one that reaches over the whole file where nothing is joined.

    Args:
        file: open for reading, not empty.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        size = len(content)
        if content[:4] == b"OggS":
            starts = [at for at, _, first in _ogg_pages(content) if first]
        elif content[:4] == b"fLaC":
            starts = sorted({at for start in FLAC_STARTS for at in _all(content, start)})
        else:
            starts = []
    starts[:1] = [0]
    return list(zip(starts, [*starts[1:], size], strict=True))


def ogg_breaks_off(file: BinaryIO) -> bool:
    """Whether an Ogg file ends in the middle of a page."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != b"OggS":
            return False
        end = 0
        for _, end, _ in _ogg_pages(content):  # noqa: B007
            pass
        return end > len(content) or content.rfind(b"OggS", end) >= 0


def _ogg_pages(content: mmap.mmap) -> Iterator[tuple[int, int, bool]]:
    """First byte and end of every page, and whether a chain's next link starts with it."""
    at, among_starts = 0, False
    while (at := content.find(b"OggS", at)) >= 0 and at + 27 <= len(content):
        flags, segments = content[at + 5], content[at + 26]
        begins = bool(flags & BEGINS)
        end = at + 27 + segments + sum(content[at + 27 : at + 27 + segments])
        yield at, end, begins and not among_starts
        among_starts = begins
        at = end


def _all(content: mmap.mmap, what: bytes) -> Iterator[int]:
    at = content.find(what)
    while at >= 0:
        yield at
        at = content.find(what, at + 1)
