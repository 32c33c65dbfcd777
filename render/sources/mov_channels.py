"""Atoms of MOV and MP4, and the order of the channels of plain PCM in them, as a `chan` atom gives it.

ffmpeg leaves these channels in the file's order; those of codecs such as AAC and ALAC it brings into the WAV
order itself.

Source: Apple, QuickTime File Format (sample descriptions, `chan`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from render.channels import FFMPEG, core_audio_order

PCM = frozenset(
    {b"lpcm", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"fl64", b"raw ", b"NONE", b"ulaw", b"alaw"}
    | {b"ipcm", b"fpcm"}
)
"""Names of sample descriptions whose channels ffmpeg leaves in the file's order."""
PATH = (b"mdia", b"minf", b"stbl", b"stsd")
DESCRIPTION_BYTES_MAX = 1 << 16


def mov_order(file: BinaryIO, stream: int) -> tuple[int, list[int]] | None:
    """Mask and order (see `render.channels.to_wav_order`) of a stream of plain PCM; None for any other.

    Args:
        file: open for reading.
        stream: which audio stream, 0 the first.
    """
    end = os.fstat(file.fileno()).st_size
    file.seek(4)
    if file.read(4) not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return None
    described = [
        entry
        for moov in atoms_in(file, b"moov", 0, end)
        for trak in atoms_in(file, b"trak", *moov)
        if (entry := _audio_description(file, trak))
    ]
    if stream >= len(described) or described[stream][4:8] not in PCM:
        return None
    entry = described[stream]
    channels = struct.unpack_from(">H", entry, 24)[0]
    if struct.unpack_from(">H", entry, 16)[0] == 2:  # version 2 keeps the number elsewhere
        channels = struct.unpack_from(">I", entry, 48)[0]
    at = entry.find(b"chan", 36)
    if at < 0 or not 1 <= channels <= 8:
        return None
    mask, order = core_audio_order(entry[at + 8 :], channels, _is_by_ffmpeg(file, end))
    return (mask, order) if mask else None


def _is_by_ffmpeg(file: BinaryIO, end: int) -> bool:
    for moov in atoms_in(file, b"moov", 0, end):
        for at, stop in atoms_in(file, b"udta", *moov):
            file.seek(at)
            if FFMPEG in file.read(min(stop - at, DESCRIPTION_BYTES_MAX)):
                return True
    return False


def _audio_description(file: BinaryIO, trak: tuple[int, int]) -> bytes:
    """The first sample description of a track of sound, from its size on; b"" for any other track."""
    spans = [trak]
    for name in PATH:
        spans = [inner for span in spans for inner in atoms_in(file, name, *span)]
        if name == b"mdia" and spans:
            handlers = [inner for span in spans for inner in atoms_in(file, b"hdlr", *span)]
            file.seek(handlers[0][0] + 8 if handlers else 0)
            if file.read(4) != b"soun":
                return b""
    if not spans:
        return b""
    at, end = spans[0]
    file.seek(at + 8)
    return file.read(min(end - at - 8, DESCRIPTION_BYTES_MAX))


def atoms_in(file: BinaryIO, name: bytes | None, at: int, end: int) -> Iterator[tuple[int, int]]:
    """First byte and end of the content of every atom `name`, or of any, between two places."""
    while at + 8 <= end:
        file.seek(at)
        size, found = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8))[0], 16
        stop = end if size == 0 else min(at + size, end)
        if name is None or found == name:
            yield at + head, stop
        if size and size < head:
            return
        at = stop
