"""A file's metadata survives a render, an edit, a selection, another rate and the cache."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC
from numpy.typing import NDArray

from bridge.batch.backups import Backups
from bridge.batch.in_place import edit
from bridge.batch.run import Order
from bridge.client.client import Client
from bridge.client.model_choice import choose
from presets.report import RenderReport
from presets.schema import make
from presets.version import VERSION
from render.files.carried.chunks import Chunk, append_chunks, read_chunks

wavinfo = pytest.importorskip("wavinfo")

REFERENCE = 441_000_000
FRAMES = 22050
CUE = 8820
IXML = b"""<?xml version="1.0" encoding="UTF-8"?><BWFXML>
<IXML_VERSION>1.61</IXML_VERSION><PROJECT>%s</PROJECT>
<SCENE>12</SCENE><TAKE>3</TAKE><TAPE>R7</TAPE><SPEED><FILE_SAMPLE_RATE>44100</FILE_SAMPLE_RATE>
<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>0</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>
<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>441000000</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>
<TIMESTAMP_SAMPLE_RATE>44100</TIMESTAMP_SAMPLE_RATE></SPEED></BWFXML>"""


def words(title: str) -> list[Chunk]:
    """All metadata that a field recorder and a sampler may write for half a second at 44.1 kHz."""
    bext = title.encode().ljust(256, b"\0") + b"Mixer".ljust(32, b"\0") + b"REF1".ljust(32, b"\0")
    bext += b"2026-11-2210:00:00" + struct.pack("<QH", REFERENCE, 2) + bytes(64)
    bext += struct.pack("<5h", -2310, 850, -120, -2000, -2200) + bytes(180)
    bext += b"A=PCM,F=44100,W=24,M=mono,T=field\r\n"
    cue = struct.pack("<I", 1) + struct.pack("<II4sIII", 1, CUE, b"data", 0, 0, CUE)
    label = Chunk(b"labl", struct.pack("<I", 1) + b"verse\0").packed()
    smpl = struct.pack("<9I", 0, 0, 22676, 60, 0, 0, 0, 1, 0) + struct.pack("<6I", 0, 0, CUE, 13230, 0, 0)
    return [
        Chunk(b"LIST", b"INFO" + Chunk(b"INAM", title.encode() + b"\0").packed()),
        Chunk(b"bext", bext),
        Chunk(b"iXML", IXML % title.encode()),
        Chunk(b"cue ", cue),
        Chunk(b"LIST", b"adtl" + label),
        Chunk(b"smpl", smpl),
        Chunk(b"_PMX", b"<x:xmpmeta/>"),
        Chunk(b"zzzz", b"odd"),
    ]


@pytest.fixture
def tone() -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(FRAMES) / 44100)).astype(np.float32)


@pytest.fixture
def recording(tmp_path: Path, tone: NDArray[np.float32]) -> Callable[..., Path]:
    """`recording(title)`: a 24-bit WAV file at 44.1 kHz with much metadata and always the same samples."""

    def make_file(title: str = "Dawn", name: str = "take.wav") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, tone, 44100, "PCM_24")
        append_chunks(path, words(title))
        return path

    return make_file


@pytest.fixture
def client(engine: Any) -> Iterator[Client]:
    with Client.connect(state=engine.home.state, start=False) as connected:
        yield connected


def render(client: Client, source: Path, out: Path, **knobs: Any) -> RenderReport:
    """Renders to `out`: written by the engine, or sent as bytes and fetched, as with a remote engine."""
    knobs = {"model": "null", "cutoff": 4000, "seed": 7, **knobs}
    client.local = not knobs.pop("far", False)
    if not client.local:
        result = client.submit(source, "music", deliver="file", **knobs).wait()
        result.save(out)
    else:
        result = client.submit(source, "music", deliver="path", out=out, **knobs).wait()
    return result.report


def check(path: Path, title: str, rate: int, start: int = 0) -> None:
    """Checks that all of `words(title)` are in `path`, at the positions for its rate and start."""

    def scaled(frame: int) -> int:
        return round(frame * rate / 44100)

    said = wavinfo.WavInfoReader(str(path))
    assert said.fmt.sample_rate == rate
    assert said.bext.description.strip("\0") == title
    assert said.bext.time_reference == scaled(REFERENCE + start)
    history = said.bext.coding_history.split("\r\n")
    assert history[0].endswith("T=field")
    assert f"T=Airband {VERSION}; preset music; model null" in history[1]
    assert (said.ixml.project, said.ixml.scene, said.ixml.take, said.ixml.tape) == (title, "12", "3", "R7")
    assert said.info.title == title
    assert [(cue.name, cue.sample_offset) for cue in said.cues.cues] == [(1, scaled(CUE - start))]
    assert [label.text for label in said.cues.labels] == ["verse"]
    assert [(loop.start, loop.end) for loop in said.smpl.sample_loops] == [
        (scaled(CUE - start), scaled(CUE - start) + scaled(13231 - CUE) - 1)
    ]
    own = {chunk.name: chunk.body for chunk in read_chunks(path).chunks}
    assert own[b"_PMX"] == b"<x:xmpmeta/>"
    assert own[b"zzzz"] == b"odd"
    made = ElementTree.fromstring(own[b"iXML"])
    assert made.findtext("SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO") == str(scaled(REFERENCE + start))
    assert made.findtext("SPEED/FILE_SAMPLE_RATE") == str(rate)
    facts = {element.tag: element.text for element in made.findall("AIRBAND/*")}
    assert facts == {
        "SOFTWARE": f"Airband {VERSION}", "PRESET": "music", "MODEL": "null", "WEIGHTS": facts["WEIGHTS"],
        "SEED": "7", "CUTOFF_HZ": "4000",
    }  # fmt: skip
    assert facts["WEIGHTS"]


@pytest.mark.parametrize("far", [False, True], ids=["path", "file"])
@pytest.mark.parametrize(("rate", "start"), [(44100, 0), (48000, 0), (44100, 4410), (96000, 4411)])
def test_a_wav_file_keeps_what_it_says(
    client: Client, recording: Callable[..., Path], tmp_path: Path, rate: int, start: int, far: bool
) -> None:
    render(client, recording(), tmp_path / "out.wav", rate=rate, start=f"{start}smp", far=far)
    check(tmp_path / "out.wav", "Dawn", rate, start)


@pytest.mark.parametrize("rate", [None, 48000])
def test_a_wav_file_keeps_what_it_says_when_it_is_edited(
    client: Client, engine: Any, recording: Callable[..., Path], rate: int | None
) -> None:
    path = recording()
    order = Order(make(cutoff=4000.0, seed=7), "music", choose("null", client.models))
    order = Order(make(order.preset, model="null"), "music", order.choice)
    assert [event.what for event in edit(client, [path], order, Backups(engine.home), rate)][-1] == "done"
    check(path, "Dawn", rate or 44100)
    assert soundfile.info(path).subtype == "PCM_24"


@pytest.mark.parametrize("far", [False, True], ids=["path", "file"])
def test_files_that_differ_in_words_alone_carry_their_own(
    client: Client, recording: Callable[..., Path], tmp_path: Path, far: bool
) -> None:
    knobs = {"far": far, "rate": 44100, "high_gain_db": -1.0 - far}
    first = render(client, recording("Dusk", "first.wav"), tmp_path / "one.wav", **knobs)
    second = render(client, recording("Rain", "second.wav"), tmp_path / "two.wav", **knobs)
    assert (first.cached, second.cached) == (False, False)  # a source with other metadata is another source
    check(tmp_path / "one.wav", "Dusk", 44100)
    check(tmp_path / "two.wav", "Rain", 44100)


@pytest.mark.parametrize("far", [False, True], ids=["path", "file"])
@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
@pytest.mark.parametrize("kind", ["flac", "aiff", "mp3", "wav"])
def test_text_tags_reach_every_format_and_say_what_was_done(
    client: Client, tone: NDArray[np.float32], tmp_path: Path, kind: str, suffix: str, far: bool
) -> None:
    source = tmp_path / f"source.{kind}"
    with soundfile.SoundFile(source, "w", 44100, 1) as file:
        file.title, file.artist, file.comment = "Für Élise", "Ludwig", "from a wax cylinder"
        file.write(tone)
    render(client, source, tmp_path / f"out.{suffix}", far=far, format=suffix)
    with soundfile.SoundFile(tmp_path / f"out.{suffix}") as file:
        assert (file.title, file.artist) == ("Für Élise", "Ludwig")
        comment = file.comment
    assert comment in ("from a wax cylinder", made_by(tmp_path / f"out.{suffix}"))
    assert made_by(tmp_path / f"out.{suffix}").startswith(
        f"Airband {VERSION}; preset music; model null; weights "
    )


def made_by(path: Path) -> str:
    """The record of the render in a stem: an AIRBAND comment, the last annotation, or an element of iXML."""
    if path.suffix == ".flac":
        return str(FLAC(path)["AIRBAND"][-1])
    bodies = [
        c.body for c in read_chunks(path).chunks if isinstance(c, Chunk) and c.name in (b"iXML", b"ANNO")
    ]
    if path.suffix == ".aiff":
        return bodies[-1].decode()
    made = ElementTree.fromstring(bodies[-1]).find("AIRBAND")
    assert made is not None
    said = [f"{element.tag.lower()} {element.text}" for element in made if element.tag != "SOFTWARE"]
    return "; ".join([made.findtext("SOFTWARE", ""), *said])


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_words_of_any_length_leave_a_file_that_can_be_read_and_is_the_same_each_time(
    client: Client, tone: NDArray[np.float32], tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / "source.flac"
    with soundfile.SoundFile(source, "w", 44100, 1) as file:
        file.title, file.comment, file.artist = "Dawn", "blah " * 10000, "é" * 5000
        file.write(tone)
    first, again = tmp_path / f"first.{suffix}", tmp_path / f"again.{suffix}"
    render(client, source, first, format=suffix)
    time.sleep(1.1)  # libsndfile's PEAK chunk has a time stamp in seconds
    render(client, source, again, format=suffix)
    assert first.read_bytes() == again.read_bytes()
    with soundfile.SoundFile(first) as file:
        assert (file.title, file.frames) == ("Dawn", 24000)
    if suffix == "wav":
        chunks = read_chunks(first).chunks
        assert any(b"blah " * 10000 in chunk.body for chunk in chunks)
