"""Places in a file: byte for byte where nothing moves, all of them where only the rate changes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from render.files import metadata
from render.files.aiff_chunks import markers
from render.files.chunks import AnyChunk, Chunk, append_chunks
from render.files.timing import Provenance, Timing

MADE = Provenance("Airband 0.1.0", "A=PCM,F=44100,W=16,M=mono", {})
FRAMES = 1000
BARE_NAMES = struct.pack(">HHIB", 2, 1, 5, 4) + b"abcd" + struct.pack(">HIB", 2, 6, 3) + b"abc"
"""Markers whose names have no pad byte."""
AIFF = [
    Chunk(b"MARK", BARE_NAMES),
    Chunk(b"INST", struct.pack(">6bh6H", 60, 0, 0, 127, 1, 127, 0, 1, 1, 2, 0, 0, 0)),
]
WAVE = [
    Chunk(b"cue ", struct.pack("<I", 1) + struct.pack("<II4sIII", 1, 77, b"data", 8, 0, 5 * FRAMES)),
    Chunk(b"LIST", b"adtl" + Chunk(b"labl", struct.pack("<I", 9) + b"of no cue\0").packed()),
    Chunk(b"smpl", struct.pack("<9I", 0, 0, 1, 60, 0, 0, 0, 1, 0) + struct.pack("<6I", 0, 0, 4, 5000, 0, 0)),
    Chunk(b"plst", struct.pack("<IIII", 1, 1, 7, 1)),
]


def carried(path: Path, kind: str, chunks: list[AnyChunk], rate_out: int) -> dict[bytes, bytes]:
    soundfile.write(path, np.zeros(FRAMES), 44100, "PCM_16", format=kind)
    append_chunks(path, chunks)
    timing = Timing(44100, rate_out, 0, FRAMES)
    return {
        chunk.name: chunk.body
        for chunk in metadata.carried(metadata.read(path), timing, MADE).chunks
        if isinstance(chunk, Chunk)
    }


@pytest.mark.parametrize(("kind", "chunks"), [("AIFF", AIFF), ("WAV", WAVE)])
def test_where_nothing_moves_nothing_is_rewritten(tmp_path: Path, kind: str, chunks: list[AnyChunk]) -> None:
    """Odd ways of writing them stay: markers without pad bytes, places past the end, labels of no cue."""
    after = carried(tmp_path / "a", kind, chunks, 44100)
    assert {name: after[name] for name in after if name != b"iXML"} == {
        chunk.name: chunk.body for chunk in chunks if isinstance(chunk, Chunk)
    }


def test_markers_without_pad_bytes_follow_the_rate(tmp_path: Path) -> None:
    after = carried(tmp_path / "a.aif", "AIFF", AIFF, 88200)
    assert markers(Chunk(b"MARK", after[b"MARK"])) == [(1, 10, b"abcd"), (2, 12, b"abc")]


def test_places_past_the_end_and_labels_of_no_cue_follow_the_rate(tmp_path: Path) -> None:
    after = carried(tmp_path / "a.wav", "WAV", WAVE, 88200)
    assert struct.unpack_from("<II4sIII", after[b"cue "], 4)[5] == 10 * FRAMES
    assert b"of no cue" in after[b"LIST"]
    assert struct.unpack_from("<4I", after[b"smpl"], 36) == (0, 0, 8, 10000)
