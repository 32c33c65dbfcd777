"""What the headers of containers and of older sample formats state of their own length.

Decoders clip a count to what the file holds, and never say that the rest is missing.

Sources: EA IFF 85; Microsoft, RIFF and Advanced Systems Format 1.20, section 3.2; Yamaha, SMAF; Creative,
VOC 1.20; MathWorks, MAT-file formats 4 and 5; NIST, SPHERE 2.6; Psion, WVE; CRI, ADX. AVR and MPC 2000 as
libsndfile 1.2.2 reads them.
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO

from render.sources.pcm_chunks import is_placeholder

SIZES = {b"RIFF": "<I", b"FORM": ">I", b"MMMD": ">I"}
"""AVI, IFF and SMAF, and how the size of what follows byte 8 is written."""
ASF = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
ASF_FILE_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
VOC = b"Creative Voice File\x1a"
VOC_BLOCKS = range(1, 10)
VOC_WRAP = 1 << 24
"""A block's size has 24 bits; libsndfile and SoX write a longer one into them all the same."""
MAT5 = b"MATLAB 5.0 MAT-file"
MAT5_VARIABLES = (14, 15)
"""Types of an element that holds a variable: plain, compressed."""
MAT5_BY_LIBSNDFILE = 8
"""So many bytes too many libsndfile 1.2.2 states for the samples."""
MAT4 = re.compile(
    rb"\x00{4}\x01\x00{3}\x01\x00{7}\x0b\x00{3}samplerate"
    rb"|\x00\x00\x03\xe8\x00{3}\x01\x00{3}\x01\x00{7}\x0bsamplerate"
)
MAT4_VARIABLES = 2
"""The rate and the samples."""
MAT4_BYTES = (8, 4, 4, 2, 2, 1)
"""Of a value, by the digit for its precision."""
SPHERE_COUNT = re.compile(rb"^sample_count -i (\d{1,18})$", re.MULTILINE)
COUNTS = (
    (re.compile(rb"2BIT.{8}\x00\x00", re.DOTALL), ">I", 26, 0),
    (re.compile(rb"ALawSoundFile\*\*\x00"), ">I", 18, 0),
    (re.compile(rb"\x01\x04[ -~\x00]{17}[\x00-\xc8].[\x00\x01]", re.DOTALL), "<I", 30, 0),
    (re.compile(rb"\x80\x00.{10}", re.DOTALL), ">I", 12, 32),
)  # fmt: skip
"""AVR of one channel (in two, sources differ on what is counted), WVE, MPC 2000 and ADX: how a file begins,
how its number of frames is written, and where; and how many fewer are no loss, as ffmpeg counts a block of
ADX more."""


def stated_frames(head: bytes) -> tuple[int, int] | None:
    """Frames that a file's first kilobytes state, and how many fewer are no loss; None for other kinds."""
    if head.startswith(b"NIST_1A"):
        stated = SPHERE_COUNT.search(head)
        return (int(stated[1]), 0) if stated else None
    for kind, layout, at, slack in COUNTS:
        if kind.match(head):
            count = struct.unpack_from(layout, head, at)[0]
            return None if is_placeholder(count) else (count, slack)
    return None


def stated_end(file: BinaryIO, head: bytes) -> int:
    """Where a file ends by the sizes in it, in bytes; 0 where it states none.

    Args:
        file: open for reading.
        head: its first kilobytes, 64 bytes at least.
    """
    if head[:4] in SIZES:
        size = struct.unpack_from(SIZES[head[:4]], head, 4)[0]
        return 0 if is_placeholder(size) else 8 + size
    if head.startswith(ASF):
        at = head.find(ASF_FILE_PROPERTIES)
        return struct.unpack_from("<Q", head, at + 40)[0] if 0 <= at <= len(head) - 48 else 0  # 0: broadcast
    if head.startswith(VOC):
        return _voc_end(file)
    if head.startswith(MAT5):
        over = MAT5_BY_LIBSNDFILE if b"libsndfile" in head[:128] else 0
        return _mat5_end(file, "<" if head[126:128] == b"IM" else ">") - over
    return _mat4_end(file, ">" if head[2] else "<") if MAT4.match(head) else 0


def _voc_end(file: BinaryIO) -> int:
    end = os.fstat(file.fileno()).st_size
    file.seek(20)
    at = int.from_bytes(file.read(2), "little")
    while at < end:
        file.seek(at)
        block = file.read(4)
        if block[0] == 0:
            return at + 1
        if block[0] not in VOC_BLOCKS or len(block) < 4:
            return at
        at += 4 + int.from_bytes(block[1:], "little")
    return at


def _mat5_end(file: BinaryIO, order: str) -> int:
    at, end = 128, os.fstat(file.fileno()).st_size
    while at + 8 <= end:
        file.seek(at)
        kind, size = struct.unpack(f"{order}II", file.read(8))
        if kind not in MAT5_VARIABLES:
            return at
        at += 8 + size
    return at


def _mat4_end(file: BinaryIO, order: str) -> int:
    at = 0
    for _ in range(MAT4_VARIABLES):
        file.seek(at)
        kind, rows, columns, imaginary, name = struct.unpack(f"{order}5I", file.read(20).ljust(20, b"\0"))
        width = MAT4_BYTES[kind // 10 % 10 % len(MAT4_BYTES)]
        at += 20 + name + rows * columns * width * (1 + min(imaginary, 1))
    return at
