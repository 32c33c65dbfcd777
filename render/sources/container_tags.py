"""Metadata of containers that no tag library reads: texts and chapters as ffprobe gives them, CAF markers.

Other chunks are reported by name.

Sources: Apple, Core Audio Format 1.0 (chunks, `mark`, `strg`); Sonic Foundry, Wave64; ffprobe(1).
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from render.sources.pcm_header import W64_RIFF
from render.sources.programs import lack_of

NAMES = {
    "ALBUM_ARTIST": "ALBUMARTIST", "TRACK": "TRACKNUMBER", "DISC": "DISCNUMBER", "ENCODED_BY": "ENCODEDBY",
    "PART_NUMBER": "TRACKNUMBER", "DATE_RELEASED": "DATE",
}  # fmt: skip
"""Names of Vorbis comments where ffprobe uses another."""
OF_THE_FILE = frozenset(
    {"MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "CREATION_TIME", "HANDLER_NAME", "VENDOR_ID"}
    | {"DURATION", "ENCODER", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "LANGUAGE"}
)
"""Texts about how the container was written, not about what it holds."""
CAF_OWN = frozenset(
    {b"desc", b"data", b"chan", b"free", b"kuki", b"pakt", b"info", b"ovvw", b"peak", b"edct"}
)
W64_OWN = frozenset({b"fmt ", b"fact", b"data", b"levl", b"junk", b"JUNK"})
"""Chunks that describe the samples, are read elsewhere, or are padding."""
CAF_PLACES = frozenset({b"mark", b"strg"})
CAF_MARKER_BYTES, CAF_STRING_BYTES = 28, 12
BODY_BYTES_MAX = 1 << 20


class Place(NamedTuple):
    """A chapter or marker: seconds from the first sample of the source's sound, and what it is called."""

    at_s: Fraction
    name: str


@dataclass(frozen=True, slots=True)
class ContainerTags:
    """Texts by the names of Vorbis comments; chapters; and the names of what else there is."""

    texts: tuple[tuple[str, str], ...] = ()
    places: tuple[Place, ...] = ()
    others: tuple[str, ...] = ()


def container_tags(path: Path) -> ContainerTags:
    """What ffprobe finds in a file and its first audio stream; nothing where it cannot be run."""
    from render.sources.ffmpeg import GUARD

    if lack_of("ffprobe"):
        return ContainerTags()
    shown = "format_tags:stream_tags:stream=codec_type,start_time:stream_disposition=attached_pic"
    shown += ":chapter=start_time:chapter_tags=title"
    command = ["ffprobe", "-v", "quiet", *GUARD, "-show_entries", shown, "-show_chapters", "-of", "json"]
    run = subprocess.run([*command, f"file:{path.absolute()}"], stdin=subprocess.DEVNULL, capture_output=True)
    try:
        probed: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        return ContainerTags()
    streams: list[dict[str, Any]] = probed.get("streams") or []
    sound = next((stream for stream in streams if stream.get("codec_type") == "audio"), None) or {}
    texts: dict[str, str] = {}
    for said in (probed.get("format") or {}, sound):
        for key, text in (said.get("tags") or {}).items():
            name = NAMES.get(key.upper(), key.upper())
            if name not in OF_THE_FILE and not name.startswith("_STATISTICS"):
                texts.setdefault(name, str(text))
    pictures = [s for s in streams if (s.get("disposition") or {}).get("attached_pic")]
    begins_s = max(Fraction(0), _seconds(sound.get("start_time")))  # decoders leave out what is before 0
    places = [
        Place(max(Fraction(0), _seconds(chapter.get("start_time")) - begins_s), _title(chapter))
        for chapter in probed.get("chapters") or []
    ]
    return ContainerTags(tuple(texts.items()), tuple(places), ("a picture",) if pictures else ())


def _seconds(text: str | None) -> Fraction:
    try:
        return Fraction(text or 0)
    except ValueError:  # "N/A"
        return Fraction(0)


def _title(chapter: dict[str, Any]) -> str:
    return str((chapter.get("tags") or {}).get("title", ""))


def chunk_names(path: Path) -> tuple[str, ...]:
    """The names of a CAF or W64 file's chunks that hold more than samples and `caf_places`."""
    kind, own = _kind(path)
    if caf_places(path):
        own |= CAF_PLACES
    names = [name for name, _ in _chunks(path) if name not in own]
    return tuple(dict.fromkeys(f"{kind} {name.decode('latin-1').strip()}" for name in names))


def caf_places(path: Path) -> tuple[Place, ...]:
    """The markers of a CAF file, with their names; none where it has none or their list is damaged."""
    if _kind(path)[0] != "CAF":
        return ()
    bodies = {name: body for name, body in _chunks(path) if name in CAF_PLACES | {b"desc"}}
    try:
        rate_hz = Fraction(struct.unpack_from(">d", bodies[b"desc"])[0])
        marks = bodies[b"mark"]
        found = []
        for index in range(struct.unpack_from(">I", marks, 4)[0]):
            frame, number = struct.unpack_from(">4xdI", marks, 8 + CAF_MARKER_BYTES * index)
            found.append(Place(Fraction(frame) / rate_hz, _caf_string(bodies.get(b"strg", b""), number)))
    except (struct.error, KeyError, ValueError, OverflowError, ZeroDivisionError):
        return ()
    return tuple(place for place in found if place.at_s >= 0)


def _caf_string(strings: bytes, wanted: int) -> str:
    """The string with the number `wanted`; "" where there is none."""
    count = struct.unpack_from(">I", strings.ljust(4, b"\0"))[0]
    texts = 4 + CAF_STRING_BYTES * count
    for at in range(4, min(texts, len(strings) - CAF_STRING_BYTES + 1), CAF_STRING_BYTES):
        number, offset = struct.unpack_from(">Iq", strings, at)
        if number == wanted and offset >= 0:
            return strings[texts + offset :].partition(b"\0")[0].decode(errors="replace")
    return ""


def _kind(path: Path) -> tuple[str, frozenset[bytes]]:
    """CAF or W64, and which of its chunks need not be reported; "" for any other file."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"caff":
        return "CAF", CAF_OWN
    return ("W64", W64_OWN) if head == W64_RIFF else ("", frozenset())


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents, of each up to BODY_BYTES_MAX, of the chunks of a CAF or W64 file."""
    kind = _kind(path)[0]
    at, form = (8, ">4sq") if kind == "CAF" else (40, "<4s12xq")
    nbytes = struct.calcsize(form)
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size if kind else 0
        while at + nbytes <= end:
            file.seek(at)
            name, size = struct.unpack(form, file.read(nbytes))
            yield name, b"" if name == b"data" else file.read(max(0, min(size, BODY_BYTES_MAX)))
            if size <= 0:
                break
            at += nbytes + size if kind == "CAF" else -(-size // 8) * 8
