"""What an AIFF file's chunks say: texts; and places in it, moved to the stem's time line.

Source: Apple, "Audio Interchange File Format", version 1.3: MARK, INST, NAME, AUTH, (c), ANNO.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from render.files.carried.chunks import AnyChunk, Chunk
from render.files.carried.tags import Tag
from render.files.carried.timing import Timing

TEXTS = {"TITLE": b"NAME", "ARTIST": b"AUTH", "COPYRIGHT": b"(c) ", "COMMENT": b"ANNO"}
"""A tag's name as a chunk."""
NAMES = {name: tag for tag, name in TEXTS.items()}
TEXT_BYTES_MAX = 8000
"""libsndfile 1.2.2 reads no AIFF file with a longer text. The end is kept; ID3 has the whole."""
TRANSIENTS = b"trns"
"""The beats of an Apple Loop, in a form nobody published: true at the source's own rate and start only."""


class Marker(NamedTuple):
    """A named place: its number, its frame, and its name as bytes."""

    number: int
    frame: int
    name: bytes


def moved_chunks(chunks: Iterable[AnyChunk], timing: Timing) -> list[AnyChunk]:
    """An AIFF file's chunks on the stem's time line; a chunk that cannot be parsed is passed on as it is."""
    chunks = list(chunks)
    if timing.keeps_places:
        return chunks
    numbers = {marker.number for chunk in chunks for marker in markers(chunk)}
    kept: set[int] = set()
    moved: list[AnyChunk] = []
    for chunk in chunks:
        if chunk.name == b"MARK" and (found := markers(chunk)):
            places = [
                marker._replace(frame=at)
                for marker in found
                if (at := timing.position(marker.frame)) is not None
            ]
            kept |= {marker.number for marker in places}
            moved.append(Chunk(b"MARK", marked(places)))
        elif chunk.name != TRANSIENTS:
            moved.append(chunk)
    return [_loops(chunk, numbers - kept) if chunk.name == b"INST" else chunk for chunk in moved]


def markers(chunk: AnyChunk) -> list[Marker]:
    """The markers of a MARK chunk; none where it is damaged, or another."""
    if chunk.name != b"MARK" or not isinstance(chunk, Chunk):
        return []
    padded, end = _markers(chunk.body, 2)
    if padded and end == len(chunk.body):
        return padded
    bare, its_end = _markers(chunk.body, 1)
    return bare if bare and its_end == len(chunk.body) else padded


def _markers(body: bytes, even: int) -> tuple[list[Marker], int]:
    """Markers and where they end, where a name with its length fills up to a multiple of `even` bytes.

    AIFF makes that 2; some writers leave the pad byte out.
    """
    found, at = [], 2
    try:
        for _ in range(struct.unpack_from(">H", body)[0]):
            number, frame, length = struct.unpack_from(">HIB", body, at)
            found.append(Marker(number, frame, body[at + 7 : at + 7 + length]))
            at += 6 + -(-(1 + length) // even) * even
    except struct.error:
        return [], 0
    return found, at


def marked(places: Iterable[Marker]) -> bytes:
    """The content of a MARK chunk."""
    packed = []
    for number, frame, name in places:
        text = name[:255]
        packed.append(struct.pack(">HIB", number, frame, len(text)) + text + b"\0" * ((len(text) + 1) % 2))
    return struct.pack(">H", len(packed)) + b"".join(packed)


def _loops(chunk: AnyChunk, gone: set[int]) -> AnyChunk:
    """An INST chunk whose loops between markers that are gone do not play."""
    if not isinstance(chunk, Chunk) or len(chunk.body) < 20:
        return chunk
    values = list(struct.unpack_from(">6bh6H", chunk.body))
    for mode in (7, 10):
        if gone & set(values[mode + 1 : mode + 3]):
            values[mode : mode + 3] = 0, 0, 0
    return Chunk(b"INST", struct.pack(">6bh6H", *values) + chunk.body[20:])


def text_chunks(texts: Iterable[Tag]) -> list[Chunk]:
    """The chunks of those texts for which AIFF has one."""
    return [Chunk(TEXTS[tag], text.encode()[-TEXT_BYTES_MAX:]) for tag, text in texts if tag in TEXTS]
