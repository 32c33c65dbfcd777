"""The broadcast extension of a WAV file as texts that FLAC holds, and back.

The names are those under which ffmpeg reads and writes the fields.

Source: EBU Tech 3285 v2 (bext).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from render.files.tags import Tag
from render.files.timing import Timing

FIELDS = (
    ("DESCRIPTION", 0, 256), ("ORIGINATOR", 256, 32), ("ORIGINATOR_REFERENCE", 288, 32),
    ("ORIGINATION_DATE", 320, 10), ("ORIGINATION_TIME", 330, 8),
)  # fmt: skip
"""Texts of fixed size: name, first byte, bytes."""
REFERENCE, VERSION, UMID, HEAD_BYTES = 338, 346, 348, 602
"""Where the time reference, the version and the UMID stand, and where the coding history begins."""
UMID_BYTES = 64
TIME_REFERENCE, CODING_HISTORY = "TIME_REFERENCE", "CODING_HISTORY"


def texts(body: bytes) -> list[Tag]:
    """What a bext chunk says; nothing where it is damaged."""
    if len(body) < HEAD_BYTES:
        return []
    found = [(name, _text(body[at : at + size])) for name, at, size in FIELDS]
    found.append((TIME_REFERENCE, str(struct.unpack_from("<Q", body, REFERENCE)[0])))
    umid = body[UMID : UMID + UMID_BYTES]
    found.append(("UMID", "0x" + umid.hex().upper() if any(umid) else ""))
    found.append((CODING_HISTORY, _text(body[HEAD_BYTES:])))
    return [(name, text) for name, text in found if text]


def bext(said: Iterable[Tag]) -> bytes:
    """The content of a bext chunk; empty where no text names an originator or a time reference."""
    values = {name.upper(): text for name, text in said}
    if not {"ORIGINATOR", TIME_REFERENCE} & set(values):
        return b""
    out = bytearray(HEAD_BYTES)
    for name, at, size in FIELDS:
        out[at : at + size] = values.get(name, "").encode("ascii", "replace")[:size].ljust(size, b"\0")
    reference = values.get(TIME_REFERENCE, "")
    struct.pack_into("<QH", out, REFERENCE, int(reference) if _is_count(reference) else 0, 1)
    try:
        umid = bytes.fromhex(values.get("UMID", "").removeprefix("0x"))[:UMID_BYTES]
    except ValueError:
        umid = b""
    out[UMID : UMID + len(umid)] = umid
    return bytes(out) + values.get(CODING_HISTORY, "").encode("ascii", "replace")


def moved(said: Iterable[Tag], timing: Timing) -> tuple[Tag, ...]:
    """Texts whose time reference counts at the stem's rate and from its start."""
    return tuple(
        (name, str(timing.scaled(int(text) + timing.start)))
        if name.upper() == TIME_REFERENCE and _is_count(text)
        else (name, text)
        for name, text in said
    )


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 1 << 63


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("latin-1").rstrip()
