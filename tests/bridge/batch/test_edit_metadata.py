"""An edited file keeps its metadata, tag by tag and chunk by chunk; otherwise the edit is refused."""

from __future__ import annotations

import base64
import io
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC, CueSheet, CueSheetTrack, CueSheetTrackIndex, Picture
from mutagen.id3 import APIC, COMM, ID3, PRIV, TIT2, TPE1, TXXX

from bridge.batch.backups import Backups
from bridge.batch.in_place import edit
from bridge.batch.run import Event, Order
from bridge.client.client import Client
from bridge.client.model_choice import choose
from presets.schema import make
from render.files.carried.chunks import AnyChunk, Chunk, append_chunks, form_of, read_chunks

RATE_HZ, FRAMES = 44100, 44100
PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)
XML = b'<?xml version="1.0"?><ebuCoreMain rtime="00:00:00.22050S44100"/>'
ADDED = {b"iXML", b"ANNO"}
"""Where an edit records what it did."""


@pytest.fixture
def edited(engine: Any) -> Iterator[Callable[..., Event]]:
    """`edited(path, rate_hz=None, drop_metadata=False)`: the last event of an edit."""
    with Client.connect(state=engine.home.state, start=False) as client:
        order = Order(make(model="null", cutoff=4000.0), "music", choose("null", client.models))

        def run(path: Path, rate_hz: int | None = None, drop_metadata: bool = False) -> Event:
            events = edit(client, [path], order, Backups(engine.home), rate_hz, drop_metadata=drop_metadata)
            return list(events)[-1]

        yield run


def write(path: Path, format: str, subtype: str = "PCM_16") -> Path:
    tone = (0.3 * np.sin(np.arange(FRAMES) / 9)).astype("f4")
    soundfile.write(path, tone, RATE_HZ, subtype, format=format)
    return path


def id3() -> bytes:
    tag = ID3()
    for frame in (
        TIT2(encoding=3, text="Tïtle"),
        TPE1(encoding=3, text=["One", "Two"]),
        TXXX(encoding=3, desc="CATALOGUE", text="7"),
        COMM(encoding=3, lang="eng", desc="", text="said"),
        APIC(encoding=3, mime="image/png", type=3, desc="", data=PNG),
        PRIV(owner="o", data=b"1"),
    ):
        tag.add(frame)
    with io.BytesIO() as file:
        tag.save(file, v2_version=4)
        return file.getvalue()


def aiff_chunks() -> list[AnyChunk]:
    mark = (
        struct.pack(">H", 2)
        + struct.pack(">HI", 1, 4410)
        + b"\5start"
        + struct.pack(">HI", 2, 40000)
        + b"\3end"
    )
    inst = struct.pack(">6bh6H", 60, 0, 0, 127, 1, 127, 0, 1, 1, 2, 0, 0, 0)
    return [
        Chunk(b"MARK", mark),
        Chunk(b"INST", inst),
        Chunk(b"COMT", struct.pack(">HIHH", 1, 0, 1, 4) + b"note"),
        Chunk(b"basc", bytes(84)),
        Chunk(b"APPL", b"oursdata"),
        Chunk(b"ID3 ", id3()),
        Chunk(b"NAME", b"My Loop"),
        Chunk(b"AUTH", b"me"),
        Chunk(b"ANNO", b"an odd one!"),
        Chunk(b"zzzz", b"unknown"),
    ]


def wave_chunks() -> list[AnyChunk]:
    cue = struct.pack("<I", 1) + struct.pack("<II4sIII", 1, 4410, b"data", 0, 0, 4410)
    smpl = struct.pack("<9I", 0, 0, 22676, 60, 0, 0, 0, 1, 0) + struct.pack("<6I", 0, 0, 4410, 8820, 0, 0)
    info = Chunk(b"INAM", b"n\xe9me\0").packed() + Chunk(b"IXYZ", b"?\0").packed()
    return [
        Chunk(b"LIST", b"INFO" + info),
        Chunk(b"cue ", cue),
        Chunk(b"LIST", b"adtl" + Chunk(b"labl", struct.pack("<I", 1) + b"verse\0").packed()),
        Chunk(b"smpl", smpl),
        Chunk(b"acid", bytes(24)),
        Chunk(b"inst", bytes(7)),
        Chunk(b"axml", XML),
        Chunk(b"chna", bytes(44)),
        Chunk(b"id3 ", id3()),
        Chunk(b"_PMX", b"<x/>"),
        Chunk(b"SMED", b"\5" * 9),
    ]


def bodies(path: Path) -> list[tuple[bytes, bytes]]:
    audio = {b"fmt ", b"fact", b"ds64", b"COMM", b"FVER"}
    return sorted(
        (c.name, c.body) for c in read_chunks(path).chunks if isinstance(c, Chunk) and c.name not in audio
    )


@pytest.mark.parametrize("kind", ["WAV", "RF64", "BW64", "AIFF", "AIFC"])
def test_every_chunk_of_a_wav_or_aiff_file_is_there_after_an_edit(
    tmp_path: Path, edited: Callable[..., Event], kind: str
) -> None:
    aiff = kind.startswith("AIF")
    path = write(tmp_path / ("a.aif" if aiff else "a.wav"), {"BW64": "RF64", "AIFC": "AIFF"}.get(kind, kind),
                 "FLOAT" if kind == "AIFC" else "PCM_24")  # fmt: skip
    append_chunks(path, aiff_chunks() if aiff else wave_chunks())
    if kind == "BW64":
        path.write_bytes(b"BW64" + path.read_bytes()[4:])
    before, form, size = bodies(path), form_of(path), soundfile_frames(path)
    event = edited(path)
    assert event.what == "done", event.error
    after = bodies(path)
    left = list(after)
    for chunk in before:
        if chunk[0] != b"PEAK":
            left.remove(chunk)
    assert {name for name, _ in left} <= ADDED
    assert (form_of(path), soundfile_frames(path)) == (form, size)


def soundfile_frames(path: Path) -> int:
    with io.BytesIO(path.read_bytes().replace(b"BW64", b"RF64", 1)) as file:
        return int(soundfile.info(file).frames)


def test_places_in_an_aiff_file_follow_its_rate(tmp_path: Path, edited: Callable[..., Event]) -> None:
    path = write(tmp_path / "loop.aif", "AIFF")
    append_chunks(path, aiff_chunks())
    assert edited(path, 48000).what == "done"
    mark = dict(bodies(path))[b"MARK"]
    assert struct.unpack_from(">HHI", mark) == (2, 1, 4800)
    assert mark.endswith(struct.pack(">HI", 2, round(40000 * 48 / 44.1)) + b"\3end")


def flac(path: Path) -> FLAC:
    file = FLAC(write(path, "FLAC"))
    file["title"], file["artist"] = "tt", ["One", "Two"]
    file["REPLAYGAIN_TRACK_GAIN"], file["Odd Key"] = "-3 dB", "kept"
    for number, data in enumerate((PNG, b"\xff\xd8" + bytes(50))):
        picture = Picture()
        picture.type, picture.mime, picture.desc, picture.data = 3 + number, "image/png", "front", data
        picture.width = picture.height = 300
        file.add_picture(picture)
    sheet = CueSheet(None)
    sheet.media_catalog_number, sheet.lead_in_samples, sheet.compact_disc = b"123", 0, False
    for number, start in ((1, 0), (2, 22050), (255, FRAMES)):
        track = CueSheetTrack(number, start)
        if number != 255:
            track.indexes.append(CueSheetTrackIndex(1, 0))
        sheet.tracks.append(track)
    file.cuesheet = sheet
    file.metadata_blocks.append(sheet)
    file.save()
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[5:8], "big")
    blocks = (
        b"\x02"
        + (8).to_bytes(3, "big")
        + b"ATCHdata"
        + b"\x03"
        + (18).to_bytes(3, "big")
        + bytes(16)
        + b"\x10\0"
    )
    path.write_bytes(data[:end] + blocks + data[end:])
    return FLAC(path)


def blocks_of(file: FLAC) -> list[tuple[int, bytes]]:
    return sorted((b.code, b.write()) for b in file.metadata_blocks if b.code in (2, 5, 6))


def test_every_tag_and_block_of_a_flac_file_is_there_after_an_edit(
    tmp_path: Path, edited: Callable[..., Event]
) -> None:
    before = flac(tmp_path / "a.flac")
    event = edited(tmp_path / "a.flac")
    assert event.what == "done", event.error
    after = FLAC(tmp_path / "a.flac")
    assert [tag for tag in after.tags if tag[0] != "AIRBAND"] == list(before.tags)
    assert blocks_of(after) == blocks_of(before)
    points = after.seektable.seekpoints
    assert points[0].first_sample == points[0].byte_offset == 0
    assert points[0].num_samples > 0
    assert soundfile.info(tmp_path / "a.flac").frames == FRAMES


def test_a_cue_sheet_follows_the_rate(tmp_path: Path, edited: Callable[..., Event]) -> None:
    flac(tmp_path / "a.flac")
    assert edited(tmp_path / "a.flac", 48000).what == "done"
    after = FLAC(tmp_path / "a.flac")
    assert [track.start_offset for track in after.cuesheet.tracks] == [0, 24000, 48000]


def test_seek_points_lead_to_the_frames_they_name(tmp_path: Path) -> None:
    from render.files.carried.flac_blocks import _audio_offset, write_flac

    path = tmp_path / "long.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(35 * 8000), 8000, "PCM_16")
    write_flac(path, [], [], seeks=True)
    file, data = FLAC(path), path.read_bytes()
    first = _audio_offset(data)
    assert len(file.seektable.seekpoints) == 4
    for point in file.seektable.seekpoints:
        head = data[first + point.byte_offset :][:8]
        assert head[:2] == b"\xff\xf8"
        assert head.startswith(chr(point.first_sample // point.num_samples).encode(), 4)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("a.flac", id3(), b""), ("b.flac", b"", b"TAG" + bytes(125)), ("c.wav", b"", b"TAG" + bytes(125))],
)
def test_what_cannot_be_kept_is_refused_by_name_unless_it_may_go(
    tmp_path: Path, edited: Callable[..., Event], name: str, before: bytes, after: bytes
) -> None:
    path = write(tmp_path / name, path_format(name))
    path.write_bytes(before + path.read_bytes() + after)
    data = path.read_bytes()
    event = edited(path)
    assert event.what == "failed"
    assert "would lose" in str(event.error)
    assert "--drop-metadata" in str(event.error)
    assert path.read_bytes() == data
    assert edited(path, drop_metadata=True).what == "done"
    assert path.read_bytes() != data


def path_format(name: str) -> str:
    return Path(name).suffix[1:].upper()


LOSSY = {
    "a.mp3": ("libmp3lame", "MP3"), "a.ogg": ("libvorbis", "OGG"), "a.opus": ("libopus", "OGG"),
    "a.m4a": ("aac", "m4a"), "alac.m4a": ("alac", "m4a"), "a.wma": ("wmav2", "wma"),
    "a.wv": ("wavpack", "wv"), "a.caf": ("pcm_s16le", "CAF"), "a.w64": ("pcm_s16le", "W64"),
    "mp3.wav": ("libmp3lame", "MP3|MPEG|mp3"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSY)
def test_a_file_that_cannot_be_written_as_it_was_is_refused_by_name_and_stays(
    tmp_path: Path, edited: Callable[..., Event], name: str
) -> None:
    path, (codec, kind) = tmp_path / name, LOSSY[name]
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    source = write(tmp_path / "source.wav", "WAV")
    form = ["-f", "wav"] if name == "mp3.wav" else []
    words = ["-metadata", "title=Title", "-metadata", "artist=One", "-metadata", "comment=said"]
    command = ["ffmpeg", "-v", "error", "-i", source, *words, "-c:a", codec, *form, path]
    subprocess.run(command, check=True)
    content, tags = path.read_bytes(), mutagen.File(path)
    event = edited(path)
    assert event.what == "failed"
    assert name in str(event.error)
    assert re.search(kind, str(event.error))
    assert path.read_bytes() == content
    assert mutagen.File(path) == tags
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_file()) == sorted(
        [name, "source.wav"]
    )


def test_a_big_endian_wav_is_not_turned_into_another(tmp_path: Path, edited: Callable[..., Event]) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(FRAMES), RATE_HZ, "PCM_16", "BIG", "WAV")
    content = path.read_bytes()
    event = edited(path)
    assert event.what == "failed"
    assert "RIFX" in str(event.error)
    assert path.read_bytes() == content


def test_an_over_is_told_with_ways_out_that_an_edit_has(tmp_path: Path, engine: Any) -> None:
    path = tmp_path / "a.wav"
    with Client.connect(state=engine.home.state, start=False) as client:
        gain = {"name": "Gain", "params": {"gain_db": 24.0}}
        preset = make(model="null", cutoff=4000.0, effects={"after": [gain]})
        order = Order(preset, "music", choose("null", client.models))
        soundfile.write(path, 0.1 * np.sign(np.sin(np.arange(FRAMES) / 9)), RATE_HZ, "PCM_16")
        event = list(edit(client, [path], order, Backups(engine.home)))[-1]
    assert event.what == "failed"
    assert "--clip" in str(event.error)
    assert "--bit-depth" not in str(event.error)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac"])
def test_tags_and_cover_of_an_mp3_reach_any_result(tmp_path: Path, engine: Any, suffix: str) -> None:
    source, out = write(tmp_path / "a.mp3", "MP3", "MPEG_LAYER_III"), tmp_path / f"b.{suffix}"
    source.write_bytes(id3() + source.read_bytes())
    with Client.connect(state=engine.home.state, start=False) as client:
        result = client.submit(source, "music", model="null", cutoff=4000, deliver="path", out=out).wait()
    if suffix == "flac":
        made = FLAC(out)
        assert (made["title"], made["artist"], made["catalogue"], made["comment"]) == (
            ["Tïtle"], ["One", "Two"], ["7"], ["said"],
        )  # fmt: skip
        assert made.pictures[0].data == PNG
        assert result.report.not_carried == ("ID3 PRIV",)
    else:
        tag = ID3(io.BytesIO(next(body for name, body in bodies(out) if name.lower() == b"id3 ")))
        assert sorted(tag) == ["APIC:", "COMM::eng", "PRIV:o:1", "TIT2", "TPE1", "TXXX:CATALOGUE"]
        assert result.report.not_carried == ()


def test_comments_of_an_ogg_file_reach_wav_and_flac(tmp_path: Path, engine: Any) -> None:
    from mutagen.oggvorbis import OggVorbis

    source = write(tmp_path / "a.ogg", "OGG", "VORBIS")
    picture = Picture()
    picture.type, picture.mime, picture.data = 3, "image/png", PNG
    file = OggVorbis(source)
    file["title"], file["performer"] = "tt", ["A", "B"]
    file["metadata_block_picture"] = base64.b64encode(picture.write()).decode()
    file.save()
    with Client.connect(state=engine.home.state, start=False) as client:
        for suffix in ("wav", "flac"):
            out = tmp_path / f"b.{suffix}"
            client.submit(source, "music", model="null", cutoff=4000, deliver="path", out=out).wait()
    made = FLAC(tmp_path / "b.flac")
    assert (made["title"], made["performer"], made.pictures[0].data) == (["tt"], ["A", "B"], PNG)
    tag = ID3(io.BytesIO(dict(bodies(tmp_path / "b.wav"))[b"id3 "]))
    assert (tag["TIT2"].text, tag["TXXX:PERFORMER"].text, tag["APIC:"].data) == (["tt"], ["A", "B"], PNG)
