"""A WAV file keeps its metadata, and positions in it stay true."""

import gzip
import struct
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from presets.errors import OutputError
from presets.schema import Preset
from render.clip import ArrayClip, open_clip
from render.files.carried import aiff_chunks, metadata, wave_chunks
from render.files.carried.aiff_chunks import Marker
from render.files.carried.chunks import Chunk, StoredChunk, append_chunks, read_chunks
from render.files.carried.flac_blocks import BLOCKS_MAX, COMMENTS_MAX, read_flac
from render.files.carried.metadata import Metadata
from render.files.carried.tags import Tags
from render.files.carried.timing import Provenance, Timing
from render.files.encode import Encoding, encode

MADE = Provenance(
    "Airband 0.1.0", "A=PCM,F=48000,W=32,M=mono", {"PRESET": "music", "SEED": "7", "CUTOFF": "4000 Hz"}
)
REFERENCE = 172_800_000
IXML = (
    b'<?xml version="1.0" encoding="UTF-8"?><BWFXML><IXML_VERSION>1.61</IXML_VERSION><SCENE>12</SCENE>'
    b"<TAKE>3</TAKE><SPEED><FILE_SAMPLE_RATE>44100</FILE_SAMPLE_RATE>"
    b"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>1</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>"
    b"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>4410</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED>"
    b"<!-- slate --><TRACK_LIST><TRACK_COUNT>1</TRACK_COUNT></TRACK_LIST></BWFXML>"
)


def bext(reference: int = REFERENCE, history: bytes = b"A=PCM,F=44100,W=24,M=mono,T=field\r\n") -> Chunk:
    head = b"Scene 12 take 3".ljust(256, b"\0") + b"Mixer".ljust(32, b"\0") + b"REF1".ljust(32, b"\0")
    head += b"2026-11-2210:00:00" + struct.pack("<QH", reference, 2) + bytes(range(64))
    return Chunk(b"bext", head + struct.pack("<5h", -2310, 850, -120, -2000, -2200) + bytes(180) + history)


def full_set() -> list[Chunk]:
    cue = struct.pack("<I", 2)
    cue += struct.pack("<II4sIII", 1, 4410, b"data", 0, 0, 4410)
    cue += struct.pack("<II4sIII", 2, 22050, b"data", 0, 0, 22050)
    label = [
        Chunk(b"labl", struct.pack("<I", i) + text).packed() for i, text in ((1, b"verse\0"), (2, b"end\0"))
    ]
    region = Chunk(b"ltxt", struct.pack("<II4s4H", 1, 441, b"rgn ", 0, 0, 0, 0)).packed()
    smpl = struct.pack("<9I", 0, 0, 22676, 60, 0, 0, 0, 1, 0) + struct.pack("<6I", 0, 0, 4410, 8820, 0, 0)
    return [
        Chunk(b"LIST", b"INFO" + Chunk(b"INAM", b"Title\0").packed() + Chunk(b"IART", b"Band\0").packed()),
        bext(),
        Chunk(b"iXML", IXML),
        Chunk(b"cue ", cue),
        Chunk(b"LIST", b"adtl" + b"".join(label) + region),
        Chunk(b"smpl", smpl),
        Chunk(b"PEAK", bytes(16)),
        Chunk(b"_PMX", b"<x:xmpmeta/>"),
        Chunk(b"zzzz", b"odd"),
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.wav"
    sf.write(path, 0.3 * np.sin(np.arange(44100) / 10), 44100, subtype="PCM_24")
    append_chunks(path, full_set())
    return path


def by_name(meta: Metadata) -> dict[bytes, bytes]:
    return {c.name if c.name != b"LIST" else b"LIST" + c.body[:4]: c.body for c in meta.chunks}


def test_everything_is_read_and_the_audio_is_untouched(source: Path) -> None:
    meta = metadata.read(source)
    assert {b"bext", b"iXML", b"cue ", b"LISTINFO", b"LISTadtl", b"smpl", b"_PMX", b"zzzz"} <= set(
        by_name(meta)
    )
    assert ("TITLE", "Title") in meta.tags.texts
    assert sf.info(source).frames == 44100


def test_positions_follow_a_rate_change(source: Path) -> None:
    out = by_name(metadata.carried(metadata.read(source), Timing(44100, 48000, 0, 44100), MADE))
    assert struct.unpack_from("<Q", out[b"bext"], 338)[0] == round(REFERENCE * 48000 / 44100)
    assert struct.unpack_from("<II4sIII", out[b"cue "], 4)[5] == 4800
    assert struct.unpack_from("<6I", out[b"smpl"], 36)[2:4] == (4800, 9600)
    assert struct.unpack_from("<9I", out[b"smpl"])[2] == 20833
    assert struct.pack("<II", 1, 480) in out[b"LISTadtl"]
    speed = ElementTree.fromstring(out[b"iXML"]).find("SPEED")
    assert speed is not None
    assert speed.findtext("FILE_SAMPLE_RATE") == "48000"
    stamp = (int(speed.findtext("TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI", "")) << 32) + int(
        speed.findtext("TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO", "")
    )
    assert stamp == round(((1 << 32) + 4410) * 48000 / 44100)


def test_a_selection_moves_the_time_and_leaves_out_what_it_does_not_hold(source: Path) -> None:
    out = by_name(
        metadata.carried(metadata.read(source), Timing(44100, 44100, 10000, 20000, whole=False), MADE)
    )
    assert struct.unpack_from("<Q", out[b"bext"], 338)[0] == REFERENCE + 10000
    assert struct.unpack_from("<I", out[b"cue "])[0] == 1
    assert struct.unpack_from("<II4sIII", out[b"cue "], 4) == (2, 12050, b"data", 0, 0, 12050)
    assert b"end" in out[b"LISTadtl"]
    assert b"verse" not in out[b"LISTadtl"]
    assert struct.unpack_from("<9I", out[b"smpl"])[7] == 0


def test_what_is_stale_goes_and_what_was_done_is_told(source: Path) -> None:
    meta = metadata.carried(metadata.read(source), Timing(44100, 48000, 0, 44100), MADE)
    out = by_name(meta)
    assert b"PEAK" not in out
    assert out[b"zzzz"] == b"odd"
    assert struct.unpack_from("<5h", out[b"bext"], 412) == (wave_chunks.LOUDNESS_UNSET,) * 5
    history = out[b"bext"][602:].split(b"\r\n")
    assert history[0].endswith(b"T=field")
    assert b"T=Airband 0.1.0" in history[1]
    block = ElementTree.fromstring(out[b"iXML"]).find("AIRBAND")
    assert block is not None
    assert block.findtext("SEED") == "7"
    assert b"slate" in out[b"iXML"]
    assert "preset music" in meta.made
    assert meta.chunks[0].name == b"bext"


def test_a_second_render_keeps_one_block_and_two_lines_of_history(source: Path) -> None:
    timing = Timing(44100, 44100, 0, 44100)
    twice = metadata.carried(metadata.carried(metadata.read(source), timing, MADE), timing, MADE)
    out = by_name(twice)
    assert len(ElementTree.fromstring(out[b"iXML"]).findall("AIRBAND")) == 1
    assert out[b"bext"][602:].count(b"T=Airband") == 2


def test_a_damaged_chunk_is_passed_on_as_it_is() -> None:
    broken = (Chunk(b"cue ", b"\xff\xff"), Chunk(b"iXML", b"<BWFXML><open>"), Chunk(b"smpl", b"1"))
    out = metadata.carried(Metadata(b"RIFF", broken), Timing(44100, 48000, 0, 10), MADE)
    assert set(broken) <= set(out.chunks)


@given(st.lists(st.tuples(st.binary(min_size=4, max_size=4), st.binary(max_size=99)), max_size=5))
def test_any_chunk_content_survives_without_an_exception(chunks: list[tuple[bytes, bytes]]) -> None:
    source = Metadata(b"RIFF", tuple(Chunk(name, body) for name, body in chunks))
    metadata.carried(source, Timing(44100, 48000, 3, 1000), MADE)


@pytest.mark.parametrize("form", ["WAV", "RF64"])
def test_grafted_file_is_read_by_others(source: Path, tmp_path: Path, form: str) -> None:
    wavinfo = pytest.importorskip("wavinfo")
    out = tmp_path / "out.wav"
    samples = np.linspace(-0.5, 0.5, 48000, dtype=np.float32)
    sf.write(out, samples, 48000, subtype="FLOAT", format=form)
    meta = metadata.carried(metadata.read(source), Timing(44100, 48000, 0, 44100), MADE)
    append_chunks(out, list(meta.chunks))
    back, rate = sf.read(out, dtype="float32")
    assert rate == 48000
    np.testing.assert_array_equal(back, samples)
    info = wavinfo.WavInfoReader(str(out))
    assert info.bext.time_reference == round(REFERENCE * 48000 / 44100)
    assert "T=Airband 0.1.0" in info.bext.coding_history
    assert info.ixml.scene == "12"
    assert info.info.title == "Title"


@pytest.mark.parametrize("before", [False, True], ids=["after the audio", "before it"])
def test_a_chunk_larger_than_memory_is_worth_is_copied_from_its_file(tmp_path: Path, before: bool) -> None:
    body = (b"<ebuCoreMain>" + b"x" * 999 + b"\n") * 6000  # 6 MB
    path, out = tmp_path / "a.wav", tmp_path / "b.wav"
    sf.write(path, np.zeros(100), 44100, subtype="PCM_24")
    large = Chunk(b"axml", body)
    if before:
        head = path.read_bytes()
        path.write_bytes(head[:36] + large.packed() + head[36:])
    else:
        append_chunks(path, [large, Chunk(b"chna", b"1234")])
    meta = metadata.read(path)
    assert isinstance(meta.chunks[0], StoredChunk)
    sf.write(out, np.zeros(100), 48000, subtype="PCM_24")
    metadata.attach(out, "wav", metadata.carried(meta, Timing(44100, 48000, 0, 100), MADE))
    found = next(chunk for chunk in read_chunks(out).chunks if chunk.name == b"axml")
    assert isinstance(found, StoredChunk)
    assert found.load() == large
    assert sf.info(out).frames == 100


def test_times_of_audio_objects_hold_at_any_rate_and_go_with_a_selection() -> None:
    xml = b'<a rtime="00:00:05.50000" duration="00:00:01.22050S44100" lstart="00:00:00.1S48000"/>'
    packed = b"\1\0" + gzip.compress(xml)
    source = Metadata(b"BW64", (Chunk(b"axml", xml), Chunk(b"bxml", packed), Chunk(b"chna", b"ids")))
    same = by_name(metadata.carried(source, Timing(44100, 44100, 0, 10), MADE))
    assert (same[b"axml"], same[b"bxml"], same[b"chna"]) == (xml, packed, b"ids")
    moved = by_name(metadata.carried(source, Timing(44100, 48000, 0, 10), MADE))
    counted = xml.replace(b"22050S44100", b"24000S48000")
    assert moved[b"axml"] == counted
    assert gzip.decompress(moved[b"bxml"][2:]) == counted
    part = metadata.carried(source, Timing(44100, 44100, 5, 5, whole=False), MADE)
    assert not {b"axml", b"bxml", b"chna"} & set(by_name(part))
    assert part.left_out("wav") == ("axml", "bxml", "chna")


def instrument() -> Chunk:
    loops = struct.pack(">HHH", 1, 1, 2) + struct.pack(">HHH", 0, 0, 0)
    return Chunk(b"INST", struct.pack(">6bh", 61, -20, 1, 100, 5, 120, -6) + loops)


def test_bext_stands_in_flac_comments_and_comes_back(tmp_path: Path) -> None:
    """From WAV to FLAC, to FLAC of another rate, and to WAV: the time reference follows the rate."""
    umid = bytes(range(64))
    wave = Metadata(b"RIFF", (bext(),))
    flac = metadata.carried(wave, Timing(44100, 48000, 0, 44100), MADE)
    assert flac.left_out("flac") == ()
    path = tmp_path / "a.flac"
    sf.write(path, np.zeros(48000), 48000, subtype="PCM_24")
    metadata.attach(path, "flac", flac)
    said = dict(metadata.read(path).tags.texts)
    assert said["DESCRIPTION"] == "Scene 12 take 3"
    assert (said["ORIGINATOR"], said["ORIGINATOR_REFERENCE"]) == ("Mixer", "REF1")
    assert (said["ORIGINATION_DATE"], said["ORIGINATION_TIME"]) == ("2026-11-22", "10:00:00")
    assert said["TIME_REFERENCE"] == str(round(REFERENCE * 48 / 44.1))
    assert bytes.fromhex(said["UMID"][2:]) == umid
    moved = metadata.carried(metadata.read(path), Timing(48000, 96000, 100, 1000, whole=False), MADE)
    assert dict(moved.tags.texts)["TIME_REFERENCE"] == str(2 * (round(REFERENCE * 48 / 44.1) + 100))
    out = tmp_path / "b.wav"
    sf.write(out, np.zeros(100), 96000, subtype="PCM_24")
    metadata.attach(out, "wav", moved)
    body = next(c.body for c in read_chunks(out).chunks if isinstance(c, Chunk) and c.name == b"bext")
    assert body[:338] == bext().body[:338]
    assert struct.unpack_from("<Q", body, 338)[0] == 2 * (round(REFERENCE * 48 / 44.1) + 100)
    assert body[348:412] == umid
    history = body[602:].split(b"\r\n")
    assert history[0].endswith(b"T=field")
    assert b"T=Airband 0.1.0" in history[1]


def test_a_flac_file_without_such_comments_gets_no_bext() -> None:
    said = metadata.carried(Metadata(b"fLaC", tags=Tags((("TITLE", "x"),))), Timing(44100, 44100, 0, 9), MADE)
    assert [chunk.name for chunk in said.for_wave] == [b"iXML"]


def test_notes_and_loops_go_from_aiff_to_wav_and_back(tmp_path: Path) -> None:
    marks = aiff_chunks.marked([Marker(1, 4410, b"in"), Marker(2, 40000, b"out")])
    aiff = Metadata(b"AIFF", (Chunk(b"MARK", marks), instrument()))
    carried = metadata.carried(aiff, Timing(44100, 48000, 0, 44100), MADE)
    assert carried.left_out("wav") == ()
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros(48000), 48000, subtype="PCM_24")
    metadata.attach(path, "wav", carried)
    wave = metadata.read(path)
    chunks = by_name(wave)
    head = struct.unpack_from("<9I", chunks[b"smpl"])
    assert (head[2], head[3], head[7]) == (20833, 60, 1)
    assert round(head[4] / 2**32 * 100) == 80
    first, last = struct.unpack_from("<6I", chunks[b"smpl"], 36)[2:4]
    assert (first, last + 1) == (4800, round(40000 * 48 / 44.1))
    assert struct.unpack("<BbbBBBB", chunks[b"inst"]) == (61, -20, -6, 1, 100, 5, 120)
    back = metadata.carried(wave, Timing(48000, 48000, 0, 48000), MADE)
    assert back.left_out("aiff") == ()
    out = tmp_path / "b.aiff"
    sf.write(out, np.zeros(48000), 48000, subtype="PCM_24")
    metadata.attach(out, "aiff", back)
    again = {chunk.name: chunk for chunk in read_chunks(out).chunks}
    inst = again[b"INST"]
    assert isinstance(inst, Chunk)
    assert struct.unpack_from(">6bh", inst.body) == (61, -20, 1, 100, 5, 120, -6)
    mode, begin, end = struct.unpack_from(">HHH", inst.body, 8)
    places = {marker.number: marker.frame for marker in aiff_chunks.markers(again[b"MARK"])}
    assert (mode, places[begin], places[end]) == (1, 4800, round(40000 * 48 / 44.1))
    assert sf.info(out).frames == 48000


@pytest.mark.parametrize(
    ("kind", "count"), [(2, 1), (0, 3)], ids=["a loop that plays backwards", "more loops than AIFF holds"]
)
def test_loops_that_aiff_does_not_hold_are_told(kind: int, count: int) -> None:
    loop = struct.pack("<6I", 0, kind, 10, 20, 0, 0)
    smpl = Chunk(b"smpl", struct.pack("<9I", 0, 0, 22676, 60, 0, 0, 0, count, 0) + count * loop)
    carried = metadata.carried(Metadata(b"RIFF", (smpl,)), Timing(44100, 44100, 0, 100), MADE)
    assert carried.left_out("aiff") == ("smpl",)


def test_cues_of_any_number_become_markers(tmp_path: Path) -> None:
    cue = struct.pack("<I", 1) + struct.pack("<II4sIII", 0xDEADBEEF, 5, b"data", 0, 0, 5)
    carried = metadata.carried(Metadata(b"RIFF", (Chunk(b"cue ", cue),)), Timing(44100, 44100, 0, 99), MADE)
    path = tmp_path / "a.aiff"
    sf.write(path, np.zeros(99), 44100, subtype="PCM_24")
    metadata.attach(path, "aiff", carried)
    mark = next(chunk for chunk in read_chunks(path).chunks if chunk.name == b"MARK")
    assert [marker.frame for marker in aiff_chunks.markers(mark)] == [5]


@pytest.mark.parametrize("name", [b"ds64", b"bext", b"iXML", b"id3 ", b"LIST", b"axml", b"zzzz"])
def test_a_sparse_chunk_of_64_mib_is_not_read_into_memory(tmp_path: Path, name: bytes) -> None:
    path, large_bytes = tmp_path / "a.wav", 64 * 1024**2
    sf.write(path, np.zeros(1000, np.float32), 48000, subtype="FLOAT", format="WAV")
    with path.open("ab") as file:
        file.write(name + struct.pack("<I", large_bytes))
        file.truncate(file.tell() + large_bytes)
    tracemalloc.start()
    try:
        metadata.carried(metadata.read(path), Timing(48000, 48000, 0, 1000), MADE)
        with open_clip(path) as clip:
            assert clip.frames == 1000
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024**2
    finally:
        tracemalloc.stop()


@pytest.mark.large
def test_rf64_above_4_gb_takes_its_chunks(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with sf.SoundFile(path, "w", 48000, 1, subtype="FLOAT", format="RF64") as file:
        file.write(np.zeros(10, np.float32))
    data_bytes = 5 * 1024**3
    with path.open("r+b") as raw:
        body = raw.read(200)
        at = body.index(b"data") + 8
        raw.seek(20)
        raw.write(struct.pack("<QQQ", at + data_bytes - 8, data_bytes, data_bytes // 4))
        raw.truncate(at + data_bytes)
    append_chunks(path, [bext()])
    assert sf.info(path).frames == data_bytes // 4
    assert bext() in read_chunks(path).chunks


@pytest.mark.large
@pytest.mark.parametrize("before", [False, True], ids=["after the audio", "before it"])
def test_a_chunk_above_4_gb_is_carried_whole(tmp_path: Path, before: bool) -> None:
    """The chunk is sparse: 5 GiB of zeros with a word at its end."""
    path, out = tmp_path / "a.wav", tmp_path / "b.wav"
    large_bytes, end = 5 * 1024**3, b"the last words"
    samples = np.zeros(1000, np.float32)
    sf.write(path, samples, 48000, subtype="FLOAT", format="WAV")
    plain = path.read_bytes()
    fmt, audio = plain[12 : plain.index(b"data")], samples.tobytes()
    sizes = struct.pack("<QQQI4sQ", 0, len(audio), 1000, 1, b"axml", large_bytes)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes + fmt
    data = b"data\xff\xff\xff\xff" + audio
    with path.open("wb") as file:
        file.write(head + data * (not before) + b"axml\xff\xff\xff\xff")
        begin = file.tell()
        file.seek(begin + large_bytes - len(end))
        file.write(end + data * before + Chunk(b"chna", b"1234").packed())
    found = metadata.read(path)
    sizes_found = {chunk.name: chunk.nbytes for chunk in found.chunks if chunk.name != b"PEAK"}
    assert sizes_found == {b"axml": large_bytes, b"chna": 4}
    carried = metadata.carried(found, Timing(48000, 48000, 0, 1000), MADE)
    encode(ArrayClip(samples, 48000), out, Encoding("wav", 32), Preset(), carried)
    again = {chunk.name: chunk for chunk in read_chunks(out).chunks}
    axml = again[b"axml"]
    assert isinstance(axml, StoredChunk)
    assert axml.nbytes == large_bytes
    with out.open("rb") as file:
        file.seek(axml.offset + large_bytes - len(end))
        assert file.read(len(end)) == end
    assert again[b"chna"] == Chunk(b"chna", b"1234")
    assert sf.info(out).frames == 1000
    with open_clip(path) as clip:
        assert clip.frames == 1000


def test_the_size_of_a_large_chunk_needs_room_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros(10), 48000, subtype="PCM_24", format="RF64")
    large = StoredChunk(b"axml", path, 0, 2**32)
    with pytest.raises(OutputError, match="no room for the size of axml"):
        append_chunks(path, [large])


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        (b"\2\0\0\0" * 10_000, f"metadata blocks beyond the first {BLOCKS_MAX}"),
        (
            b"\4" + (8 + 4 * 100_000).to_bytes(3, "big") + struct.pack("<II", 0, 100_000) + bytes(400_000),
            f"comments beyond the first {COMMENTS_MAX}",
        ),
    ],
)
def test_what_no_file_in_use_holds_so_many_of_is_named(tmp_path: Path, blocks: bytes, told: str) -> None:
    path = tmp_path / "a.flac"
    sf.write(path, np.zeros(1000), 44100)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\0" + content[5:42] + blocks + content[42:])
    read = metadata.read(path)
    assert read.others == (told,)
    assert len(read.blocks) <= BLOCKS_MAX
    assert len(read.tags.texts) <= COMMENTS_MAX


def test_a_file_that_ends_in_the_head_of_an_id3_tag_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    path.write_bytes(b"ID3\4\0\0\0\0")
    assert read_flac(path).others == ("an ID3 tag before the FLAC stream", "metadata that cannot be read")
