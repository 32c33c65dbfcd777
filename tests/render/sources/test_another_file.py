"""Files joined with `cat` that decoders take for one: the second is never lost without a word."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from presets.errors import InputError
from render.clip import open_clip
from render.files.carried.tags import to_id3

RATE_HZ = 22050
NOISE = (0.2 * np.random.default_rng(4).standard_normal(11025)).astype(np.float32)


def written(kind: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, NOISE, RATE_HZ, subtype, format=kind)
    return file.getvalue()


def opened(path: Path, **terms: Any) -> np.ndarray:
    with open_clip(path, path.parent, **terms) as clip:
        return clip.read(0, clip.frames)


def check_second_is_named(path: Path, first: bytes, second: bytes) -> None:
    path.write_bytes(first)
    alone = opened(path)
    path.write_bytes(first + second)
    with pytest.raises(InputError, match=f"another file follows at byte {len(first)};.*--accept-truncated"):
        opened(path)
    assert np.array_equal(opened(path, accept_truncated=True), alone)


@pytest.mark.parametrize(
    "kind", ["VOC", "SVX", "NIST", "AVR", "IRCAM", "PAF", "PVF", "SDS", "MAT4", "MAT5", "WVE", "XI"]
)
def test_two_files_of_an_old_kind_are_not_taken_for_one(tmp_path: Path, kind: str) -> None:
    once = written(kind, {"WVE": "ALAW", "XI": "DPCM_16"}.get(kind))
    check_second_is_named(tmp_path / "joined", once, once)


CODED = {"a.flv": ("-c:a", "aac", "-ar", RATE_HZ), "a.tta": (), "a.wma": (), "a.adx": (), "a.mmf": ()}


@pytest.mark.parametrize("name", CODED)
def test_two_coded_files_are_not_taken_for_one(tmp_path: Path, ffmpeg: Any, name: str) -> None:
    (tmp_path / "a.wav").write_bytes(written("WAV"))
    ffmpeg("-i", tmp_path / "a.wav", *CODED[name], tmp_path / name)
    once = (tmp_path / name).read_bytes()
    check_second_is_named(tmp_path / "joined", once, once)


@pytest.mark.parametrize("first", ["a.mp3", "a.flac", "a.aac", "a.m4a", "a.avi", "a.wav"])
def test_a_file_of_another_kind_behind_the_first_is_named(tmp_path: Path, ffmpeg: Any, first: str) -> None:
    (tmp_path / "a.wav").write_bytes(written("WAV"))
    if first != "a.wav":
        ffmpeg("-i", tmp_path / "a.wav", tmp_path / first)
    content = (tmp_path / first).read_bytes()
    check_second_is_named(tmp_path / "joined", content, written("FLAC" if first == "a.wav" else "WAV"))


def test_an_mp3_behind_a_wav_is_no_tag_of_it(tmp_path: Path, ffmpeg: Any) -> None:
    (tmp_path / "a.wav").write_bytes(written("WAV"))
    ffmpeg("-i", tmp_path / "a.wav", "-metadata", "title=T", tmp_path / "a.mp3")
    check_second_is_named(tmp_path / "joined", written("WAV"), (tmp_path / "a.mp3").read_bytes())


@pytest.mark.parametrize("kind", ["VOC", "SVX", "NIST", "MAT4", "MP3", "FLAC"])
def test_tags_and_padding_behind_a_file_are_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    for after in (bytes(300), b"TAG" + bytes(125), to_id3([("TITLE", "behind")], ())):
        path.write_bytes(written(kind) + after)
        assert abs(opened(path).shape[1] - len(NOISE)) <= 1152


def test_a_wav_header_within_flac_metadata_is_no_file(tmp_path: Path) -> None:
    """As `flac --keep-foreign-metadata` stores it."""
    path = tmp_path / "a.flac"
    content, kept = written("FLAC"), b"riffRIFF" + struct.pack("<I", 22086) + b"WAVE"
    path.write_bytes(content[:42] + b"\2" + len(kept).to_bytes(3, "big") + kept + content[42:])
    assert opened(path).shape[1] == len(NOISE)


COUNTED = ["VOC", "SVX", "NIST", "AVR", "MAT4", "MAT5", "MPC2K", "WVE"]


@pytest.mark.parametrize("kind", COUNTED)
def test_a_file_of_an_old_kind_that_was_cut_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    content = written(kind, "ALAW" if kind == "WVE" else None)
    path.write_bytes(content)
    assert opened(path).shape[1] == len(NOISE)
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match=r"a is truncated.* promises \d+ (bytes|frames), it holds"):
        opened(path)
    assert 0.6 < opened(path, accept_truncated=True).shape[1] / len(NOISE) < 0.7


def test_a_cut_adx_is_named(tmp_path: Path, ffmpeg: Any) -> None:
    (tmp_path / "a.wav").write_bytes(written("WAV"))
    ffmpeg("-i", tmp_path / "a.wav", tmp_path / "a.adx")
    path, content = tmp_path / "a.adx", (tmp_path / "a.adx").read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match=r"a\.adx is truncated.* promises \d+ frames, it holds"):
        opened(path)


def test_a_voc_whose_size_wrapped_is_named(tmp_path: Path) -> None:
    """As libsndfile and SoX write audio of more than 16 MiB into a field of 24 bits."""
    path = tmp_path / "a.voc"
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16", format="VOC") as file:
        for _ in range(9):
            file.write(np.full(1 << 20, 0.5, np.float32))
    with pytest.raises(InputError, match=r"bytes follow .* sizes in VOC wrap at 16 MiB.*--accept-truncated"):
        opened(path)
    assert opened(path, accept_truncated=True).shape[1] == 9 << 20
