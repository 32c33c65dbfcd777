"""What broadcasting adds to a WAV file: bext, to and from the texts that FLAC holds; iXML in the stem's time.

The texts have the names under which ffmpeg reads and writes the fields.

Sources: EBU Tech 3285 v2 (bext), the iXML specification 3.01.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from xml.etree import ElementTree

from render.files.carried.tags import Tag
from render.files.carried.timing import Provenance, Timing

FIELDS = (
    ("DESCRIPTION", 0, 256), ("ORIGINATOR", 256, 32), ("ORIGINATOR_REFERENCE", 288, 32),
    ("ORIGINATION_DATE", 320, 10), ("ORIGINATION_TIME", 330, 8),
)  # fmt: skip
"""Texts of fixed size: name, first byte, bytes."""
REFERENCE, VERSION, UMID, HEAD_BYTES = 338, 346, 348, 602
"""Where the time reference, the version and the UMID stand, and where the coding history begins."""
UMID_BYTES = 64
MIDNIGHT = "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI", "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO"
REFERENCE_HALVES = "BWF_TIME_REFERENCE_HIGH", "BWF_TIME_REFERENCE_LOW"
POINT_HALVES = "SYNC_POINT_HIGH", "SYNC_POINT_LOW"
"""The elements of iXML that hold a count of samples, its upper and its lower 32 bits."""
MEASURED = ("LOUDNESS", "BWF_LOUDNESS_VALUE", "BWF_LOUDNESS_RANGE", "BWF_MAX_TRUE_PEAK_LEVEL",
            "BWF_MAX_MOMENTARY_LOUDNESS", "BWF_MAX_SHORT_TERM_LOUDNESS")  # fmt: skip
"""Elements of iXML that are valid for the source's samples only."""
TIME_REFERENCE, CODING_HISTORY = "TIME_REFERENCE", "CODING_HISTORY"


def texts(body: bytes) -> list[Tag]:
    """The texts of a bext chunk; none where it is damaged."""
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
    """The texts, with the time reference moved to the stem's rate and start."""
    return tuple(
        (name, str(timing.scaled(int(text) + timing.start)))
        if name.upper() == TIME_REFERENCE and _is_count(text)
        else (name, text)
        for name, text in said
    )


def ixml(body: bytes, timing: Timing, made: Provenance) -> bytes:
    """The content of an iXML chunk with the stem's rates, time stamps and sync points, and without loudness.

    Its element AIRBAND says what was done.

    Args:
        body: of an iXML chunk; empty for a new one.
        timing: where the stem lies.
        made: what was done.

    Raises:
        ParseError, ValueError: `body` is damaged.
    """
    text = body.rstrip(b"\0 \r\n")
    if text:
        parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
        root = ElementTree.fromstring(text, parser=parser)
    else:
        root = ElementTree.Element("BWFXML")
        ElementTree.SubElement(root, "IXML_VERSION").text = "1.61"
    for name in ("FILE_SAMPLE_RATE", "TIMESTAMP_SAMPLE_RATE"):
        for element in root.iter(name):
            element.text = str(timing.rate_out)
    for parent in list(root.iter()):
        for halves in (MIDNIGHT, REFERENCE_HALVES):
            if (stamp := _count(parent, halves)) is not None:
                _set_count(parent, halves, timing.scaled(stamp + timing.start))
        for name in MEASURED:
            for element in parent.findall(name):
                parent.remove(element)
    for points in root.iter("SYNC_POINT_LIST"):
        _move_sync_points(points, timing)
    for earlier in root.findall("AIRBAND"):
        root.remove(earlier)
    block = ElementTree.SubElement(root, "AIRBAND")
    ElementTree.SubElement(block, "SOFTWARE").text = made.software
    for name, value in made.facts.items():
        ElementTree.SubElement(block, name).text = value
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode").encode()
    )


def _move_sync_points(points: ElementTree.Element, timing: Timing) -> None:
    """Moves sync points: relative ones count from the file's start, absolute ones from midnight. A group's
    offset counts by the recorder's own clock and stays."""
    for point in points.findall("SYNC_POINT"):
        at = _count(point, POINT_HALVES)
        if at is None or point.findtext("SYNC_POINT_FUNCTION", "").strip() == "GROUP_OFFSET":
            continue
        is_absolute = point.findtext("SYNC_POINT_TYPE", "").strip() == "ABSOLUTE"
        place = timing.scaled(at) if is_absolute else timing.position(at)
        if place is None:
            points.remove(point)
            continue
        _set_count(point, POINT_HALVES, place)
        if (lasts := point.find("SYNC_POINT_EVENT_DURATION")) is not None:
            lasts.text = str(timing.scaled(int(lasts.text or 0)))
    if (count := points.find("SYNC_POINT_COUNT")) is not None:
        count.text = str(len(points.findall("SYNC_POINT")))


def _count(parent: ElementTree.Element, halves: tuple[str, str]) -> int | None:
    """A count of samples that stands in two elements: a missing upper one is 0, a missing lower one gives
    None."""
    high, low = (parent.findtext(half) for half in halves)
    return None if low is None else (int(high or 0) << 32) + int(low or 0)


def _set_count(parent: ElementTree.Element, halves: tuple[str, str], count: int) -> None:
    for half, value in zip(halves, (count >> 32, count & 0xFFFFFFFF), strict=True):
        element = parent.find(half)
        if element is None and value:
            element = ElementTree.SubElement(parent, half)
        if element is not None:
            element.text = str(value)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 1 << 63


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("latin-1").rstrip()
