"""How a coded file says it was made: codec, bit rate, encoder, and where the encoder ended the band.

The low-pass of an MP3 is the value in LAME's tag, the upper end of the filter's slope; that of Opus is the
widest band that its packets carry. AAC and Vorbis do not state theirs.

Sources: http://gabriel.mp3-tech.org/mp3infotag.html; RFC 6716, table 2 (Opus); RFC 3533 (Ogg); ffprobe(1).
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from render.sources.programs import lack_of
from render.sources.promises import info_tag

CODECS = {
    "mp1": "MP1", "mp2": "MP2", "mp3": "MP3", "aac": "AAC", "opus": "Opus", "vorbis": "Vorbis", "ac3": "AC-3",
    "eac3": "E-AC-3", "dts": "DTS", "wmav1": "WMA", "wmav2": "WMA", "wmapro": "WMA Pro", "atrac1": "ATRAC",
    "atrac3": "ATRAC3", "atrac3p": "ATRAC3plus", "sbc": "SBC", "speex": "Speex", "gsm": "GSM",
    "amr_nb": "AMR", "amr_wb": "AMR-WB", "musepack7": "Musepack", "musepack8": "Musepack", "cook": "Cook",
}  # fmt: skip
"""The lossy codecs, by ffprobe's names."""
OPUS_HZ = {4: 4e3, 8: 6e3, 12: 8e3, 14: 12e3, 16: 20e3, 20: 4e3, 24: 8e3, 28: 12e3, 32: 20e3}
"""The band of a packet whose configuration is below the key: SILK, hybrid from 12, CELT from 16."""
OPUS_BYTES = 1 << 20
"""How much of a file is searched for the bands of its packets: a minute and more."""
RARE = 0.05
"""A band that at most this share of the packets carry is from the start, before the encoder settled."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How a file is coded.

    Attributes:
        codec: its usual name where it is lossy, else ffprobe's.
        is_lossy: whether it leaves anything out.
        kbit_s: bit rate, where it is known.
        encoder: as the file names it; empty where it does not.
        low_pass_hz: where the encoder ended the band; None where the file does not tell.
        bits: of a sample before it was coded without loss, where that is known.
    """

    codec: str
    is_lossy: bool
    kbit_s: float | None = None
    encoder: str = ""
    low_pass_hz: float | None = None
    bits: int | None = None

    def __str__(self) -> str:
        parts = [self.codec, f"{self.kbit_s:.0f} kbit/s" if self.kbit_s else "", self.encoder]
        parts.append(f"low-pass at {self.low_pass_hz:.0f} Hz" if self.low_pass_hz else "")
        return ", ".join(part for part in parts if part)


def coding(path: Path) -> Coding | None:
    """How the first audio stream of a file is coded; None where ffprobe cannot be run or does not know."""
    from render.sources.ffmpeg import GUARD

    if lack_of("ffprobe"):
        return None
    shown = "stream=codec_name,bit_rate,bits_per_raw_sample:stream_tags=encoder:format=bit_rate"
    command = [
        "ffprobe",
        "-v",
        "quiet",
        *GUARD,
        "-select_streams",
        "a:0",
        "-show_entries",
        shown,
        "-of",
        "json",
    ]
    run = subprocess.run([*command, f"file:{path.absolute()}"], stdin=subprocess.DEVNULL, capture_output=True)
    try:
        probed: dict[str, Any] = json.loads(run.stdout)
        stream: dict[str, Any] = probed["streams"][0]
        name = str(stream["codec_name"])
    except (ValueError, KeyError, IndexError):
        return None
    tags = {key.lower(): str(text) for key, text in (stream.get("tags") or {}).items()}
    bits = stream.get("bits_per_raw_sample", "")
    return Coding(
        CODECS.get(name, name),
        name in CODECS,
        _kbit_s(stream.get("bit_rate")) or _kbit_s((probed.get("format") or {}).get("bit_rate")),
        tags.get("encoder", ""),
        _low_pass_hz(path, name),
        int(bits) if str(bits).isdigit() and int(bits) else None,
    )


def _kbit_s(bits_s: Any) -> float | None:
    return int(bits_s) / 1000 if str(bits_s).isdigit() else None


def _low_pass_hz(path: Path, codec: str) -> float | None:
    with path.open("rb") as file:
        if codec == "mp3":
            tag = info_tag(file)
            return 100.0 * tag[10] if tag[:4] == b"LAME" and tag[10] else None
        return _opus_hz(file) if codec == "opus" else None


def _opus_hz(file: BinaryIO) -> float | None:
    """The widest band that the packets of Opus in Ogg carry."""
    from mutagen.ogg import OggPage
    from mutagen.ogg import error as OggError

    bands: Counter[float] = Counter()
    with suppress(OggError, EOFError):
        while file.tell() < OPUS_BYTES:
            for packet in OggPage(file).packets:
                if len(packet) > 2 and not packet.startswith((b"OpusHead", b"OpusTags")):  # 2: silence
                    bands[next(hz for end, hz in OPUS_HZ.items() if packet[0] >> 3 < end)] += 1
    usual = [hz for hz, count in bands.items() if count > RARE * bands.total()]
    return max(usual, default=None)
