"""Reads and writes an AIFF file's chunks: its texts, and its markers on the stem's time line.

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
"""The chunk of each tag."""
NAMES = {name: tag for tag, name in TEXTS.items()}
TEXT_BYTES_MAX = 8000
"""libsndfile 1.2.2 reads no AIFF file with a longer text. Only its end is kept here; ID3 has all of it."""
TRANSIENTS = b"trns"
"""The beats of an Apple Loop, in an unpublished format: valid only at the source's own rate and start."""


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
    """The markers of a MARK chunk; none where it is damaged, or a chunk of another name."""
    if chunk.name != b"MARK" or not isinstance(chunk, Chunk):
        return []
    padded, end = _markers(chunk.body, 2)
    if padded and end == len(chunk.body):
        return padded
    bare, its_end = _markers(chunk.body, 1)
    return bare if bare and its_end == len(chunk.body) else padded


def _markers(body: bytes, even: int) -> tuple[list[Marker], int]:
    """The markers and where they end, if a name and its length byte are padded to a multiple of `even` bytes.

    AIFF requires 2; some writers leave the pad byte out.
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
    """An INST chunk in which loops between markers that are gone are switched off."""
    if not isinstance(chunk, Chunk) or len(chunk.body) < 20:
        return chunk
    values = list(struct.unpack_from(">6bh6H", chunk.body))
    for mode in (7, 10):
        if gone & set(values[mode + 1 : mode + 3]):
            values[mode : mode + 3] = 0, 0, 0
    return Chunk(b"INST", struct.pack(">6bh6H", *values) + chunk.body[20:])


def text_chunks(texts: Iterable[Tag]) -> list[Chunk]:
    """The chunks for those texts that AIFF has a chunk for."""
    return [Chunk(TEXTS[tag], text.encode()[-TEXT_BYTES_MAX:]) for tag, text in texts if tag in TEXTS]
