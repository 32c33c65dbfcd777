"""How long a coded file says that it is, where that can be relied on, and whether it shows that it was cut.

Sources: RFC 9639 (FLAC); the Xing and LAME info tags (http://gabriel.mp3-tech.org/mp3infotag.html);
Fraunhofer's VBRI tag; ISO/IEC 11172-3 and 13818-3 (MPEG audio frame header); RFC 3533 (Ogg); EA IFF 85;
Microsoft, Advanced Systems Format 1.20, section 3.2; NIST, SPHERE 2.6.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from render.sources.links import ogg_lacks
from render.sources.mov_channels import atoms_in
from render.sources.pcm_chunks import after_id3, is_placeholder
from render.sources.pcm_header import PcmHeader

HEAD_BYTES = 4096
GAPLESS_ENCODERS = (b"LAME", b"Lavc", b"Lavf", b"GOGO")
"""Who fills in delay and padding beside a Xing tag."""
FORMS = {b"RIFF": "<I", b"FORM": ">I"}
"""AVI and IFF, and how their size is written."""
ASF_HEADER = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
ASF_FILE_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
SPHERE_COUNT = re.compile(rb"^sample_count -i (\d{1,18})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Promise:
    """What a file says of its own length.

    Attributes:
        frames: of all its streams together; None where it says nothing that can be relied on.
        slack: frames by which less is no loss.
        share: of the promised bytes, how many are there.
        cut: how it shows that it was cut, in words; "" when it does not.
        ends_anywhere: whether its header was never finished, so that its last packet may be a part.
    """

    frames: int | None = None
    slack: int = 0
    share: float = 1.0
    cut: str = ""
    ends_anywhere: bool = False


def read_promise(file: BinaryIO, links: Sequence[tuple[int, int]], header: PcmHeader | None) -> Promise:
    """The promise of a file.

    Args:
        file: open for reading.
        links: the streams in it, first byte and end of each.
        header: of a WAV, AIFF, CAF or AU file whose samples are coded.
    """
    head = _read(file, after_id3(file))
    if header is not None:
        share = header.held / header.promised if header.promised else 1.0
        return Promise(share=share, cut=header.doubt, ends_anywhere=header.promised is None)
    if head[:4] == b"fLaC":
        counts = [_flac_frames(_read(file, after_id3(file, start))) for start, _ in links]
        return Promise(sum(filter(None, counts)) if all(counts) else None)
    if head[:4] == b"OggS":
        return Promise(cut=ogg_lacks(file))
    if head[:7] == b"NIST_1A" and (told := SPHERE_COUNT.search(head)):
        return Promise(int(told[1]))
    return Promise(_mp3_frames(head), slack=1152, cut=_container_lacks(file, head))


def _container_lacks(file: BinaryIO, head: bytes) -> str:
    """What shows that a container is not whole, or not all, in words; "" where nothing does."""
    end = os.fstat(file.fileno()).st_size
    promised = 0
    if head[:4] in FORMS:
        size = struct.unpack_from(FORMS[head[:4]], head, 4)[0]
        promised = 0 if is_placeholder(size) else 8 + size
    elif head.startswith(ASF_HEADER) and 0 <= (at := head.find(ASF_FILE_PROPERTIES)) <= HEAD_BYTES - 48:
        promised = struct.unpack_from("<Q", head, at + 40)[0]  # 0 in a broadcast
    elif head[4:8] == b"ftyp" and (second := [at - 8 for at, _ in atoms_in(file, b"ftyp", 0, end)][1:]):
        return f"another file follows at byte {second[0]}"
    return f"its header promises {promised} bytes, it holds {end}" if end < promised else ""


def _read(file: BinaryIO, at: int) -> bytes:
    """The head of a stream; zeros stand for what a file of a few bytes lacks of its fixed fields."""
    file.seek(at)
    return file.read(HEAD_BYTES).ljust(64, b"\0")


def _flac_frames(head: bytes) -> int | None:
    """Frames by STREAMINFO, which follows the marker; None when it leaves them open."""
    return int.from_bytes(head[18:26], "big") & (1 << 36) - 1 or None


def info_tag(file: BinaryIO) -> bytes:
    """What the encoder of an MP3 wrote beside the Xing tag in its first frame; zeros where there is none."""
    _, lame = _xing(_read(file, after_id3(file, 0)))
    return lame.ljust(36, b"\0")


def _xing(head: bytes) -> tuple[int, bytes]:
    """The packets that the tag in an MP3's first frame counts, 0 where there is none, and what follows it."""
    if len(head) < 200 or not _is_layer_3(head):
        return 0, b""
    mpeg1, mono = bool(head[1] & 0x08), head[3] >> 6 == 3
    at = 4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    if head[at : at + 4] not in (b"Xing", b"Info"):
        return 0, b""
    flags, packets = struct.unpack_from(">II", head, at + 4)
    lame = at + 8 + 4 * (flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
    return int(packets) if flags & 1 else 0, head[lame : lame + 36]


def _is_layer_3(head: bytes) -> bool:
    return head[0] == 0xFF and head[1] & 0xE6 == 0xE2  # the sync word, layer III


def _mp3_frames(head: bytes) -> int | None:
    """Frames by the tag in an MP3's first frame, less delay and padding; None where there is none."""
    if len(head) < 200 or not _is_layer_3(head):
        return None
    frame = 1152 if head[1] & 0x08 else 576
    if head[36:40] == b"VBRI":
        return int(struct.unpack_from(">I", head, 36 + 14)[0]) * frame
    packets, lame = _xing(head)
    if not packets:
        return None
    delay, padding = divmod(int.from_bytes(lame[21:24], "big"), 1 << 12)
    trimmed = delay + padding if lame[:4] in GAPLESS_ENCODERS else 0
    return max(0, packets * frame - trimmed)
