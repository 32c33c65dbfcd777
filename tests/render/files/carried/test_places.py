"""Positions in a file: unchanged bytes where nothing moves, all kept where only the rate changes."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from render.files.carried import metadata
from render.files.carried.aiff_chunks import markers
from render.files.carried.broadcast import ixml
from render.files.carried.chunks import AnyChunk, Chunk, append_chunks
from render.files.carried.timing import Provenance, Timing

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
    """Odd encodings stay: markers without pad bytes, positions past the end, labels without a cue."""
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
    assert struct.unpack_from("<4I", after[b"smpl"], 36) == (0, 0, 8, 10001)  # the end is inclusive


@pytest.mark.parametrize("rate_out", [48000, 88200, 96000])
def test_a_loop_of_one_cycle_keeps_its_pitch(tmp_path: Path, rate_out: int) -> None:
    """A loop of 100 frames, 441 Hz: wherever it begins, its pitch is as near as whole frames allow."""
    for first in (0, 1, 7, 350, 351):
        loop = struct.pack("<6I", 0, 0, first, first + 99, 0, 0)
        smpl = Chunk(b"smpl", struct.pack("<9I", 0, 0, 22676, 69, 0, 0, 0, 1, 0) + loop)
        after = carried(tmp_path / "a.wav", "WAV", [smpl], rate_out)
        begins, last = struct.unpack_from("<2I", after[b"smpl"], 36 + 8)
        assert begins == round(first * rate_out / 44100)
        assert last + 1 - begins == round(100 * rate_out / 44100)


def test_slices_in_a_form_nobody_published_are_named_where_places_move(tmp_path: Path) -> None:
    path = tmp_path / "loop.wav"
    soundfile.write(path, np.zeros(FRAMES), 44100, "PCM_16")
    append_chunks(path, [Chunk(b"strc", bytes(64)), Chunk(b"acid", bytes(24))])
    source = metadata.read(path)
    still = metadata.carried(source, Timing(44100, 44100, 0, FRAMES), MADE)
    assert [chunk.name for chunk in still.chunks] == [b"strc", b"acid", b"iXML"]
    moved = metadata.carried(source, Timing(44100, 48000, 0, FRAMES), MADE)
    assert [chunk.name for chunk in moved.chunks] == [b"acid", b"iXML"]
    assert moved.left_out("wav") == ("strc",)


IXML = b"""<BWFXML><IXML_VERSION>2.10</IXML_VERSION>
<SPEED><FILE_SAMPLE_RATE>48000</FILE_SAMPLE_RATE><TIMESTAMP_SAMPLE_RATE>48000</TIMESTAMP_SAMPLE_RATE></SPEED>
<BEXT><BWF_TIME_REFERENCE_LOW>96000</BWF_TIME_REFERENCE_LOW>
<BWF_TIME_REFERENCE_HIGH>1</BWF_TIME_REFERENCE_HIGH><BWF_LOUDNESS_VALUE>-23.00</BWF_LOUDNESS_VALUE></BEXT>
<LOUDNESS><LOUDNESS_VALUE>-23.00</LOUDNESS_VALUE></LOUDNESS>
<SYNC_POINT_LIST><SYNC_POINT_COUNT>3</SYNC_POINT_COUNT>
<SYNC_POINT><SYNC_POINT_TYPE>RELATIVE</SYNC_POINT_TYPE><SYNC_POINT_COMMENT>clap</SYNC_POINT_COMMENT>
<SYNC_POINT_LOW>24000</SYNC_POINT_LOW><SYNC_POINT_HIGH>0</SYNC_POINT_HIGH>
<SYNC_POINT_EVENT_DURATION>480</SYNC_POINT_EVENT_DURATION></SYNC_POINT>
<SYNC_POINT><SYNC_POINT_TYPE>ABSOLUTE</SYNC_POINT_TYPE>
<SYNC_POINT_LOW>4800</SYNC_POINT_LOW><SYNC_POINT_HIGH>1</SYNC_POINT_HIGH></SYNC_POINT>
<SYNC_POINT><SYNC_POINT_TYPE>RELATIVE</SYNC_POINT_TYPE><SYNC_POINT_FUNCTION>GROUP_OFFSET</SYNC_POINT_FUNCTION>
<SYNC_POINT_LOW>7</SYNC_POINT_LOW><SYNC_POINT_HIGH>0</SYNC_POINT_HIGH></SYNC_POINT>
</SYNC_POINT_LIST></BWFXML>"""


def counted(root: ElementTree.Element, path: str, high: str, low: str) -> list[int]:
    return [(int(at.findtext(high, "")) << 32) + int(at.findtext(low, "")) for at in root.iterfind(path)]


def test_every_count_of_samples_in_ixml_follows_the_rate() -> None:
    root = ElementTree.fromstring(ixml(IXML, Timing(48000, 96000, 0, 48000), MADE))
    assert counted(root, "BEXT", "BWF_TIME_REFERENCE_HIGH", "BWF_TIME_REFERENCE_LOW") == [
        2 * ((1 << 32) + 96000)
    ]
    points = counted(root, ".//SYNC_POINT", "SYNC_POINT_HIGH", "SYNC_POINT_LOW")
    assert points == [48000, 2 * ((1 << 32) + 4800), 7]
    assert root.findtext(".//SYNC_POINT_EVENT_DURATION") == "960"
    assert root.findtext("SPEED/TIMESTAMP_SAMPLE_RATE") == "96000"
    assert root.find("LOUDNESS") is None
    assert root.find("BEXT/BWF_LOUDNESS_VALUE") is None


def test_sync_points_of_ixml_that_a_selection_leaves_out_go() -> None:
    timing = Timing(48000, 48000, 30000, 10000, whole=False)
    root = ElementTree.fromstring(ixml(IXML, timing, MADE))
    assert counted(root, "BEXT", "BWF_TIME_REFERENCE_HIGH", "BWF_TIME_REFERENCE_LOW") == [(1 << 32) + 126000]
    assert root.findtext("SYNC_POINT_LIST/SYNC_POINT_COUNT") == "2"
    assert root.find(".//SYNC_POINT_COMMENT") is None


def test_a_count_without_its_upper_half_follows_the_rate_too() -> None:
    alone = IXML.replace(b"<SYNC_POINT_HIGH>0</SYNC_POINT_HIGH>", b"", 1)
    alone = alone.replace(b"<BWF_TIME_REFERENCE_HIGH>1</BWF_TIME_REFERENCE_HIGH>", b"")
    alone = alone.replace(b">96000<", b">3000000000<")
    root = ElementTree.fromstring(ixml(alone, Timing(48000, 96000, 0, 48000), MADE))
    point = root.find(".//SYNC_POINT")
    assert point is not None
    assert (point.findtext("SYNC_POINT_LOW"), point.find("SYNC_POINT_HIGH")) == ("48000", None)
    assert counted(root, "BEXT", "BWF_TIME_REFERENCE_HIGH", "BWF_TIME_REFERENCE_LOW") == [6000000000]
