"""Reads the metadata blocks of a FLAC file, and writes them to a finished stem with seek points of its own.

Source: RFC 9639, "Free Lossless Audio Codec", sections 8 (metadata blocks) and 9 (frames).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from presets.errors import OutputError
from render.files.carried.aiff_chunks import Marker
from render.files.carried.tags import UNREADABLE, Tag
from render.files.carried.timing import Timing
from render.sources.tag_search import TAGS_BYTES_MAX

STREAMINFO, PADDING, APPLICATION, SEEKTABLE, COMMENT, CUESHEET, PICTURE = range(7)
BLOCK_BYTES_MAX = 2**24 - 1
BLOCKS_MAX, COMMENTS_MAX = 4096, 1 << 16
"""No file in use holds more; further ones are reported and not carried."""
FOREIGN = (b"riff", b"aiff", b"w64 ")
"""Applications whose blocks are the chunks of another file with these same samples (flac's foreign
metadata)."""
SEEK_S = 10.0
"""Distance of seek points, as `flac` writes them."""
MASK_TAG = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK"
"""The comment that holds the mask of speakers."""


@dataclass(frozen=True, slots=True)
class Block:
    """A metadata block: its type and its content."""

    kind: int
    body: bytes

    @property
    def name(self) -> str:
        """The block's name for a user."""
        if self.kind == APPLICATION:
            return f"APPLICATION {self.body[:4].decode('ascii', 'replace')}"
        return {CUESHEET: "CUESHEET", PICTURE: "PICTURE"}.get(self.kind, f"block {self.kind}")


@dataclass(frozen=True, slots=True)
class Flac:
    """A FLAC file's metadata: comments, other blocks, whether it has seek points, and names of what was not
    read."""

    comments: tuple[Tag, ...] = ()
    blocks: tuple[Block, ...] = ()
    seeks: bool = False
    others: tuple[str, ...] = ()


def read_flac(path: Path) -> Flac:
    """The metadata of a FLAC file; what cannot be read is named in `others`."""
    comments: list[Tag] = []
    blocks: list[Block] = []
    seeks, others, room = False, [], TAGS_BYTES_MAX
    with path.open("rb") as file:
        if file.read(3) == b"ID3":
            others.append("an ID3 tag before the FLAC stream")
            file.seek(0)
            head = file.read(10).ljust(10, b"\0")  # a file may end in it
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            file.seek(10 + size)
        else:
            file.seek(0)
        if file.read(4) != b"fLaC":
            return Flac(others=(*others, "metadata that cannot be read"))
        last = False
        while not last:
            head = file.read(4)
            if len(head) < 4:
                others.append("metadata that breaks off")
                break
            last, kind, size = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:], "big")
            if len(blocks) == BLOCKS_MAX:
                others.append(f"metadata blocks beyond the first {BLOCKS_MAX}")
                break
            if kind in (STREAMINFO, PADDING) or size > room:
                file.seek(size, 1)
                if kind not in (STREAMINFO, PADDING):
                    others.append(
                        f"a metadata block of {size} bytes beyond the {TAGS_BYTES_MAX} that are read"
                    )
                continue
            body = file.read(size)
            room -= size
            if kind == COMMENT:
                try:
                    comments += islice(_comments(body), COMMENTS_MAX + 1 - len(comments))
                except UNREADABLE:
                    others.append("comments that cannot be read")
            elif kind == SEEKTABLE:
                seeks = True
            else:
                blocks.append(Block(kind, body))
        file.seek(0, 2)
        if file.tell() >= 128:
            file.seek(-128, 2)
            if file.read(3) == b"TAG":
                others.append("an ID3v1 tag after the FLAC stream")
    if len(comments) > COMMENTS_MAX:
        others.append(f"comments beyond the first {COMMENTS_MAX}")
    return Flac(tuple(comments[:COMMENTS_MAX]), tuple(blocks), seeks, tuple(others))


def moved_blocks(blocks: tuple[Block, ...], timing: Timing) -> tuple[list[Block], list[str]]:
    """The blocks on the stem's time line, and the names of those that are not valid there."""
    kept, lost = [], []
    still = timing.whole and timing.rate_in == timing.rate_out
    for block in blocks:
        if still or block.kind not in (CUESHEET, APPLICATION):
            kept.append(block)
        elif block.kind == CUESHEET and timing.whole and (moved := _moved_cuesheet(block.body, timing)):
            kept.append(Block(CUESHEET, moved))
        elif block.kind == APPLICATION and block.body[:4] not in FOREIGN:
            kept.append(block)
        else:
            lost.append(block.name)
    return kept, lost


def chapters(places: Sequence[Marker], rate_hz: int) -> tuple[Tag, ...]:
    """Places as comments, after https://wiki.xiph.org/Chapter_Extension."""
    comments: list[Tag] = []
    for number, frame, name in places:
        minutes, ms = divmod(round(Fraction(1000 * frame, rate_hz)), 60_000)
        at = f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"
        comments += [(f"CHAPTER{number:03}", at), (f"CHAPTER{number:03}NAME", name.decode())]
    return tuple(comments)


def write_flac(path: Path, comments: list[Tag], blocks: list[Block], seeks: bool) -> None:
    """Gives a finished FLAC file its metadata.

    Args:
        path: just written by an encoder; nobody else reads it yet.
        comments, blocks: what to write, in order; they replace what is there.
        seeks: whether to add a seek table of the file's own frames.

    Raises:
        OutputError: a block larger than 16 MiB, or a file whose metadata cannot be read or written.
    """
    from mutagen.flac import FLAC

    for block in blocks:
        if len(block.body) > BLOCK_BYTES_MAX:
            raise OutputError(
                f"{path}: {block.name} of {len(block.body)} bytes is larger than {BLOCK_BYTES_MAX}, the most "
                "that a block of FLAC holds; take wav",
                "format",
            )
    try:
        file: Any = FLAC(path)
        points = _seek_points(path, file.info.sample_rate, file.info.total_samples) if seeks else b""
        if file.tags is None:
            file.add_tags()
        own = [tag for tag in file.tags if tag[0].upper() == MASK_TAG]  # as the encoder wrote it
        file.tags[:] = [tag for tag in comments if not own or tag[0].upper() != MASK_TAG] + own
        file.metadata_blocks = [
            block for block in file.metadata_blocks if block.code in (STREAMINFO, COMMENT)
        ]
        if points:
            file.metadata_blocks.insert(1, _Raw(SEEKTABLE, points))
        file.metadata_blocks += [_Raw(block.kind, block.body) for block in blocks]
        file.save(padding=lambda _: 0)
    except UNREADABLE as error:
        raise OutputError(f"{path}: its metadata cannot be written: {error}", str(path)) from None


class _Raw:
    """A block in the form that mutagen writes."""

    def __init__(self, code: int, body: bytes) -> None:
        self.code, self._body = code, body

    def write(self) -> bytes:
        return self._body


def _comments(body: bytes) -> Iterator[Tag]:
    at = 4 + struct.unpack_from("<I", body)[0]
    count = struct.unpack_from("<I", body, at)[0]
    at += 4
    for _ in range(count):
        size = struct.unpack_from("<I", body, at)[0]
        name, _, value = body[at + 4 : at + 4 + size].decode("utf-8", "replace").partition("=")
        at += 4 + size
        yield name, value


def _moved_cuesheet(body: bytes, timing: Timing) -> bytes | None:
    """The cue sheet with offsets at the stem's rate, no longer marked as a CD's; None where it is damaged."""
    try:
        out = bytearray(body)
        lead_in = struct.unpack_from(">Q", body, 128)[0]
        struct.pack_into(">QB", out, 128, timing.scaled(lead_in), body[136] & 0x7F)
        at = 396
        for _ in range(body[395]):
            start = timing.scaled(struct.unpack_from(">Q", body, at)[0])
            struct.pack_into(">Q", out, at, start)
            for index in range(body[at + 35]):
                place = at + 36 + 12 * index
                struct.pack_into(">Q", out, place, timing.scaled(struct.unpack_from(">Q", body, place)[0]))
            at += 36 + 12 * body[at + 35]
    except (struct.error, IndexError):
        return None
    return bytes(out)


def _seek_points(path: Path, rate_hz: int, frames: int) -> bytes:
    """A seek table: for a sample every SEEK_S seconds, the FLAC frame that holds it.

    Frames are found by their header, whose CRC and number must be right. A file whose frames cannot all be
    found gets no table.
    """
    step, points, wanted = int(SEEK_S * rate_hz), [], 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = first = _audio_offset(data)
        number = sample = 0
        while sample < frames:
            size = _frame_samples(data, at, number)
            if size is None:
                return b""
            if sample + size > wanted:
                points.append(struct.pack(">QQH", sample, at - first, size))
                wanted = (sample + size + step - 1) // step * step
            number, sample = number + 1, sample + size
            while sample < frames and _frame_samples(data, at := data.find(b"\xff", at + 2), number) is None:
                if at < 0:
                    return b""
                at -= 1
    return b"".join(points)


def _audio_offset(data: mmap.mmap) -> int:
    at = 4
    while True:
        last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        at += 4 + size
        if last:
            return at


def _frame_samples(data: mmap.mmap, at: int, number: int) -> int | None:
    """How many samples frame `number` has, if its header (of a fixed block size) is at `at`; else None."""
    if at < 0 or data[at : at + 2] != b"\xff\xf8":
        return None
    head = data[at : at + 16]
    coded = chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else b""
    if len(head) < 16 or not coded or not head.startswith(coded, 4):
        return None
    end, code, rate = 4 + len(coded), head[2] >> 4, head[2] & 0x0F
    if code == 6:
        size, end = head[end] + 1, end + 1
    elif code == 7:
        size, end = int.from_bytes(head[end : end + 2], "big") + 1, end + 2
    elif code == 1:
        size = 192
    elif 2 <= code <= 5:
        size = 576 << (code - 2)
    elif code >= 8:
        size = 256 << (code - 8)
    else:
        return None
    end += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    return size if _crc8(head[:end]) == head[end] else None


def _crc8(data: bytes) -> int:
    """The CRC of a frame's header: polynomial x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc
