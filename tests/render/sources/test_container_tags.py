"""Metadata of containers: texts that ffprobe reads, chunks that are reported by name."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from presets.knobs import Format
from render.files.carried import aiff_chunks, metadata, wave_chunks
from render.files.carried.chunks import read_chunks
from render.files.carried.flac_blocks import read_flac
from render.files.carried.timing import Provenance, Timing
from render.sources.container_tags import chunk_names, container_tags

WORDS = ("-metadata", "title=Dawn", "-metadata", "artist=One", "-metadata", "track=3/12")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mka", "flac"), ("a.webm", "libvorbis"), ("a.mkv", "pcm_s16le"), ("a.mov", "pcm_s16le"),
     ("a.avi", "pcm_s16le"), ("a.nut", "flac"), ("a.caf", "alac")],
)  # fmt: skip
def test_texts_of_containers_without_a_tag_of_their_own(
    tmp_path: Path, ffmpeg: Any, tones: Any, name: str, codec: str
) -> None:
    path = tmp_path / name
    ffmpeg("-i", tones(2), *WORDS, "-c:a", codec, path)
    found = metadata.read(path)
    texts = dict(found.tags.texts)
    assert (texts["TITLE"], texts.get("ARTIST", "One"), texts.get("TRACKNUMBER", "3/12")) == (
        "Dawn", "One", "3/12",
    )  # fmt: skip
    assert not {"ENCODER", "DURATION", "MAJOR_BRAND", "HANDLER_NAME"} & set(texts)
    assert found.left_out("wav") == ()


MADE = Provenance("Airband 0.1.0", "A=PCM,F=96000,W=24,M=mono", {})


def stem_of(path: Path, timing: Timing, kind: Format) -> Path:
    """Writes a stem of silence with all metadata of `path`."""
    stem = path.with_name(f"stem.{kind}")
    soundfile.write(stem, np.zeros(2 * timing.rate_out), timing.rate_out, "PCM_24", format=kind.upper())
    carried = metadata.carried(metadata.read(path), timing, MADE)
    assert carried.left_out(kind) == ()
    metadata.attach(stem, kind, carried)
    return stem


def wave_places(stem: Path) -> list[tuple[int, bytes]]:
    return [(place.frame, place.name) for place in wave_chunks.markers(read_chunks(stem).chunks)]


@pytest.mark.parametrize("name", ["a.mka", "a.m4a", "a.mov", "a.m4b"])
def test_chapters_become_cues_markers_and_comments(
    tmp_path: Path, ffmpeg: Any, tones: Any, name: str
) -> None:
    told = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND=900\ntitle={}\n"
    chapters = told.format(0, "one") + told.format(550, "zwölf")
    (tmp_path / "chapters.txt").write_text(f";FFMETADATA1\ntitle=Dawn\n{chapters}", encoding="utf-8")
    path = tmp_path / name
    ffmpeg("-i", tones(2), "-i", tmp_path / "chapters.txt", "-map_metadata", 1, "-c:a", "aac", path)
    whole = Timing(48000, 96000, 0, 96000)
    twelve = "zwölf".encode()
    assert wave_places(stem_of(path, whole, "wav")) == [(0, b"one"), (52800, twelve)]
    marks = read_chunks(stem_of(path, whole, "aiff")).chunks
    assert [(m.frame, m.name) for chunk in marks for m in aiff_chunks.markers(chunk)] == [
        (0, b"one"), (52800, twelve),
    ]  # fmt: skip
    comments = dict(read_flac(stem_of(path, whole, "flac")).comments)
    assert comments["CHAPTER002"] == "00:00:00.550"
    assert (comments["CHAPTER001NAME"], comments["CHAPTER002NAME"]) == ("one", "zwölf")
    selection = Timing(48000, 48000, 24000, 24000, whole=False)
    assert wave_places(stem_of(path, selection, "wav")) == [(2400, twelve)]


def test_a_chapter_is_where_its_sound_is_whatever_a_codec_begins_with(
    tmp_path: Path, ffmpeg: Any, tones: Any
) -> None:
    (tmp_path / "chapters.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=900\ntitle=\n", encoding="utf-8"
    )
    path = tmp_path / "a.webm"  # its Opus stream is stated to begin 7 ms before 0
    ffmpeg("-i", tones(1), "-i", tmp_path / "chapters.txt", "-map_metadata", 1, "-c:a", "libopus", path)
    assert [place.at_s for place in container_tags(path).places] == [Fraction(1, 2)]


def test_markers_of_a_caf_file_are_carried(tmp_path: Path) -> None:
    path = tmp_path / "a.caf"
    soundfile.write(path, np.zeros(44100), 44100, "PCM_16", format="CAF")
    marks = b"".join(
        struct.pack(">IdI8xI", 0, frame, number, 0) for frame, number in ((441.0, 7), (22050.0, 9))
    )
    texts = struct.pack(">IIqIq", 2, 9, 0, 7, 6) + b"verse\0intro\0"
    mark = b"mark" + struct.pack(">qII", 8 + len(marks), 0, 2) + marks
    strings = b"strg" + struct.pack(">q", len(texts)) + texts
    content = path.read_bytes()
    at = content.index(b"data")
    path.write_bytes(content[:at] + mark + strings + content[at:])
    timing = Timing(44100, 88200, 0, 44100)
    assert wave_places(stem_of(path, timing, "wav")) == [(882, b"intro"), (44100, b"verse")]


def test_without_ffprobe_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "a.mka"
    path.write_bytes(b"\x1a\x45\xdf\xa3")
    assert container_tags(path).texts == ()


def test_chunks_that_hold_more_than_samples_are_named(tmp_path: Path) -> None:
    caf, w64, rifx = tmp_path / "a.caf", tmp_path / "a.w64", tmp_path / "a.wav"
    for path, kind in ((caf, "CAF"), (w64, "W64")):
        soundfile.write(path, np.zeros(1000), 44100, "PCM_16", format=kind)
        assert chunk_names(path) == ()
    soundfile.write(rifx, np.zeros(1000), 44100, "PCM_16", "BIG", "WAV")
    content = caf.read_bytes()
    at = content.index(b"data")
    marks = b"mark" + struct.pack(">qII", 8, 0, 0)
    caf.write_bytes(content[:at] + marks + content[at:])
    w64.write_bytes(w64.read_bytes() + b"bext" + bytes(12) + struct.pack("<q", 32) + bytes(8))
    info = b"LIST" + struct.pack(">I", 16) + b"INFOINAM" + struct.pack(">I", 4) + b"hi\0\0"
    rifx.write_bytes(rifx.read_bytes() + info + b"cue " + struct.pack(">II", 4, 0))
    assert metadata.read(caf).left_out("wav") == ("CAF mark",)
    assert metadata.read(w64).left_out("flac") == ("W64 bext",)
    assert metadata.read(rifx).left_out("wav") == ("RIFX cue",)
    assert metadata.read(rifx).tags.texts == (("TITLE", "hi"),)
