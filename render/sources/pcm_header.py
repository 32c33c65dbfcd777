"""Headers of files that hold plain PCM: where the samples lie, how many were promised, how many are there.

Sources: Microsoft RIFF specification 1.0; EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64); Sonic Foundry, Wave64;
Apple, AIFF 1.3 and AIFF-C, Core Audio Format 1.0; Sun, au(4).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from render.channels import FFMPEG, core_audio_order
from render.sources.after_audio import beyond_4_gib, chunks_at_end, doubt
from render.sources.extent.another_file import another
from render.sources.pcm_chunks import (
    after_id3,
    body,
    chunks_from,
    is_name,
    is_placeholder,
    only_chunks,
    sized,
)

W64_RIFF = bytes.fromhex("726966662E91CF11A5D628DB04C10000")
PCM, FLOAT = 1, 3
"""Format tags of integers and floats."""
WAV_TAGS = {(1, 1): "PCM_U8", (1, 2): "PCM_16", (1, 3): "PCM_24", (1, 4): "PCM_32", (3, 4): "FLOAT",
            (3, 8): "DOUBLE", (6, 1): "ALAW", (7, 1): "ULAW"}  # fmt: skip
"""libsndfile's name of a sample format by format tag and bytes a sample."""
INTEGERS = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
AIFC_TYPES = {b"fl32": "FLOAT", b"FL32": "FLOAT", b"fl64": "DOUBLE", b"FL64": "DOUBLE", b"ulaw": "ULAW",
              b"ULAW": "ULAW", b"alaw": "ALAW", b"ALAW": "ALAW", b"raw ": "PCM_U8", b"in24": "PCM_24",
              b"in32": "PCM_32", b"42n1": "PCM_24", b"23ni": "PCM_32"}  # fmt: skip
AU_ENCODINGS = {
    1: "ULAW",
    2: "PCM_S8",
    3: "PCM_16",
    4: "PCM_24",
    5: "PCM_32",
    6: "FLOAT",
    7: "DOUBLE",
    27: "ALAW",
}
SAMPLE_BYTES = {
    "PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4,
    "DOUBLE": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PcmHeader:
    """What the header of a file says of its samples.

    Attributes:
        rate, channels: as the header states them.
        subtype: libsndfile's name of the sample format, "" where the samples are coded by a codec.
        big_endian: byte order of the samples.
        at: first byte of audio.
        promised: bytes of audio that the header states; None where it leaves that open.
        held: bytes of audio that are there, at most the promise; to the end of the file where what follows
            the promise may be audio.
        mask: which speakers (see `render.channels`); 0 when not known.
        order: where channel n of the WAV order stands in the file.
        doubt: why the header cannot be trusted, in words; "" where nothing speaks against it.
    """

    rate: int
    channels: int
    subtype: str
    big_endian: bool
    at: int
    promised: int | None
    held: int
    mask: int
    order: list[int]
    doubt: str = ""

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame of plain PCM."""
        return SAMPLE_BYTES[self.subtype] * self.channels


def read_header(file: BinaryIO) -> PcmHeader | None:
    """The header of a WAV (RIFF, RIFX, RF64, BW64), W64, AIFF, AIFF-C, CAF or AU file; None for any other.

    Args:
        file: open for reading, anywhere.
    """
    first = after_id3(file)
    file.seek(first)
    head = file.read(40)
    try:
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
            return _wave(file, first, big_endian=head[:4] == b"RIFX")
        if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            return _aiff(file, first)
        if first:
            return None
        if head[:16] == W64_RIFF:
            return _w64(file)
        if head[:4] == b"caff":
            return _caf(file)
        if head[:4] in (b".snd", b"dns."):
            return _au(file, head)
    except (struct.error, ValueError, OverflowError):
        return None
    return None


def _fmt(about: bytes, order: str) -> tuple[int, int, str, int]:
    """Rate, channels, subtype and mask of a `fmt ` chunk."""
    tag, channels, rate, _, block, bits = struct.unpack_from(f"{order}HHIIHH", about)
    mask = 0
    if tag == 0xFFFE:
        mask = struct.unpack_from(f"{order}I", about, 20)[0]
        tag = struct.unpack_from(f"{order}H", about, 24)[0]
    if mask.bit_count() != channels:
        mask = 0
    width = block // channels if channels and block % channels == 0 else 0
    if tag in (PCM, FLOAT) and bits > 8 * width:
        width = 0  # which of the two is right, a decoder has to find out
    return rate, channels, WAV_TAGS.get((tag, width), ""), mask


def _wave(file: BinaryIO, first: int, big_endian: bool) -> PcmHeader | None:
    end = os.fstat(file.fileno()).st_size
    order = ">" if big_endian else "<"
    about: tuple[int, int, str, int] | None = None
    for name, size, at in chunks_from(file, first + 12, end, big_endian):
        if name == b"fmt ":
            about = _fmt(body(file, at, size), order)
        elif name == b"data":
            if about is None:
                return None
            rate, channels, subtype, mask = about
            if end > 1 << 32 and 0 < size < end - at:
                size = beyond_4_gib(file, at, size, end, order)
            is_empty = size == 0 and only_chunks(file, at, end, order)
            promised, held = (0, 0) if is_empty else sized(at, size, end, first)
            if promised is None:
                held = chunks_at_end(file, at, end, order) - at
            why = ""
            if promised:
                a_second = rate * channels * SAMPLE_BYTES.get(subtype, 1)
                why, is_audio = doubt(file, at + held, end, order, a_second)
                held = end - at if is_audio and subtype else held
            return PcmHeader(
                rate, channels, subtype, big_endian, at, promised, held, mask, list(range(channels)), why
            )
    return None


def _w64(file: BinaryIO) -> PcmHeader | None:
    end, at, why = os.fstat(file.fileno()).st_size, 40, ""
    about: tuple[int, int, str, int] | None = None
    sound: tuple[int, int] | None = None
    while at + 24 <= end and not (sound and (why := another(file, at))):
        file.seek(at)
        name, size = struct.unpack("<4s12xq", file.read(24))
        if name == b"fmt ":
            about = _fmt(body(file, at + 24, size - 24), "<")
        elif name == b"data" and sound is None:
            sound = at + 24, 0 if is_placeholder(size) else size - 24
            why = another(file, sum(sound))  # right after the data, before the padding
        if why or size < 24 or is_placeholder(size):
            break
        at += -(-size // 8) * 8
    if sound is None or about is None:
        return None
    rate, channels, subtype, mask = about
    promised, held = sized(*sound, end)
    return PcmHeader(
        rate, channels, subtype, False, sound[0], promised, held, mask, list(range(channels)), why
    )


def _aiff(file: BinaryIO, first: int) -> PcmHeader | None:
    end = os.fstat(file.fileno()).st_size
    comm, layout, sound = b"", b"", None
    for name, size, at in chunks_from(file, first + 12, end, big_endian=True):
        if name == b"COMM":
            comm = body(file, at, size)
        elif name == b"CHAN":
            layout = body(file, at, size)
        elif name == b"SSND":
            sound = at, size
            if is_placeholder(size):
                break
    if sound is None or not comm:
        return None
    channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", comm)
    rate = round(mantissa * 2.0 ** (exponent - 16383 - 63))
    coding = comm[18:22] or b"NONE"
    subtype = AIFC_TYPES.get(coding, "")
    if coding in (b"NONE", b"twos", b"sowt"):
        subtype = INTEGERS.get((bits + 7) // 8, "")
    at, size = sound
    skipped = 8 + struct.unpack(">I", body(file, at, 4))[0]
    frame_bytes = channels * SAMPLE_BYTES.get(subtype, 0)
    counted = frames * frame_bytes
    if is_placeholder(size):
        size = 0 if is_placeholder(frames) else counted
    else:
        size -= skipped
    promised, held = sized(at + skipped, size, end, first)
    if promised is None:
        held = chunks_at_end(file, at + skipped, end, ">") - at - skipped
    why = doubt(file, at + skipped + held, end, ">", rate * frame_bytes)[0] if promised else ""
    mask, order = core_audio_order(layout, channels, by_ffmpeg=True)  # nothing in it says who wrote it
    return PcmHeader(
        rate,
        channels,
        subtype,
        coding not in (b"sowt", b"42n1", b"23ni"),
        at + skipped,
        promised,
        held,
        mask,
        order,
        why,
    )


def _caf(file: BinaryIO) -> PcmHeader | None:
    end, at = os.fstat(file.fileno()).st_size, 8
    described, layout, sound, by_ffmpeg, is_empty, why = b"", b"", None, False, False, ""
    while at + 12 <= end and not (sound and (why := another(file, at))):
        file.seek(at)
        name, size = struct.unpack(">4sq", file.read(12))
        at += 12
        if name == b"desc":
            described = body(file, at, size)
        elif name == b"chan":
            layout = body(file, at, size)
        elif name == b"info":
            by_ffmpeg = FFMPEG in body(file, at, size)
        elif name == b"data":
            sound = at + 4, 0 if is_placeholder(size) else size - 4  # after the edit count
            is_empty = size == 4 and (at + 4 == end or _is_caf_chunk(file, at + 4, end))
            if is_placeholder(size) or (size == 4 and not is_empty):
                break
        if size < 0:
            return None
        at += size
    if sound is None or not described:
        return None
    rate, coding, flags, packet, _, channels, bits = struct.unpack_from(">d4sIIIII", described)
    width = packet // channels if channels else 0
    subtype = {b"ulaw": "ULAW", b"alaw": "ALAW"}.get(coding, "")
    if coding == b"lpcm" and width * 8 == (bits + 7) // 8 * 8:
        subtype = {4: "FLOAT", 8: "DOUBLE"}.get(width, "") if flags & 1 else INTEGERS.get(width, "")
    promised, held = (0, 0) if is_empty else sized(*sound, end)
    mask, order = core_audio_order(layout, channels, by_ffmpeg)
    return PcmHeader(
        round(rate), channels, subtype, not flags & 2, sound[0], promised, held, mask, order, why
    )


def _is_caf_chunk(file: BinaryIO, at: int, end: int) -> bool:
    file.seek(at)
    name, size = struct.unpack(">4sq", file.read(12).ljust(12, b"\0"))
    return is_name(name) and 0 <= size <= end - at - 12


def _au(file: BinaryIO, head: bytes) -> PcmHeader | None:
    big_endian = head[:4] == b".snd"
    order = ">" if big_endian else "<"
    at, size, coding, rate, channels = struct.unpack_from(f"{order}5I", head, 4)
    if at < 24:
        return None
    end = os.fstat(file.fileno()).st_size
    promised, held = sized(at, size, end)
    why = another(file, at + held) if promised else ""
    subtype = AU_ENCODINGS.get(coding, "")
    return PcmHeader(rate, channels, subtype, big_endian, at, promised, held, 0, list(range(channels)), why)


def read_stream_head(head: bytes) -> tuple[tuple[int, int, int], int] | None:
    """Rate, channels and mask of a WAV that arrives through a pipe, and where its samples start.

    Args:
        head: what has arrived; None is returned until the whole header has.
    """
    about, at = None, 12
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        at += 8
        if name == b"data" and about is not None:
            rate, channels, _, mask = about
            return (rate, channels, mask), at
        if name == b"fmt " and at + size <= len(head):
            about = _fmt(head[at : at + size], "<")
        at += size + size % 2
    return None
