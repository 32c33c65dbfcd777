"""How a sampler plays a file (root note, ranges and loops), converted between WAV and AIFF.

A loop of a WAV file has a first and a last frame, and the last one sounds; a loop of an AIFF file lies
between two markers, and a marker lies before its frame.

Sources: Microsoft, "Multimedia data standards update" (smpl, inst); Apple, AIFF 1.3 (INST, MARK).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from render.files.carried.aiff_chunks import Marker, markers
from render.files.carried.chunks import AnyChunk, Chunk

PLAY_MODES = {0: 1, 1: 2}
"""An AIFF loop's mode for a WAV loop's type: forward, and forward and back."""
LOOPS_MAX = 2
"""AIFF holds two loops at most."""
ALL_NOTES = (0, 127, 1, 127)
"""Lowest and highest note, lowest and highest velocity."""


def for_wave(chunks: Iterable[AnyChunk], rate_hz: int) -> list[Chunk]:
    """The smpl and inst chunks that say what an AIFF file's INST says; none where it has none."""
    chunks = list(chunks)
    own = next((c.body for c in chunks if isinstance(c, Chunk) and c.name == b"INST"), b"")
    if len(own) < 20:
        return []
    note, detune, *ranges, gain = struct.unpack_from(">bbbbbbh", own)
    places = {marker.number: marker.frame for chunk in chunks for marker in markers(chunk)}
    loops: list[bytes] = []
    for at in (8, 14):
        mode, begin, end = struct.unpack_from(">HHH", own, at)
        first, after = places.get(begin, 0), places.get(end, 0)
        if mode and first < after:
            kind = {mode: kind for kind, mode in PLAY_MODES.items()}.get(mode, 0)
            loops.append(struct.pack("<6I", len(loops), kind, first, after - 1, 0, 0))
    fraction = round((detune % 100) / 100 * 2**32) & 0xFFFFFFFF
    unity = note - (detune < 0)  # smpl tunes upwards only
    head = (0, 0, round(1e9 / rate_hz), max(0, unity), fraction, 0, 0, len(loops), 0)
    low, high, low_velocity, high_velocity = (max(0, value) for value in ranges)
    inst = struct.pack(
        "<BbbBBBB", max(0, note), detune, max(-128, min(127, gain)), low, high, low_velocity, high_velocity
    )
    return [Chunk(b"smpl", struct.pack("<9I", *head) + b"".join(loops)), Chunk(b"inst", inst)]


def for_aiff(chunks: Iterable[AnyChunk], taken: Iterable[int]) -> tuple[list[Marker], bytes]:
    """The markers and the content of INST that say what a WAV file's smpl and inst say.

    Args:
        chunks: of the WAV file.
        taken: numbers that other markers have.

    Returns:
        No markers and b"" where the file has neither chunk, or more loops than AIFF holds, or a damaged one.
    """
    found = {chunk.name: chunk.body for chunk in chunks if isinstance(chunk, Chunk)}
    smpl, inst = found.get(b"smpl", b""), found.get(b"inst", b"")
    note, detune, gain, ranges = 60, 0, 0, ALL_NOTES
    loops: list[tuple[int, int, int]] = []
    try:
        if smpl:
            values = struct.unpack_from("<9I", smpl)
            note, detune = values[3], round(values[4] / 2**32 * 100)
            for index in range(values[7]):
                _, kind, first, last, _, _ = struct.unpack_from("<6I", smpl, 36 + 24 * index)
                loops.append((PLAY_MODES[kind], first, last + 1))
        if inst:
            own_note, own_detune, gain, *own_ranges = struct.unpack_from("<BbbBBBB", inst)
            note, detune = (note, detune) if smpl else (own_note, own_detune)
            ranges = (own_ranges[0], own_ranges[1], own_ranges[2], own_ranges[3])
        if detune > 50:
            note, detune = note + 1, detune - 100
        if len(loops) > LOOPS_MAX or not (smpl or inst):
            return [], b""
        body = struct.pack(">bbbbbbh", note, detune, *ranges, gain)
    except (struct.error, KeyError):
        return [], b""
    places: list[Marker] = []
    number = max(taken, default=0)
    for mode, first, after in loops:
        begin, end = Marker(number + 1, first, b"beg loop"), Marker(number + 2, after, b"end loop")
        places += [begin, end]
        body += struct.pack(">HHH", mode, begin.number, end.number)
        number += 2
    return places, body.ljust(20, b"\0")
