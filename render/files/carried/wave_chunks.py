"""Reads and writes a WAV file's chunks: its texts, and its positions and history on the stem's time line.

Positions follow the audio: they are rescaled when the rate changes and moved when a selection is rendered.
A chunk that cannot be parsed is passed on as it is.

Sources: Microsoft's RIFF specification 1.0 (INFO) and its update (cue, adtl, smpl, plst), EBU Tech 3285 v2
(bext), AES46 (cart), ITU-R BS.2076 and BS.2088 (axml, bxml, chna).
"""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from xml.etree import ElementTree

from render.files.carried.aiff_chunks import Marker
from render.files.carried.broadcast import ixml
from render.files.carried.chunks import AnyChunk, Chunk, StoredChunk
from render.files.carried.tags import Tag
from render.files.carried.timing import Provenance, Timing
from render.sources.content import Content

INFO = {
    "TITLE": b"INAM", "ARTIST": b"IART", "ALBUM": b"IPRD", "TRACKNUMBER": b"ITRK", "GENRE": b"IGNR",
    "DATE": b"ICRD", "COPYRIGHT": b"ICOP", "ENCODER": b"ISFT", "COMMENT": b"ICMT", "ENGINEER": b"IENG",
    "SUBJECT": b"ISBJ", "KEYWORDS": b"IKEY", "SOURCE": b"ISRC", "MEDIA": b"IMED", "TECHNICIAN": b"ITCH",
    "BPM": b"IBPM", "LANGUAGE": b"ILNG", "COMPOSER": b"IMUS", "LYRICIST": b"IWRI", "PRODUCER": b"IPRO",
}  # fmt: skip
"""The name of each tag in the INFO list."""
INFO_NAMES = {name: tag for tag, name in INFO.items()}
LOUDNESS_UNSET = 0x7FFF
"""EBU Tech 3285 v2: the value of a loudness field that is not in use."""
CART_TIMERS, CART_TIMER_COUNT = 684, 8
"""AES46: where the post timers stand in a cart chunk, each a name and a count of samples."""
OBJECTS = (b"axml", b"bxml", b"sxml", b"chna")
"""The audio definition model: objects whose times count from the start of the whole file."""
SLICES = b"strc"
"""The slices of an Acid loop, in an unpublished format: valid only at the source's own rate and start."""
SAMPLE_TIME = re.compile(rb"(\d\d:\d\d:\d\d\.)(\d{1,9})S(\d{4,6})(?!\d)")
"""BS.2076-2: a time whose fraction counts samples, as 00:00:05.22050S44100."""


def moved_chunks(chunks: Iterable[AnyChunk], timing: Timing, made: Provenance) -> list[AnyChunk]:
    """A WAV file's chunks on the stem's time line, with what was done added to bext and iXML.

    Args:
        chunks: those that describe the samples left out.
        timing: where the stem lies.
        made: what was done.
    """
    chunks = list(chunks)
    kept = _cue_ids(chunks, timing)
    moved: list[AnyChunk] = []
    for chunk in chunks:
        if chunk.name in OBJECTS:
            if timing.whole:
                moved.append(_objects(chunk, timing))
        elif chunk.name != SLICES or timing.keeps_places:
            moved.append(_moved(chunk, timing, made, kept) if isinstance(chunk, Chunk) else chunk)
    if not any(chunk.name == b"iXML" for chunk in moved):
        moved.append(Chunk(b"iXML", ixml(b"", timing, made)))
    moved.sort(key=lambda chunk: chunk.name != b"bext")
    return moved


def _objects(chunk: AnyChunk, timing: Timing) -> AnyChunk:
    """A chunk of the object model at the stem's rate: times that count samples are rescaled."""
    if timing.rate_in == timing.rate_out or chunk.name == b"chna":
        return chunk
    if isinstance(chunk, StoredChunk) and chunk.name == b"axml" and not _counts_samples(chunk):
        return chunk
    loaded = chunk.load() if isinstance(chunk, StoredChunk) else chunk
    if chunk.name != b"bxml":
        return Chunk(chunk.name, _sample_times(loaded.body, timing))
    kind, packed = loaded.body[:2], loaded.body[2:]  # BS.2088-1: the kind of compression, 1 for gzip
    try:
        text = gzip.decompress(packed)
    except (OSError, EOFError, ValueError):
        return chunk
    counted = _sample_times(text, timing)
    return chunk if counted == text else Chunk(chunk.name, kind + gzip.compress(counted, mtime=0))


def _counts_samples(chunk: StoredChunk) -> bool:
    with chunk.path.open("rb") as file:
        return Content(file).search(SAMPLE_TIME, chunk.offset, chunk.offset + chunk.nbytes) >= 0


def _sample_times(text: bytes, timing: Timing) -> bytes:
    def counted(found: re.Match[bytes]) -> bytes:
        if int(found[3]) != timing.rate_in:
            return found[0]
        samples = min(timing.scaled(int(found[2])), timing.rate_out - 1)
        return b"%s%dS%d" % (found[1], samples, timing.rate_out)

    return SAMPLE_TIME.sub(counted, text)


def _moved(chunk: Chunk, timing: Timing, made: Provenance, kept: frozenset[int]) -> Chunk:
    changes: dict[bytes, Callable[[bytes], bytes]] = {
        b"bext": lambda body: _bext(body, timing, made),
        b"iXML": lambda body: ixml(body, timing, made),
    }
    if not timing.keeps_places:
        changes |= {
            b"cue ": lambda body: _cue(body, timing),
            b"LIST": lambda body: _adtl(body, timing, kept) if body[:4] == b"adtl" else body,
            b"smpl": lambda body: _smpl(body, timing),
            b"plst": lambda body: _plst(body, timing),
            b"cart": lambda body: _cart(body, timing),
        }
    change = changes.get(chunk.name)
    try:
        return Chunk(chunk.name, change(chunk.body)) if change else chunk
    except (struct.error, ElementTree.ParseError, ValueError):
        return chunk


def _bext(body: bytes, timing: Timing, made: Provenance) -> bytes:
    """A bext chunk with the stem's time reference, loudness unset, and one more line of coding history."""
    body = body.ljust(602, b"\0")
    reference = struct.unpack_from("<Q", body, 338)[0] + timing.start
    version = struct.unpack_from("<H", body, 346)[0]
    out = bytearray(body[:602])
    struct.pack_into("<Q", out, 338, timing.scaled(reference))
    if version >= 2:
        struct.pack_into("<5h", out, 412, *(LOUDNESS_UNSET,) * 5)
    return _with_line(bytes(out) + body[602:], made)


def with_history(body: bytes, made: Provenance) -> list[Chunk]:
    """A bext chunk whose coding history says what was done; none for an empty body."""
    return [Chunk(b"bext", _with_line(body, made))] if body else []


def _with_line(body: bytes, made: Provenance) -> bytes:
    history = body[602:].rstrip(b"\0")
    if history and not history.endswith(b"\r\n"):
        history += b"\r\n"
    line = f"{made.layout},T={made.line().replace(',', ' ')}\r\n".encode("ascii", "replace")
    return body[:602] + history + line


def _cues(body: bytes) -> list[tuple[int, int, bytes, int, int, int]]:
    count = struct.unpack_from("<I", body)[0]
    return [struct.unpack_from("<II4sIII", body, 4 + 24 * index) for index in range(count)]


def _cue_ids(chunks: Iterable[AnyChunk], timing: Timing) -> frozenset[int]:
    """The numbers of the cue points that the selection keeps; labels of the others are dropped with them."""
    try:
        found = [chunk for chunk in chunks if isinstance(chunk, Chunk) and chunk.name == b"cue "]
        cues = [cue for chunk in found for cue in _cues(chunk.body)]
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
        if not timing.whole and struct.unpack_from("<I", entry)[0] not in kept:
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
        first, after = timing.position(loop[2]), timing.position(loop[3] + 1)  # the last frame sounds too
        if first is not None and after is not None:
            # The length of a loop of one cycle is its pitch: the length is rounded, not the end.
            last = first + timing.scaled(loop[3] + 1 - loop[2]) - 1
            loops.append(struct.pack("<6I", *loop[:2], first, last, *loop[4:]))
    tail = body[36 + 24 * head[7] :]
    head[7] = len(loops)
    return struct.pack("<9I", *head) + b"".join(loops) + tail


def _plst(body: bytes, timing: Timing) -> bytes:
    """A plst chunk with the lengths of its segments rescaled."""
    out = bytearray(body)
    for index in range(struct.unpack_from("<I", body)[0]):
        at = 8 + 12 * index
        struct.pack_into("<I", out, at, timing.scaled(struct.unpack_from("<I", body, at)[0]))
    return bytes(out)


def _cart(body: bytes, timing: Timing) -> bytes:
    """A cart chunk with its post timers moved; those that the selection leaves out are unset."""
    out = bytearray(body)
    for at in range(CART_TIMERS, CART_TIMERS + 8 * CART_TIMER_COUNT, 8):
        name, frame = struct.unpack_from("<4sI", body, at)
        if name.strip(b"\0"):
            place = timing.position(frame)
            struct.pack_into("<4sI", out, at, *((bytes(4), 0) if place is None else (name, place)))
    return bytes(out)


def cues(places: Sequence[Marker]) -> list[Chunk]:
    """Chunks with cue points for places, and the labels that name them."""
    points = [struct.pack("<II4sIII", at.number, at.frame, b"data", 0, 0, at.frame) for at in places]
    labels = [Chunk(b"labl", struct.pack("<I", at.number) + at.name + b"\0").packed() for at in places]
    return [
        Chunk(b"cue ", struct.pack("<I", len(points)) + b"".join(points)),
        Chunk(b"LIST", b"adtl" + b"".join(labels)),
    ]


def markers(chunks: Iterable[AnyChunk]) -> list[Marker]:
    """The cue points of a WAV file, with the names that its labels give them."""
    points: list[tuple[int, int]] = []
    names: dict[int, bytes] = {}
    for chunk in chunks:
        if not isinstance(chunk, Chunk):
            continue
        try:
            if chunk.name == b"cue ":
                points += [(cue[0], cue[5]) for cue in _cues(chunk.body)]
            elif chunk.name == b"LIST" and chunk.body[:4] == b"adtl":
                names |= {number: text for name, number, text in _entries(chunk.body) if name == b"labl"}
        except struct.error:
            continue
    return [Marker(number, frame, names.get(number, b"").rstrip(b"\0")) for number, frame in points]


def _entries(body: bytes) -> Iterable[tuple[bytes, int, bytes]]:
    at = 4
    while at + 12 <= len(body):
        name, size, number = struct.unpack_from("<4sII", body, at)
        yield name, number, body[at + 12 : at + 8 + size]
        at += 8 + size + size % 2


def info_texts(body: bytes, order: str = "<") -> list[Tag]:
    """The texts of a LIST chunk of the kind INFO.

    Args:
        body: of the chunk, from `INFO` on.
        order: byte order of its sizes, as in `struct`.
    """
    found, at = [], 4
    while at + 8 <= len(body):
        name, size = body[at : at + 4], struct.unpack_from(f"{order}I", body, at + 4)[0]
        if text := text_of(body[at + 8 : at + 8 + size]):
            found.append((INFO_NAMES.get(name, name.decode("latin-1")), text))
        at += 8 + size + size % 2
    return found


def info_list(texts: Iterable[Tag]) -> list[Chunk]:
    """The INFO list of those texts that it has names for; nothing where it has none."""
    entries = [Chunk(INFO[name], text.encode() + b"\0").packed() for name, text in texts if name in INFO]
    return [Chunk(b"LIST", b"INFO" + b"".join(entries))] if entries else []


def text_of(body: bytes) -> str:
    """The text of a chunk: UTF-8, or else Latin-1."""
    body = body.rstrip(b"\0")
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")
