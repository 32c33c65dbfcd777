"""What a file shows without being decoded: rate, channels, its length where that can be relied on, and
whether it was cut.

Sources: RFC 9639 (FLAC); the Xing and LAME info tags (http://gabriel.mp3-tech.org/mp3infotag.html);
Fraunhofer's VBRI tag; ISO/IEC 11172-3 and 13818-3 (MPEG audio frame header); RFC 3533 (Ogg).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from render.sources.extent.stated import VOC, VOC_WRAP, stated_end, stated_frames
from render.sources.links import ogg_lacks
from render.sources.pcm_chunks import after_id3, is_placeholder
from render.sources.pcm_header import W64_RIFF, PcmHeader, read_header

HEAD_BYTES = 4096
GAPLESS_ENCODERS = (b"LAME", b"Lavc", b"Lavf", b"GOGO")
"""Encoders that fill in delay and padding beside a Xing tag."""
MPEG_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By the code of the MPEG version in a frame's header (1, 2 and 2.5), and the index of the rate there."""
LIBSNDFILE = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff", b"riff", b".snd")
"""First bytes of the files that libsndfile is asked about; it takes others for MP3, and prints to stderr."""
UNKNOWN_FRAMES = 1 << 40
"""libsndfile reports a length beyond this when the header holds none (FLAC written to a pipe)."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a file says of its own length.

    Attributes:
        frames: of all its streams together; None where it says nothing that can be relied on.
        slack: how many frames fewer are no loss.
        share: of the promised bytes that are there, 0 to 1.
        cut: how it shows that it was cut, in words; "" when it does not.
        ends_anywhere: whether its last packet may be incomplete, as its header was never finished or padding
            follows.
    """

    frames: int | None = None
    slack: int = 0
    share: float = 1.0
    cut: str = ""
    ends_anywhere: bool = False


class Shape(NamedTuple):
    """Rate in Hz, channels, and frames; None where their number is not known."""

    rate: int
    channels: int
    frames: int | None


def read_shape(path: Path) -> Shape | None:
    """The shape by a file's header; None where only a decoder can tell, or nothing shows that it is audio.

    Plain PCM and MP3 are read without libsndfile, which loads NumPy.
    """
    with path.open("rb") as file:
        if (header := read_header(file)) is not None and header.subtype and header.channels > 0:
            return Shape(header.rate, header.channels, header.held // header.frame_bytes)
        head = _read(file, after_id3(file))
        if frames := _mp3_frames(head):
            rates = MPEG_RATES_HZ.get(head[1] >> 3 & 3, ())
            index = head[2] >> 2 & 3
            return Shape(rates[index], 1 if head[3] >> 6 == 3 else 2, frames) if index < len(rates) else None
        file.seek(0)
        if not file.read(4).startswith(LIBSNDFILE):
            return None

    import soundfile

    try:
        about = soundfile.info(os.fsencode(path))
    except (soundfile.SoundFileError, TypeError):  # .raw raises the last
        return None
    return Shape(about.samplerate, about.channels, about.frames if about.frames < UNKNOWN_FRAMES else None)


def shows_cut(path: Path) -> bool:
    """Whether a file that `read_shape` knows is incomplete, as far as that shows without decoding all of it.

    It shows by what the file promises, and by the last frame, which libsndfile is asked for; damage in the
    middle does not show.
    """
    with path.open("rb") as file:
        header, end = read_header(file), os.fstat(file.fileno()).st_size
        promise = read_promise(file, [(0, end)], header)
        if promise.cut or promise.share < 1:
            return True
        first = after_id3(file)
        if nbytes := _mp3_tag(_read(file, first)).nbytes:
            return first + nbytes > end
        file.seek(0)
        if (header is not None and header.subtype) or not file.read(4).startswith(LIBSNDFILE):
            return False

    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:
            if sound.frames >= UNKNOWN_FRAMES or not sound.seekable():
                return False
            sound.seek(max(0, sound.frames - 1))
            return bool(len(sound.read(1)) < min(1, sound.frames))
    except soundfile.SoundFileError:
        return True


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
        ends_anywhere = header.promised is None or _is_padded_w64(file, header)
        return Promise(share=share, cut=header.doubt, ends_anywhere=ends_anywhere)
    if head[:4] == b"fLaC":
        counts = [_flac_frames(_read(file, after_id3(file, start))) for start, _ in links]
        return Promise(sum(filter(None, counts)) if all(counts) else None)
    if head[:4] == b"OggS":
        return Promise(cut=ogg_lacks(file))
    if (count := stated_frames(head)) is not None:
        return Promise(*count)
    return Promise(_mp3_frames(head), slack=1152, cut=_container_lacks(file, head))


def _is_padded_w64(file: BinaryIO, header: PcmHeader) -> bool:
    """Whether the audio of a W64 ends in zeros: ffmpeg counts the padding to 8 bytes as audio, and then reads
    it as a packet."""
    file.seek(0)
    is_w64 = file.read(len(W64_RIFF)) == W64_RIFF
    file.seek(max(0, header.at + header.held - 1))
    return is_w64 and file.read(1) == b"\0"


def _container_lacks(file: BinaryIO, head: bytes) -> str:
    """Why a container is not whole, in words; "" where nothing shows it."""
    end, stated = os.fstat(file.fileno()).st_size, stated_end(file, head)
    if head.startswith(VOC) and end - stated >= VOC_WRAP:
        return f"{end - stated} bytes follow the audio that its header promises; sizes in VOC wrap at 16 MiB"
    return f"its header promises {stated} bytes, it holds {end}" if end < stated else ""


def _read(file: BinaryIO, at: int) -> bytes:
    """The head of a stream, padded with zeros where the file is too short for its fixed fields."""
    file.seek(at)
    return file.read(HEAD_BYTES).ljust(64, b"\0")


def _flac_frames(head: bytes) -> int | None:
    """Frames by STREAMINFO, which follows the marker; None when it leaves them open."""
    return int.from_bytes(head[18:26], "big") & (1 << 36) - 1 or None


class _Mp3Tag(NamedTuple):
    """What an MP3's first frame says of the whole: packets and bytes (0 if unknown), and its encoder's
    field."""

    packets: int = 0
    nbytes: int = 0
    encoder: bytes = b""


def info_tag(file: BinaryIO) -> bytes:
    """The encoder's field beside the Xing tag in an MP3's first frame, 36 bytes; zeros where there is
    none."""
    return _mp3_tag(_read(file, after_id3(file, 0))).encoder.ljust(36, b"\0")


def _mp3_tag(head: bytes) -> _Mp3Tag:
    if len(head) < 200 or not _is_layer_3(head):
        return _Mp3Tag()
    if head[36:40] == b"VBRI":
        nbytes, packets = struct.unpack_from(">II", head, 36 + 10)
        return _Mp3Tag(packets, nbytes)
    mpeg1, mono = bool(head[1] & 0x08), head[3] >> 6 == 3
    at = 4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    if head[at : at + 4] not in (b"Xing", b"Info"):
        return _Mp3Tag()
    has_packets, has_bytes, has_index, has_quality = (head[at + 7] >> bit & 1 for bit in range(4))
    at += 8
    counts = [0 if is_placeholder(count) else count for count in struct.unpack_from(">II", head, at)]
    packets, nbytes = counts[0] * has_packets, counts[has_packets] * has_bytes
    at += 4 * has_packets + 4 * has_bytes + 100 * has_index + 4 * has_quality
    return _Mp3Tag(packets, nbytes, head[at : at + 36])


def _is_layer_3(head: bytes) -> bool:
    return head[0] == 0xFF and head[1] & 0xE6 == 0xE2  # the sync word, layer III


def _mp3_frames(head: bytes) -> int | None:
    """Frames by the tag in an MP3's first frame, less delay and padding; None where there is none."""
    tag = _mp3_tag(head)
    if not tag.packets:
        return None
    frames = tag.packets * (1152 if head[1] & 0x08 else 576)
    if tag.encoder[:4] not in GAPLESS_ENCODERS:
        return frames
    delay, padding = divmod(int.from_bytes(tag.encoder[21:24], "big"), 1 << 12)
    return max(0, frames - delay - padding)
