"""The head of a WAV or AIFF file, up to its first sample.

RF64 takes the place of RIFF where 4 GiB do not suffice; float AIFF is AIFF-C.

Sources: Microsoft, "New multimedia data types and data techniques" 3.0 and "Multiple channel audio data and
WAVE files" (`fmt ` of 16, 18 and 40 bytes, `fact`); EBU Tech 3306 (RF64); Apple, AIFF 1.3 and AIFF-C; Core
Audio's channel layout (`CHAN`).
"""

from __future__ import annotations

import struct

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
USUAL_MASKS = (0, 0x4, 0x3)
"""The mask that a file of one or two channels is taken to have where it gives none, by number of channels."""
SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format tag in a subformat's GUID."""
AIFC_VERSION = 0xA2805140
SWAPPED = b"sowt"
AIFC_INTEGERS = (b"NONE", SWAPPED)
"""AIFF-C's names of plain integers, big-endian and little-endian."""
BITMAP_LAYOUT = 1 << 16


def is_usual(mask: int, channels: int) -> bool:
    """Whether a file needs no mask: the speakers are not known, or it is plain mono or stereo."""
    return mask in (0, *USUAL_MASKS[channels : channels + 1])


def wav_header(
    frames: int,
    channels: int,
    rate: int,
    bits: int,
    mask: int,
    long: bool,
    large_chunks: int = 0,
    wording: bytes = b"",
) -> bytes:
    """The header of a WAV file, RIFF or RF64.

    Args:
        frames, channels, rate: of the samples.
        bits: 16 or 24 (integer) or 32 (float).
        mask: which speakers the channels are for (see `render.channels`); 0 when not known.
        long: whether to write RF64.
        large_chunks: how many chunks of 4 GiB and more will follow; RF64 keeps room for their sizes.
        wording: the end of the subformat's GUID, where that is not SUBFORMAT.
    """
    nbytes = frames * channels * bits // 8
    tag = FLOAT if bits == 32 else PCM
    fact = b"fact" + struct.pack("<II", 4, min(frames, 0xFFFFFFFF)) if tag == FLOAT else b""
    head = b"fmt " + _fmt(tag, channels, rate, bits, mask, wording) + fact
    length = 4 + len(head) + 8 + nbytes + nbytes % 2
    if not long:
        return b"RIFF" + struct.pack("<I", length) + b"WAVE" + head + b"data" + struct.pack("<I", nbytes)
    table = bytes(12 * large_chunks)
    length += 36 + len(table)
    sizes = b"ds64" + struct.pack("<IQQQI", 28 + len(table), length, nbytes, frames, 0) + table
    unsaid = b"\xff\xff\xff\xff"
    return b"RF64" + unsaid + b"WAVE" + sizes + head + b"data" + unsaid


def _fmt(tag: int, channels: int, rate: int, bits: int, mask: int, wording: bytes) -> bytes:
    """Size and body of `fmt `: 16 bytes for integers, 18 for floats, 40 where there is a mask or
    subformat."""
    block = channels * bits // 8
    about = struct.pack("<HIIHH", channels, rate, rate * block, block, bits)
    if channels > 2 or not is_usual(mask, channels) or wording:
        extra = struct.pack("<HHIH", 22, bits, mask, tag) + (wording or SUBFORMAT)
        return struct.pack("<IH", 40, EXTENSIBLE) + about + extra
    if tag == FLOAT:
        return struct.pack("<IH", 18, tag) + about + struct.pack("<H", 0)
    return struct.pack("<IH", 16, tag) + about


def aiff_header(frames: int, channels: int, rate: int, bits: int, mask: int, wording: bytes = b"") -> bytes:
    """The header of an AIFF file; AIFF-C for floats and for `wording`.

    Args:
        frames, channels, rate, bits, mask: as for `wav_header`.
        wording: one of AIFC_INTEGERS, for integers in AIFF-C.
    """
    nbytes = frames * channels * bits // 8
    exponent = rate.bit_length() - 1
    about = struct.pack(">HIHHQ", channels, frames, bits, 16383 + exponent, rate << (63 - exponent))
    chunks = []
    if bits == 32:
        about += b"fl32" + bytes([12]) + b"Float 32-bit" + b"\0"
    elif wording:
        about += wording + b"\0\0"
    is_aifc = bits == 32 or bool(wording)
    if is_aifc:
        chunks.append(_chunk(b"FVER", struct.pack(">I", AIFC_VERSION)))
    chunks.append(_chunk(b"COMM", about))
    if not is_usual(mask, channels):
        chunks.append(_chunk(b"CHAN", struct.pack(">III", BITMAP_LAYOUT, mask, 0)))
    head = b"".join(chunks)
    length = 4 + len(head) + 16 + nbytes + nbytes % 2
    form = b"AIFC" if is_aifc else b"AIFF"
    return b"FORM" + struct.pack(">I", length) + form + head + b"SSND" + struct.pack(">III", nbytes + 8, 0, 0)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack(">I", len(body)) + body + b"\0" * (len(body) % 2)
