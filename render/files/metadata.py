"""What a source says of itself, carried over to the stem: bext, iXML, cues and labels, loops, INFO, tags.

Positions follow the audio: they are rescaled when the rate changes and moved when a selection is rendered.
What no longer holds (measured loudness, checksums, peak envelopes) is dropped rather than passed on; a chunk
that cannot be parsed is passed on as it is.

Sources: EBU Tech 3285 v2 (bext), the iXML specification 3.01, Microsoft's multimedia data standards update
(cue, adtl, smpl).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from render.files import riff
from render.files.riff import Chunk

AUDIO_CHUNKS = frozenset({b"fmt ", b"fact", b"data", b"ds64"})
"""They describe the samples; the stem has its own."""
STALE_CHUNKS = frozenset({b"PEAK", b"MD5 ", b"levl", b"JUNK", b"junk", b"FLLR", b"PAD ", b"slnt"})
"""True of the source's samples alone, or padding."""
INFO = {
    "title": b"INAM", "artist": b"IART", "album": b"IPRD", "tracknumber": b"ITRK", "genre": b"IGNR",
    "date": b"ICRD", "copyright": b"ICOP", "software": b"ISFT", "comment": b"ICMT",
}  # fmt: skip
"""A tag's name in a WAV file's INFO list."""
LOUDNESS_UNSET = 0x7FFF
"""EBU Tech 3285 v2: the value of a loudness field that is not in use."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the stem lies in its source.

    Attributes:
        rate_in, rate_out: Hz.
        start: first frame of the selection, at the source's rate; 0 for the whole.
        frames_in: frames of the selection, at the source's rate.
    """

    rate_in: int
    rate_out: int
    start: int
    frames_in: int

    def scaled(self, frame: int) -> int:
        """A count of source frames in frames of the stem, to the nearest."""
        return round(Fraction(frame * self.rate_out, self.rate_in))

    def position(self, frame: int) -> int | None:
        """Where a source frame lies in the stem, or None when the selection leaves it out."""
        inside = self.start <= frame <= self.start + self.frames_in
        return self.scaled(frame - self.start) if inside else None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What was done, for coding history, iXML and comments.

    Attributes:
        software: name and version, as "Airband 0.1.0".
        layout: the stem's coding history fields, as "A=PCM,F=48000,W=32,M=stereo".
        facts: name to value (preset, model, model digest, seed, cut-off); names in capitals.
    """

    software: str
    layout: str
    facts: dict[str, str]

    def line(self) -> str:
        """All of it in one line."""
        return "; ".join([self.software, *(f"{name.lower()} {value}" for name, value in self.facts.items())])


@dataclass(frozen=True, slots=True)
class Metadata:
    """A file's own words: its RIFF chunks (a WAV file) and its text tags (any file).

    Attributes:
        chunks: all but those that describe the samples; they reach a WAV stem.
        tags: text by soundfile's names (title, artist, comment, ...); they reach stems of other formats, and
            a WAV stem whose source had no INFO list.
    """

    chunks: tuple[Chunk, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def as_chunks(self) -> list[Chunk]:
        """What a WAV stem is given: the chunks, and the tags as an INFO list where the source had none."""
        if any(chunk.name == b"LIST" and chunk.body[:4] == b"INFO" for chunk in self.chunks):
            return list(self.chunks)
        texts = [Chunk(INFO[name], text.encode() + b"\0") for name, text in self.tags.items() if name in INFO]
        info = [Chunk(b"LIST", b"INFO" + b"".join(chunk.packed() for chunk in texts))] if texts else []
        return [*self.chunks, *info]


def read(path: Path) -> Metadata:
    """The metadata of an audio file.

    Args:
        path: anything libsndfile reads; another container gives an empty Metadata.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            tags = {name: text for name, text in file.copy_metadata().items() if text}
    except soundfile.LibsndfileError:
        return Metadata()
    chunks = riff.read_chunks(path) if riff.is_wave(path) else []
    return Metadata(tuple(c for c in chunks if c.name not in AUDIO_CHUNKS), tags)


def carried(source: Metadata, timing: Timing, made: Provenance) -> Metadata:
    """The stem's metadata: the source's, moved to the stem's time line, with what was done added.

    Args:
        source: as read from the job's own source, never from a cached result.
        timing: where the stem lies.
        made: what was done.
    """
    chunks = [c for c in source.chunks if c.name not in STALE_CHUNKS]
    kept = _cue_ids(chunks, timing)
    moved = [_moved(chunk, timing, made, kept) for chunk in chunks]
    if not any(chunk.name == b"iXML" for chunk in moved):
        moved.append(Chunk(b"iXML", _ixml(b"", timing, made)))
    moved.sort(key=lambda chunk: chunk.name != b"bext")
    comment = "\n".join(filter(None, [source.tags.get("comment", ""), made.line()]))
    return Metadata(tuple(moved), {**source.tags, "comment": comment})


def _moved(chunk: Chunk, timing: Timing, made: Provenance, kept: frozenset[int]) -> Chunk:
    change: Callable[[bytes], bytes] | None = {
        b"bext": lambda body: _bext(body, timing, made),
        b"iXML": lambda body: _ixml(body, timing, made),
        b"cue ": lambda body: _cue(body, timing),
        b"LIST": lambda body: _adtl(body, timing, kept) if body[:4] == b"adtl" else body,
        b"smpl": lambda body: _smpl(body, timing),
    }.get(chunk.name)
    try:
        return Chunk(chunk.name, change(chunk.body)) if change else chunk
    except (struct.error, ElementTree.ParseError, ValueError):
        return chunk


def _bext(body: bytes, timing: Timing, made: Provenance) -> bytes:
    """TimeReference to the stem's rate and start, loudness unset, one line more of coding history."""
    body = body.ljust(602, b"\0")
    reference = struct.unpack_from("<Q", body, 338)[0] + timing.start
    version = struct.unpack_from("<H", body, 346)[0]
    out = bytearray(body[:602])
    struct.pack_into("<Q", out, 338, timing.scaled(reference))
    if version >= 2:
        struct.pack_into("<5h", out, 412, *(LOUDNESS_UNSET,) * 5)
    history = body[602:].rstrip(b"\0")
    if history and not history.endswith(b"\r\n"):
        history += b"\r\n"
    line = f"{made.layout},T={made.line().replace(',', ' ')}\r\n".encode("ascii", "replace")
    return bytes(out) + history + line


def _ixml(body: bytes, timing: Timing, made: Provenance) -> bytes:
    """Rates and time stamps to the stem's; the element AIRBAND says what was done."""
    text = body.rstrip(b"\0 \r\n")
    if text:
        parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
        root = ElementTree.fromstring(text, parser=parser)
    else:
        root = ElementTree.Element("BWFXML")
        ElementTree.SubElement(root, "IXML_VERSION").text = "1.61"
    for element in root.iter("FILE_SAMPLE_RATE"):
        element.text = str(timing.rate_out)
    for speed in root.iter("SPEED"):
        high, low = (speed.find(f"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_{part}") for part in ("HI", "LO"))
        if high is None or low is None:
            continue
        stamp = (int(high.text or 0) << 32) + int(low.text or 0)
        stamp = timing.scaled(stamp + timing.start)
        high.text, low.text = str(stamp >> 32), str(stamp & 0xFFFFFFFF)
        rate = speed.find("TIMESTAMP_SAMPLE_RATE")
        if rate is not None:
            rate.text = str(timing.rate_out)
    for earlier in root.findall("AIRBAND"):
        root.remove(earlier)
    block = ElementTree.SubElement(root, "AIRBAND")
    ElementTree.SubElement(block, "SOFTWARE").text = made.software
    for name, value in made.facts.items():
        ElementTree.SubElement(block, name).text = value
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode").encode()
    )


def _cues(body: bytes) -> list[tuple[int, int, bytes, int, int, int]]:
    count = struct.unpack_from("<I", body)[0]
    return [struct.unpack_from("<II4sIII", body, 4 + 24 * index) for index in range(count)]


def _cue_ids(chunks: list[Chunk], timing: Timing) -> frozenset[int]:
    """The cue points that the selection keeps; labels of the others go with them."""
    try:
        cues = [cue for chunk in chunks if chunk.name == b"cue " for cue in _cues(chunk.body)]
    except struct.error:
        return frozenset()
    return frozenset(cue[0] for cue in cues if timing.position(cue[5]) is not None)


def _cue(body: bytes, timing: Timing) -> bytes:
    moved = []
    for name, position, chunk, _chunk_start, _block_start, offset in _cues(body):
        if (at := timing.position(offset)) is not None:
            order = timing.position(position)
            moved.append(struct.pack("<II4sIII", name, at if order is None else order, chunk, 0, 0, at))
    return struct.pack("<I", len(moved)) + b"".join(moved)


def _adtl(body: bytes, timing: Timing, kept: frozenset[int]) -> bytes:
    out, at = body[:4], 4
    while at + 12 <= len(body):
        name, size = body[at : at + 4], struct.unpack_from("<I", body, at + 4)[0]
        entry = body[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
        if struct.unpack_from("<I", entry)[0] not in kept:
            continue
        if name == b"ltxt":
            length = timing.scaled(struct.unpack_from("<I", entry, 4)[0])
            entry = entry[:4] + struct.pack("<I", length) + entry[8:]
        out += Chunk(name, entry).packed()
    return out


def _smpl(body: bytes, timing: Timing) -> bytes:
    head = list(struct.unpack_from("<9I", body))
    head[2] = round(1e9 / timing.rate_out)
    loops = []
    for index in range(head[7]):
        loop = list(struct.unpack_from("<6I", body, 36 + 24 * index))
        first, last = timing.position(loop[2]), timing.position(loop[3])
        if first is not None and last is not None:
            loops.append(struct.pack("<6I", *loop[:2], first, last, *loop[4:]))
    tail = body[36 + 24 * head[7] :]
    head[7] = len(loops)
    return struct.pack("<9I", *head) + b"".join(loops) + tail
