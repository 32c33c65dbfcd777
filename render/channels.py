"""Loudspeakers: which one each channel of a clip is for, as the mask that a WAV header holds.

The channels of a clip stand in the order of their bits in the mask (the WAV order); `to_wav_order` brings
channels of another order into it. A mask of 0 means that the speakers are not known.

Sources: Microsoft, "Multiple channel audio data and WAVE files" (mask, order); Xiph, Vorbis I specification
4.3.9 and RFC 7845 5.1.1.2 (order of Vorbis and Opus); Apple Core Audio, CoreAudioBaseTypes.h (labels, layout
tags).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

SPEAKERS = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC",
    "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)  # fmt: skip
"""Speaker n stands for bit n of a mask."""
PAIRS = (("FL", "FR"), ("BL", "BR"), ("FLC", "FRC"), ("SL", "SR"), ("TFL", "TFR"), ("TBL", "TBR"))
"""Left and right speakers that belong together."""

FLAC_MASKS = (0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x70F, 0x63F)
"""The masks of 1 to 8 channels in FLAC, Vorbis and Opus, unless the file gives another."""
XIPH_ORDER = {
    3: (0, 2, 1), 5: (0, 2, 1, 3, 4), 6: (0, 2, 1, 5, 3, 4), 7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}  # fmt: skip
"""Where channel n of the WAV order stands in Vorbis and Opus, by the number of channels."""

# Core Audio's layout tags, by their upper half: the order they stand for.
_TAGS = {
    100: "FC", 101: "FL FR", 102: "FL FR", 103: "FL FR", 106: "FL FR", 108: "FL FR BL BR",
    109: "FL FR SL SR FC",
    110: "FL FR SL SR FC BC", 113: "FL FR FC", 114: "FC FL FR", 115: "FL FR FC BC", 116: "FC FL FR BC",
    117: "FL FR FC SL SR", 118: "FL FR SL SR FC", 119: "FL FC FR SL SR", 120: "FC FL FR SL SR",
    121: "FL FR FC LFE SL SR", 122: "FL FR SL SR FC LFE", 123: "FL FC FR SL SR LFE",
    124: "FC FL FR SL SR LFE",
    125: "FL FR FC LFE SL SR BC", 126: "FL FR FC LFE SL SR FLC FRC", 127: "FC FLC FRC FL FR SL SR LFE",
    128: "FL FR FC LFE SL SR BL BR", 129: "FL FR SL SR FC LFE FLC FRC", 131: "FL FR BC", 132: "FL FR SL SR",
    133: "FL FR LFE", 134: "FL FR LFE BC", 135: "FL FR LFE SL SR", 136: "FL FR FC LFE",
    137: "FL FR FC LFE BC",
    138: "FL FR SL SR LFE", 139: "FL FR SL SR FC BC", 140: "FL FR SL SR FC BL BR", 141: "FC FL FR SL SR BC",
    142: "FC FL FR SL SR BC LFE", 143: "FC FL FR SL SR BL BR", 144: "FC FL FR SL SR BL BR BC",
    148: "FL FR SL SR FC FLC FRC",
}  # fmt: skip
_FFMPEG_TAGS = {
    125: "FL FR FC LFE BC SL SR", 126: "FL FR FC LFE FLC FRC SL SR", 128: "FL FR FC LFE BL BR SL SR"
}  # fmt: skip
"""MPEG 6.1 A, 7.1 A and 7.1 C as ffmpeg writes them: in the WAV order."""
FFMPEG = b"Lavf"
"""The mark of a file that ffmpeg wrote."""
_BY_DESCRIPTION, _BY_BITMAP = 0, 1 << 16
_REAR_LABELS = {33: "BL", 34: "BR", 42: "FC"}
"""Core Audio's labels past the mask's own (n + 1 is bit n): rear surround, and mono."""


def speakers(mask: int) -> list[str]:
    """The speakers of a mask, in the WAV order."""
    return [name for bit, name in enumerate(SPEAKERS) if mask >> bit & 1]


def to_wav_order(names: Sequence[str]) -> tuple[int, list[int]]:
    """The mask of the speakers `names`, and the index among them of each channel of the WAV order.

    A name that comes twice, or that no mask holds, gives mask 0 and the order unchanged.
    """
    bits = [SPEAKERS.index(name) if name in SPEAKERS else -1 for name in names]
    if -1 in bits or len(set(bits)) != len(bits):
        return 0, list(range(len(names)))
    return sum(1 << bit for bit in bits), sorted(range(len(bits)), key=bits.__getitem__)


def core_audio_order(chunk: bytes, channels: int, by_ffmpeg: bool = False) -> tuple[int, list[int]]:
    """Mask and order (see `to_wav_order`) by a Core Audio layout: `chan` of CAF and MOV, `CHAN` of AIFF.

    Args:
        chunk: tag, bitmap, count, descriptions; big-endian.
        channels: of the file; a layout of another number of channels is ignored.
        by_ffmpeg: whether ffmpeg wrote it: three of the tags then stand for another order than Apple's.
    """
    unsaid = 0, list(range(channels))
    try:
        tag, bitmap, count = struct.unpack_from(">III", chunk)
        if tag == _BY_BITMAP:
            return (bitmap, unsaid[1]) if len(speakers(bitmap)) == bitmap.bit_count() == channels else unsaid
        if tag == _BY_DESCRIPTION:
            labels = struct.unpack_from(">" + "I16x" * count, chunk, 12) if count == channels else ()
            names = [_labelled(label) for label in labels]
        else:
            tags = _TAGS | _FFMPEG_TAGS if by_ffmpeg else _TAGS
            names = tags.get(tag >> 16, "").split()
    except struct.error:
        return unsaid
    return to_wav_order(names) if len(names) == channels else unsaid


def _labelled(label: int) -> str:
    return SPEAKERS[label - 1] if 1 <= label <= len(SPEAKERS) else _REAR_LABELS.get(label, "")
