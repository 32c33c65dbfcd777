"""What only a container says: texts that ffprobe reads, chunks that are told by name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from render.files import metadata
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


def test_chapters_are_told(tmp_path: Path, ffmpeg: Any, tones: Any) -> None:
    told = "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=one\n"
    (tmp_path / "chapters.txt").write_text(f";FFMETADATA1\ntitle=Dawn\n{told}")
    for name, expected in (("a.mka", "chapters"), ("a.m4a", "MP4 chapters")):
        path = tmp_path / name
        ffmpeg("-i", tones(2), "-i", tmp_path / "chapters.txt", "-map_metadata", 1, "-c:a", "aac", path)
        assert metadata.read(path).left_out("wav") == (expected,)


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
