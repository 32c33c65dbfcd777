"""Wrong sizes that still fit into the file: joined, unfinished and wrapped recordings."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from presets.errors import InputError
from render.clip import open_clip
from render.files.carried import metadata
from render.files.carried.tags import to_id3
from render.sources.pcm_chunks import CHUNKS_MAX
from render.sources.pcm_header import read_header

RATE_HZ, FRAMES = 8000, 24001
SAMPLES = np.random.default_rng(3).integers(-9000, 9000, FRAMES).astype("<i2")
EXPECTED = SAMPLES / np.float32(32768)
LIST = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"hi\0\0"
COVER = b"id3 " + struct.pack("<I", 60_000) + b"cover " * 10_000
UNKNOWN = 0xFFFFFFFF
BEXT = b"bext" + struct.pack("<I", 602) + bytes(602)
ODD = b"note" + struct.pack("<I", 5) + b"odd 5"


def wav(path: Path, size: int | None = None, after: bytes = b"") -> Path:
    head = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    data, size = SAMPLES.tobytes(), 2 * FRAMES if size is None else size
    riff = b"WAVE" + head + b"data" + struct.pack("<I", size) + data + after
    path.write_bytes(b"RIFF" + struct.pack("<I", min(36 + size, UNKNOWN)) + riff)
    return path


def opened(path: Path, **terms: Any) -> np.ndarray:
    with open_clip(path, path.parent, **terms) as clip:
        return clip.read(0, clip.frames)[0]


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "W64", "CAF", "AU"])
def test_a_second_file_after_the_first_is_not_passed_over(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "joined.wav"
    soundfile.write(path, SAMPLES, RATE_HZ, "PCM_16", format=kind)
    once = path.read_bytes()
    path.write_bytes(once + once)
    with pytest.raises(InputError, match=f"another file follows at byte {len(once)}.*--accept-truncated"):
        opened(path)
    assert np.array_equal(opened(path, accept_truncated=True), EXPECTED)


def test_a_second_chunk_of_audio_is_not_passed_over(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", after=LIST + b"data" + struct.pack("<I", 400) + bytes(400))
    with pytest.raises(InputError, match="a second chunk of audio follows"):
        opened(path)
    assert np.array_equal(opened(path, accept_truncated=True), EXPECTED)


@pytest.mark.parametrize("seconds", [0.5, 1.5])
def test_a_size_from_a_moment_ago_is_named_and_the_whole_taken_when_asked(
    tmp_path: Path, seconds: float
) -> None:
    path = wav(tmp_path / "killed.wav", size=2 * round(seconds * RATE_HZ))
    with pytest.raises(InputError, match=r"killed\.wav .* no chunk follow .*; 24001 frames are there"):
        opened(path)
    assert np.array_equal(opened(path, accept_truncated=True), EXPECTED)


@pytest.mark.parametrize(
    "after",
    [
        LIST, LIST + bytes(90_000), LIST + COVER, ODD + COVER, bytes(20) + COVER,
        bytes(2 << 20), b"ID3\4\0\0\0\4\0\0" + b"cover" * 20_000, b"TAG" + b"t" * 125, b"\r\n",
        b"bext" + struct.pack("<I", 90_000) + b"cut off" * 9000,
        b"id3 " + struct.pack("<I", 50_000) + b"x" * 50_000,
    ],
)  # fmt: skip
def test_chunks_tags_and_padding_are_no_audio(tmp_path: Path, after: bytes) -> None:
    assert np.array_equal(opened(wav(tmp_path / "a.wav", after=after)), EXPECTED)


@pytest.mark.parametrize("after", [b"", LIST])
def test_a_size_that_started_again_at_4_gib_is_made_good(tmp_path: Path, after: bytes) -> None:
    path = wav(tmp_path / "long.wav", size=2 * 12_000)
    with path.open("r+b") as file:  # sparse: it takes no disk space
        file.seek(44 + 2**32 + 2 * 12_000 - 4)
        file.write(struct.pack("<hh", 1234, -4321) + after)
    with open_clip(path) as clip:
        assert clip.frames == 2**31 + 12_000
        assert np.array_equal(clip.read(0, FRAMES)[0], EXPECTED)
        assert np.array_equal(clip.read(clip.frames - 2, 2)[0] * 32768, [1234, -4321])


def test_a_width_that_holds_no_sample_is_left_to_a_decoder(tmp_path: Path) -> None:
    """Samples of 16 bits in blocks of one byte come out as samples, not noise."""
    path = wav(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[32:34] = struct.pack("<H", 1)
    path.write_bytes(content)
    assert np.array_equal(opened(path), EXPECTED)


def test_au_whose_audio_starts_in_its_header_is_not_read_from_there(tmp_path: Path) -> None:
    path = tmp_path / "a.au"
    soundfile.write(path, SAMPLES, RATE_HZ, "PCM_16", format="AU")
    content = bytearray(path.read_bytes())
    content[4:8] = bytes(4)
    path.write_bytes(content)
    try:
        heard = opened(path)
    except InputError:
        return
    assert np.abs(heard[:100] - EXPECTED[:100]).max() < 1e-6


@pytest.mark.parametrize("size", [0, UNKNOWN, 0x7FFFF000])
@pytest.mark.parametrize("after", [LIST, LIST + ODD, LIST + COVER, BEXT])
def test_chunks_behind_audio_of_no_known_size_are_chunks(tmp_path: Path, size: int, after: bytes) -> None:
    path = wav(tmp_path / "killed.wav", size=size, after=after)
    assert np.array_equal(opened(path), EXPECTED)
    assert [chunk.name for chunk in metadata.read(path).chunks] == [
        name for name in (b"LIST", b"note", b"id3 ", b"bext") if name in after
    ]


def test_a_name_within_audio_of_no_known_size_is_audio(tmp_path: Path) -> None:
    """A chunk's name alone proves nothing: its size leads neither to another chunk nor to the end."""
    path = wav(tmp_path / "killed.wav", size=UNKNOWN, after=b"LIST" + struct.pack("<I", 7) + bytes(20))
    with open_clip(path, tmp_path) as clip:
        assert clip.frames == FRAMES + 14
    assert metadata.read(path).chunks == ()


@pytest.mark.parametrize("kind", ["RIFF", "FORM", "unfinished"])
def test_a_tag_before_the_file_hides_nothing_of_it(tmp_path: Path, kind: str) -> None:
    path = wav(tmp_path / "a.wav", size=UNKNOWN if kind == "unfinished" else None, after=LIST)
    if kind == "FORM":
        soundfile.write(path, SAMPLES, RATE_HZ, "PCM_16", format="AIFF")
    path.write_bytes(to_id3([("TITLE", "in front")], ()) + path.read_bytes())
    assert np.array_equal(opened(path), EXPECTED)
    said = metadata.read(path)
    assert said.form == (b"AIFF" if kind == "FORM" else b"RIFF")
    assert ("TITLE", "hi" if kind != "FORM" else "in front") in said.tags.texts
    assert said.chunks[-1].name.lower() == b"id3 "


def test_a_file_behind_a_tag_that_is_cut_is_named(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav")
    path.write_bytes(to_id3([("TITLE", "in front")], ()) + path.read_bytes()[:-8000])
    with pytest.raises(InputError, match="promises 24001 frames, it holds 20001"):
        opened(path)


MANY = 125_000
"""Empty chunks in a megabyte."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("size", [None, UNKNOWN])
def test_a_file_of_chunks_without_content_takes_no_minutes(tmp_path: Path, size: int | None) -> None:
    path = wav(tmp_path / "a.wav", size=size, after=b"LIST\0\0\0\0" * MANY + b"??")
    samples = opened(path)
    assert np.array_equal(samples[:FRAMES], EXPECTED)
    assert len(samples) == (FRAMES if size is None else FRAMES + 4 * MANY + 1)
    if size is None:
        assert metadata.read(path).others == (
            f"{8 * (MANY - CHUNKS_MAX + 1) + 2} bytes after the last chunk",
        )


@pytest.mark.timeout(60)
def test_chunks_without_content_before_the_audio_are_read_by_a_decoder(tmp_path: Path) -> None:
    content = wav(tmp_path / "a.wav").read_bytes()
    path = tmp_path / "b.wav"
    path.write_bytes(content[:12] + b"junk\0\0\0\0" * MANY + content[12:])
    with path.open("rb") as file:
        assert read_header(file) is None
    assert np.array_equal(opened(path), EXPECTED)
