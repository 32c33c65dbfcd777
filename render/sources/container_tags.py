"""What containers say of themselves that no library for tags reads: texts by ffprobe, chunks by name.

Sources: Apple, Core Audio Format 1.0 (chunks); Sonic Foundry, Wave64; ffprobe's `-show_format`.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.sources.pcm_header import W64_RIFF

NAMES = {
    "ALBUM_ARTIST": "ALBUMARTIST", "TRACK": "TRACKNUMBER", "DISC": "DISCNUMBER", "ENCODED_BY": "ENCODEDBY",
    "PART_NUMBER": "TRACKNUMBER", "DATE_RELEASED": "DATE",
}  # fmt: skip
"""What ffprobe calls by another name than Vorbis comments do."""
OF_THE_FILE = frozenset(
    {"MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "CREATION_TIME", "HANDLER_NAME", "VENDOR_ID"}
    | {"DURATION", "ENCODER", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "LANGUAGE"}
)
"""They tell how the container was written, not what it holds."""
CAF_OWN = frozenset(
    {b"desc", b"data", b"chan", b"free", b"kuki", b"pakt", b"info", b"ovvw", b"peak", b"edct"}
)
W64_OWN = frozenset({b"fmt ", b"fact", b"data", b"levl", b"junk", b"JUNK"})
"""Chunks that describe the samples, are read elsewhere, or are padding."""


@dataclass(frozen=True, slots=True)
class ContainerTags:
    """Texts by the names of Vorbis comments; and what else there is, by name."""

    texts: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()


def container_tags(path: Path) -> ContainerTags:
    """What ffprobe knows of a file and of its first stream of sound; nothing where it is not on PATH."""
    from render.sources.ffmpeg import GUARD

    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        return ContainerTags()
    shown = "format_tags:stream_tags:stream=codec_type:stream_disposition=attached_pic:chapter=id"
    command = [ffprobe, "-v", "quiet", *GUARD, "-show_entries", shown, "-show_chapters", "-of", "json"]
    run = subprocess.run([*command, f"file:{path.absolute()}"], stdin=subprocess.DEVNULL, capture_output=True)
    try:
        told: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        return ContainerTags()
    streams: list[dict[str, Any]] = told.get("streams") or []
    sound = next((stream for stream in streams if stream.get("codec_type") == "audio"), None) or {}
    texts: dict[str, str] = {}
    for said in (told.get("format") or {}, sound):
        for key, text in (said.get("tags") or {}).items():
            name = NAMES.get(key.upper(), key.upper())
            if name not in OF_THE_FILE and not name.startswith("_STATISTICS"):
                texts.setdefault(name, str(text))
    pictures = [s for s in streams if (s.get("disposition") or {}).get("attached_pic")]
    others = [*(["a picture"] if pictures else []), *(["chapters"] if told.get("chapters") else [])]
    return ContainerTags(tuple(texts.items()), tuple(others))


def chunk_names(path: Path) -> tuple[str, ...]:
    """The names of a CAF or W64 file's chunks that hold more than its samples; none for other files."""
    with path.open("rb") as file:
        head, end = file.read(16), os.fstat(file.fileno()).st_size
        is_caf = head[:4] == b"caff"
        if not is_caf and head != W64_RIFF:
            return ()
        found: list[str] = []
        at, own, form = (8, CAF_OWN, ">4sq") if is_caf else (40, W64_OWN, "<4s12xq")
        nbytes = struct.calcsize(form)
        while at + nbytes <= end:
            file.seek(at)
            name, size = struct.unpack(form, file.read(nbytes))
            if name not in own:
                found.append(f"{'CAF' if is_caf else 'W64'} {name.decode('latin-1').strip()}")
            if size <= 0:
                break
            at += nbytes + size if is_caf else -(-size // 8) * 8
    return tuple(dict.fromkeys(found))
