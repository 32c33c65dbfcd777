"""How much memory the compressed frames of an ID3v2 tag would take: mutagen inflates them without a bound.

Sources: https://id3.org/id3v2.3.0 (3.3.1), https://id3.org/id3v2.4.0-structure (3.1, 4.1),
https://id3.org/id3v2-chapters-1.0
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

HEADER_BYTES = 10
"""Of a tag, and of each of its frames."""
UNSYNCHRONISED, EXTENDED = 0x80, 0x40
"""Flags of a tag: a zero follows each 0xFF in it; it begins with an extended header."""
COMPRESSED = {3: 0x0080, 4: 0x0008}
"""Version -> flag of a frame that holds zlib data, after 4 bytes with its size."""

HOLDS_FRAMES = (b"CHAP", b"CTOC")
STEP_BYTES = 1024**2
"""Bytes inflated at a time, so that those before a fault are counted."""

Frame = tuple[bytes, int, bytes]
"""Name, flags, content."""


def inflates_beyond(tag: bytes, limit: int) -> bool:
    """Whether a tag's compressed frames hold more than `limit` bytes together, or chapters lie in chapters.

    Sizes and flags that readers interpret in more than one way are tried in each. Where inflating fails, the
    bytes before the fault count, as a reader has them in memory by then.

    Args:
        tag: an ID3v2 tag as it stands.
        limit: bytes; finding out takes about as many.
    """
    if len(tag) < HEADER_BYTES or tag[3] not in COMPRESSED:
        return False
    return any(_weight(frames, tag[3], limit) > limit for frames in _readings(tag))


def _readings(tag: bytes) -> Iterator[Iterator[Frame]]:
    """The frames of a tag, in each way that a reader may take it."""
    bodies = [tag[HEADER_BYTES:]]
    if tag[5] & UNSYNCHRONISED:
        bodies.append(_synchronised(bodies[0]))
    for body in bodies:
        begins = [0, 4 + _plain(body[:4]), _synchsafe(body[:4])] if tag[5] & EXTENDED else [0]
        for begin in begins:
            yield from _walks(body[begin:], tag[3])


def _walks(body: bytes, version: int) -> Iterator[Iterator[Frame]]:
    """Frames by sizes of 8 bits a byte; in version 2.4 also by sizes of 7 bits a byte, which it
    prescribes."""
    yield _walk(body, _plain)
    if version == 4:
        yield _walk(body, _synchsafe)


def _walk(body: bytes, size_of: Callable[[bytes], int]) -> Iterator[Frame]:
    begin = 0
    while len(body) - begin >= HEADER_BYTES and body[begin : begin + 4].strip(b"\0"):
        name, size, flags = struct.unpack_from(">4s4sH", body, begin)
        end = begin + HEADER_BYTES + size_of(size)
        yield name, flags, body[begin + HEADER_BYTES : end]
        begin = end


def _weight(frames: Iterator[Frame], version: int, limit: int, is_nested: bool = False) -> int:
    """How many bytes the compressed frames hold together, counted to one beyond the limit."""
    weight = 0
    for name, flags, content in frames:
        if flags & COMPRESSED[version]:
            content = max(_inflated(content, limit - weight + 1), key=len)
            weight += len(content)
        if weight <= limit and name in HOLDS_FRAMES:
            if is_nested:
                return limit + 1
            inner = _after_chapter(name, content)
            weight += max(_weight(walk, version, limit - weight, True) for walk in _walks(inner, version))
        if weight > limit:
            break
    return weight


def _inflated(content: bytes, most: int) -> Iterator[bytes]:
    """A frame's content inflated, with and without a size before it: the first `most` bytes of each."""
    for stream in {content[4:], content, _synchronised(content[4:]), _synchronised(content)}:
        inflater, found = zlib.decompressobj(), bytearray()
        with suppress(zlib.error):
            rest = stream
            while rest and not inflater.eof and len(found) < most:
                found += inflater.decompress(rest, min(STEP_BYTES, most - len(found)))
                rest = inflater.unconsumed_tail
        yield bytes(found)


def _after_chapter(name: bytes, content: bytes) -> bytes:
    """The frames in a chapter (after its name and 16 bytes) or a table (after its name and its chapters')."""
    begin = content.find(b"\0") + 1
    if name == b"CHAP":
        return content[begin + 16 :]
    names = content[begin + 1] if len(content) > begin + 1 else 0
    begin += 2
    for _ in range(names):
        begin = content.find(b"\0", begin) + 1
        if not begin:
            return b""
    return content[begin:]


def _plain(size: bytes) -> int:
    return int.from_bytes(size)


def _synchsafe(size: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=False))


def _synchronised(content: bytes) -> bytes:
    return content.replace(b"\xff\x00", b"\xff")
