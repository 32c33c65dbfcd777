"""Files as recorders, pipes and careless tools leave them: read whole, or named with what is missing."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from presets.errors import Cancelled, InputError, OutputError
from render.clip import FileClip, open_clip
from render.decode import LINKS_MAX
from render.waiting import HOOK_S

RNG = np.random.default_rng(8)
SPEECH = (0.2 * RNG.standard_normal((1, 44100))).astype(np.float32)


def opened(path: Path, **terms: Any) -> np.ndarray:
    """All samples of a file; also checks that decoding leaves nothing in its folder."""
    before = set(path.parent.iterdir())
    with open_clip(path, path.parent, **terms) as clip:
        samples = clip.read(0, clip.frames)
    assert set(path.parent.iterdir()) == before
    return samples


# 01, 02, 03: MP3 without a stated length, or with that of its first part only


@pytest.mark.parametrize("quality", [("-q:a", 2), ("-b:a", "128k"), ("-b:a", "48k", "-ar", 24000)])
def test_an_mp3_from_a_pipe_is_read_to_its_end(
    tmp_path: Path, ffmpeg: Any, heard_by_ffmpeg: Any, tones: Any, quality: tuple[Any, ...]
) -> None:
    path = tmp_path / "piped.mp3"
    path.write_bytes(ffmpeg("-i", tones(2, seconds=3), "-c:a", "libmp3lame", *quality, "-f", "mp3", "-"))
    expected = heard_by_ffmpeg(path, 2)
    assert expected.shape[1] >= 3 * (24000 if "48k" in quality else 44100)
    assert np.abs(opened(path) - expected).max() < 1e-6


def test_an_mp3_among_other_bytes_is_read_whole(
    tmp_path: Path, ffmpeg: Any, heard_by_ffmpeg: Any, tones: Any
) -> None:
    """It starts in the middle of a frame, has tags of every kind, and zeros at the end."""
    ffmpeg("-i", tones(2), "-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", 0, tmp_path / "a.mp3")
    bare = (tmp_path / "a.mp3").read_bytes()
    bare = bare[bare.index(b"\xff\xfb") :]
    frames = heard_by_ffmpeg(tmp_path / "a.mp3", 2).shape[1]
    id3 = b"ID3\x04\0\0\0\0\x20\0" + bytes(4096)
    ape = b"APETAGEX" + struct.pack("<II", 2000, 32) + bytes(16) + b"x" * 32
    id3v1 = b"TAG" + bytes(125)
    for name, content, lost in [
        ("tags.mp3", id3 + id3 + bare + ape + id3v1, 0),
        ("middle.mp3", bare[300:], 1152),
        ("zeros.mp3", bare + bytes(3000), 0),
    ]:
        (tmp_path / name).write_bytes(content)
        assert opened(tmp_path / name).shape[1] == frames - lost


@pytest.mark.skipif(shutil.which("lame") is None, reason="needs lame")
def test_an_mp3_of_free_format_is_read_where_it_says_how_long_it_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(1).standard_normal(44100), 44100)
    for name, options in (("tagged.mp3", []), ("bare.mp3", ["-t"])):
        lame = ["lame", "--quiet", "--freeformat", "-b", "400", *options]
        subprocess.run([*lame, tmp_path / "a.wav", tmp_path / name], check=True)
    with open_clip(tmp_path / "tagged.mp3") as clip:
        assert clip.frames == 44100
    with pytest.raises(InputError, match=r"free format.* lame --decode makes a WAV of it"):
        open_clip(tmp_path / "bare.mp3")


def test_joined_mp3s_are_read_to_the_end_of_the_last(
    tmp_path: Path, ffmpeg: Any, heard_by_ffmpeg: Any, tones: Any
) -> None:
    for name, quality in (("a.mp3", ("-b:a", "128k")), ("b.mp3", ("-q:a", 4))):
        ffmpeg("-i", tones(2, seconds=2), "-c:a", "libmp3lame", *quality, tmp_path / name)
    path = tmp_path / "joined.mp3"
    path.write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())
    heard = opened(path)
    assert heard.shape[1] >= 4 * 44100
    assert np.abs(heard - heard_by_ffmpeg(path, 2)).max() < 1e-6


def test_an_mp3_with_a_gapless_tag_has_the_length_of_its_source(
    tmp_path: Path, ffmpeg: Any, tones: Any
) -> None:
    ffmpeg("-i", tones(2), "-c:a", "libmp3lame", "-q:a", 0, tmp_path / "a.mp3")
    heard = opened(tmp_path / "a.mp3")
    original = soundfile.read(tones(2), dtype="float32")[0].T
    assert heard.shape == original.shape
    assert np.abs(heard - original)[:, 1000:-1000].max() < 0.01  # delay removed once, not twice


def test_an_mp3_joined_from_parts_without_lengths_is_read_part_by_part(
    tmp_path: Path, ffmpeg: Any, tones: Any
) -> None:
    """A tag between two parts is no damage, whichever part has a Xing frame."""
    mp3, id3v1 = ("-c:a", "libmp3lame", "-b:a", "128k"), b"TAG" + bytes(125)
    ffmpeg("-i", tones(2), *mp3, "-write_xing", 0, "-id3v2_version", 0, tmp_path / "bare.mp3")
    ffmpeg("-i", tones(2), *mp3, tmp_path / "tagged.mp3")
    bare, tagged = tmp_path / "bare.mp3", tmp_path / "tagged.mp3"
    alone = {part: opened(part) for part in (bare, tagged)}
    for order, between in (((bare, tagged), b""), ((bare, tagged, bare), id3v1), ((bare, bare), id3v1)):
        joined = tmp_path / "joined.mp3"
        joined.write_bytes(between.join(part.read_bytes() for part in order))
        expected, heard = np.concatenate([alone[part] for part in order], axis=1), opened(joined)
        assert abs(heard.shape[1] - expected.shape[1]) <= 1152
        assert np.abs(heard[:, :44100] - expected[:, :44100]).max() < 1e-6


UNLIKE = {
    "rate.mp3": ("libmp3lame", (2, 44100), (2, 48000)), "mono.mp3": ("libmp3lame", (2, 44100), (1, 44100)),
    "rate.aac": ("aac", (2, 44100), (2, 48000)), "five.ac3": ("ac3", (2, 48000), (6, 48000)),
    "rate.mp2": ("mp2", (2, 44100), (2, 48000)),
}  # fmt: skip


@pytest.mark.parametrize("name", UNLIKE)
def test_a_stream_that_changes_its_rate_or_its_speakers_is_refused(
    tmp_path: Path, ffmpeg: Any, tones: Any, name: str
) -> None:
    codec, *shapes = UNLIKE[name]
    path, content = tmp_path / name, b""
    for channels, rate in shapes:
        ffmpeg("-i", tones(channels, rate, 3), "-c:a", codec, path)
        content += path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name} (changes within the file|is joined) from .*split it there"):
        opened(path)


# 04: chains


@pytest.mark.parametrize(
    ("codec", "suffix", "rate"), [("libvorbis", "ogg", 44100), ("libopus", "opus", 48000)]
)
@pytest.mark.parametrize("serials", [(5, 99), (5, 5)])
def test_every_link_of_a_chain_is_heard_with_its_own_delay(
    tmp_path: Path, ffmpeg: Any, tones: Any, codec: str, suffix: str, rate: int, serials: tuple[int, int]
) -> None:
    links = []
    for number, serial in enumerate(serials):
        path = tmp_path / f"{number}.{suffix}"
        ffmpeg("-i", tones(2, rate, 2 + number), "-c:a", codec, "-serial_offset", serial, path)
        links.append(path)
    chain = tmp_path / f"chain.{suffix}"
    chain.write_bytes(b"".join(link.read_bytes() for link in links))
    heard = opened(chain)
    assert np.array_equal(heard, np.concatenate([opened(link) for link in links], axis=1))
    assert heard.shape[1] == 5 * rate


def test_a_chain_of_more_links_than_anybody_joins_is_refused_unheard(tmp_path: Path) -> None:
    page = b"OggS" + struct.pack("<BBqIII", 0, 2, 0, 7, 0, 0) + bytes(2)
    path = tmp_path / "c.ogg"
    path.write_bytes((page + page[:5] + b"\0" + page[6:]) * (LINKS_MAX + 1))
    with pytest.raises(InputError, match=f"joined from {LINKS_MAX + 1} streams; up to {LINKS_MAX}"):
        opened(path)


def test_a_chain_of_unlike_links_is_refused(tmp_path: Path, ffmpeg: Any, tones: Any) -> None:
    ffmpeg("-i", tones(2), "-c:a", "libvorbis", tmp_path / "a.ogg")
    ffmpeg("-i", tones(1, 48000), "-c:a", "libvorbis", tmp_path / "b.ogg")
    chain = tmp_path / "c.ogg"
    chain.write_bytes((tmp_path / "a.ogg").read_bytes() + (tmp_path / "b.ogg").read_bytes())
    with pytest.raises(InputError, match=r"c.ogg is joined from 44100 Hz, 2 channels, and 48000 Hz, 1 chan"):
        opened(chain)


# 12: FLAC


@pytest.mark.parametrize("frames", [1, 4096, 40000, 3 * 2**18])
def test_flac_from_a_pipe_is_read_whole(tmp_path: Path, ffmpeg: Any, frames: int) -> None:
    samples = RNG.integers(-9999, 9999, frames, np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 44100)
    path = tmp_path / "pipe.flac"
    path.write_bytes(ffmpeg("-i", tmp_path / "a.wav", "-c:a", "flac", "-f", "flac", "-"))
    assert np.array_equal(opened(path)[0], samples / np.float32(32768))


def test_joined_and_tagged_flac(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SPEECH.T, 44100, subtype="PCM_24")
    once, flac = opened(path), path.read_bytes()
    path.write_bytes(flac + flac)
    assert np.array_equal(opened(path), np.concatenate([once, once], axis=1))
    path.write_bytes(b"ID3\x04\0\0\0\0\x20\0" + bytes(4096) + flac + b"TAG" + bytes(125))
    assert np.array_equal(opened(path), once)


@pytest.mark.parametrize("share", [0.5, 1 / 88200])
def test_flac_that_counts_too_few_samples_is_read_to_its_end(
    tmp_path: Path, heard_by_ffmpeg: Any, share: float
) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.concatenate([SPEECH, SPEECH], axis=1).T, 44100, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    word = int.from_bytes(content[18:26], "big")
    content[18:26] = (word >> 36 << 36 | int(share * 88200)).to_bytes(8, "big")
    path.write_bytes(content)
    heard = opened(path)
    assert heard.shape == (1, 88200)
    assert np.array_equal(heard, heard_by_ffmpeg(path, 1))


@pytest.mark.parametrize("name", ["a.flac", "a.oga", "a.ogg", "a.opus"])
def test_an_id3_tag_before_joined_streams_hides_none(
    tmp_path: Path, ffmpeg: Any, tones: Any, name: str
) -> None:
    path = tmp_path / name
    codec = {"ogg": "libvorbis", "opus": "libopus"}.get(name[2:], "flac")
    ffmpeg("-i", tones(2, 48000, 2), "-c:a", codec, path)
    once, content = opened(path), path.read_bytes()
    path.write_bytes(b"ID3\x04\0\0\0\0\x20\0" + bytes(4096) + content + content)
    assert np.array_equal(opened(path), np.concatenate([once, once], axis=1))


def test_flac_that_holds_another_flac_in_a_block_is_one_stream(tmp_path: Path, ffmpeg: Any) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SPEECH.T, 44100, subtype="PCM_24")
    whole, content = opened(path), path.read_bytes()
    inside = b"ATCH" + content[:3000]
    path.write_bytes(content[:42] + b"\x02" + len(inside).to_bytes(3, "big") + inside + content[42:])
    assert np.array_equal(opened(path), whole)


# 13: recordings that were never finished


def pcm(path: Path, kind: str, subtype: str = "PCM_16") -> bytearray:
    soundfile.write(path, SPEECH.T, 22050, subtype=subtype, format=kind)
    return bytearray(path.read_bytes())


SIZES = [
    0,
    0xFFFFFFFF,
    0x7FFFFFFF,
    0x7F000000,
    2_000_000_000,
    0x7FFFFFFF - 44,
    88200 + 16,
    88200 + 36,
    88200 + 44,
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["WAV", "AU"])
def test_a_size_that_was_never_filled_in_or_counts_the_header_reads_to_the_end(
    tmp_path: Path, kind: str, size: int
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    content = pcm(path, kind)
    whole = opened(path)
    if kind == "WAV":
        at = content.index(b"data") + 4
        content[at : at + 4] = struct.pack("<I", size)
        content[4:8] = struct.pack("<I", 0)
    else:
        content[8:12] = struct.pack(">I", size)
    path.write_bytes(content)
    assert np.array_equal(opened(path), whole)


@pytest.mark.parametrize("size", [0, -1, 2_000_000_000])
def test_a_caf_w64_rf64_or_aifc_that_was_never_finished(tmp_path: Path, size: int) -> None:
    for kind in ("CAF", "W64", "RF64", "AIFF"):
        path = tmp_path / f"a.{kind.lower()}"
        content = pcm(path, kind)
        whole = opened(path)
        if kind == "CAF":
            at = content.index(b"data") + 4
            content[at : at + 8] = struct.pack(">q", size)
        elif kind == "W64":
            at = content.index(b"data\xf3\xac") + 16
            content[at : at + 8] = struct.pack("<q", size + 24 * (size > 0))
        elif kind == "RF64":
            content[28:36] = struct.pack("<q", size)
        else:
            at = content.index(b"SSND") + 4
            content[at : at + 4] = struct.pack(">I", size & 0xFFFFFFFF)
            frames = content.index(b"COMM") + 10
            content[frames : frames + 4] = bytes(4)
        path.write_bytes(content)
        assert np.array_equal(opened(path), whole), kind


@pytest.mark.parametrize("nbytes", [3, 4])
def test_nist_sphere_of_more_than_16_bits_is_read(tmp_path: Path, ffmpeg: Any, nbytes: int) -> None:
    """As sox writes it; libsndfile rejects it as an unknown compression."""
    ffmpeg("-version")
    samples = RNG.integers(-(2**23), 2**23, 5000, np.int32)
    fields = (
        f"sample_count -i 5000\nsample_n_bytes -i {nbytes}\nchannel_count -i 1\nsample_byte_format -s2 01\n"
    )
    head = f"NIST_1A\n   1024\n{fields}sample_rate -i 16000\nsample_coding -s3 pcm\nend_head\n".encode()
    wide = samples.astype("<i4") << (0 if nbytes == 3 else 8)
    data = wide.view(np.uint8).reshape(-1, 4)[:, :nbytes].tobytes()
    (tmp_path / "a.sph").write_bytes(head.ljust(1024, b"\0") + data)
    assert np.array_equal(opened(tmp_path / "a.sph")[0], samples / np.float32(2**23))


def test_a_wav_without_audio_but_with_words_is_empty_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    info = b"LIST" + struct.pack("<I", 16) + b"INFOICMT" + struct.pack("<I", 4) + b"hi\0\0"
    content = pcm(path, "WAV")[:40] + bytes(4) + info
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no audio"):
        open_clip(path)


@pytest.mark.parametrize("padded", [True, False])
def test_odd_chunks_before_the_audio(tmp_path: Path, padded: bool) -> None:
    path = tmp_path / "a.wav"
    content = pcm(path, "WAV")
    whole = opened(path)
    at = content.index(b"data")
    odd = b"note" + struct.pack("<I", 5) + b"odd 5" + b"\0" * padded
    path.write_bytes(content[:at] + odd + content[at:])
    assert np.array_equal(opened(path), whole)


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC"])
def test_a_real_shortfall_is_named_and_taken_when_asked(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    content = pcm(path, kind)
    whole = opened(path)
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match=r"promises 44100 frames, it holds \d+ \(--accept-truncated"):
        opened(path)
    with open_clip(path, tmp_path, accept_truncated=True) as clip:
        assert clip.shortfall is not None
        assert (clip.shortfall.promised, clip.shortfall.held) == (44100, clip.frames)
        assert 24000 < clip.frames < 30000
        assert np.array_equal(clip.read(0, clip.frames), whole[:, : clip.frames])


CUT = {
    "a.m4a": ("-c:a", "aac", "-movflags", "+faststart"), "a.mp3": ("-c:a", "libmp3lame"),
    "a.mka": ("-c:a", "libvorbis"), "a.wv": ("-c:a", "wavpack"), "a.tta": ("-c:a", "tta"),
    "a.ogg": ("-c:a", "libvorbis"), "a.opus": ("-c:a", "libopus"), "a.avi": ("-c:a", "mp3"),
    "6.flac": ("-c:a", "flac", "-ac", 6), "ms.wav": ("-c:a", "adpcm_ms"),
    "a.wma": ("-c:a", "wmav2"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_a_coded_file_that_was_cut_is_named_and_taken_when_asked(
    tmp_path: Path, ffmpeg: Any, tones: Any, name: str
) -> None:
    path = tmp_path / name
    ffmpeg("-i", tones(2, seconds=4), *CUT[name], path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3 + 13])
    with pytest.raises(InputError, match=rf"{name} is truncated.* \d+ .*--accept-truncated"):
        opened(path)
    with open_clip(path, tmp_path, accept_truncated=True) as clip:
        assert clip.shortfall is not None
        assert clip.shortfall.held == clip.frames > clip.rate // 2


def test_an_mp4_joined_to_another_is_named(tmp_path: Path, ffmpeg: Any, tones: Any) -> None:
    path = tmp_path / "a.m4a"
    ffmpeg("-i", tones(2), "-c:a", "alac", path)
    once, content = opened(path), path.read_bytes()
    path.write_bytes(content + content)
    with pytest.raises(InputError, match=f"another file follows at byte {len(content)};.*--accept-truncated"):
        opened(path)
    assert np.array_equal(opened(path, accept_truncated=True), once)


@pytest.mark.parametrize("name", ["a.mp3", "a.aac"])
def test_damage_in_the_middle_is_not_passed_over(tmp_path: Path, ffmpeg: Any, tones: Any, name: str) -> None:
    path = tmp_path / name
    ffmpeg("-i", tones(2, seconds=8), "-b:a", "128k", path)
    content = path.read_bytes()
    path.write_bytes(content[:30000] + RNG.bytes(3000) + content[33000:])
    with pytest.raises(InputError, match=f"{name} is truncated"):
        opened(path)


@pytest.mark.parametrize("name", ["a.flac", "a.mka", "a.wv", "a.tta"])
def test_one_wrong_bit_in_a_lossless_file_is_told(tmp_path: Path, ffmpeg: Any, tones: Any, name: str) -> None:
    """Its checksums show the error; ffmpeg returns such samples of FLAC as if nothing were wrong."""
    path = tmp_path / name
    codec = {"wv": "wavpack", "tta": "tta"}.get(name[2:], "flac")
    ffmpeg("-i", tones(2, seconds=2), "-c:a", codec, path)
    whole, content = opened(path), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is truncated.*--accept-truncated"):
        opened(path)
    with open_clip(path, tmp_path, accept_truncated=True) as clip:
        assert clip.shortfall is not None
        assert np.array_equal(clip.read(0, 22050), whole[:, :22050])


def test_an_ogg_file_that_lost_a_page_is_not_whole(tmp_path: Path, ffmpeg: Any, tones: Any) -> None:
    for name, codec in (("a.ogg", "libvorbis"), ("a.opus", "libopus"), ("a.oga", "flac")):
        path = tmp_path / name
        ffmpeg("-i", tones(2, 48000, 4), "-c:a", codec, path)
        content = path.read_bytes()
        pages = [match.start() for match in re.finditer(b"OggS", content)]
        middle = pages[len(pages) // 2]
        following = pages[len(pages) // 2 + 1]
        path.write_bytes(content[:middle] + content[following:])
        with pytest.raises(InputError, match="a part is missing: page"):
            opened(path)
        path.write_bytes(content[: middle + 200] + bytes(90) + content[middle + 290 :])
        with pytest.raises(InputError, match=f"{name} is truncated or damaged"):
            opened(path)
        path.write_bytes(content[: following - 90] + bytes(90) + content[following:])
        with pytest.raises(InputError, match=f"{name} is truncated or damaged: CRC mismatch"):
            opened(path)


def test_an_ogg_file_recorded_off_the_air_begins_where_it_begins(
    tmp_path: Path, ffmpeg: Any, tones: Any
) -> None:
    path = tmp_path / "a.ogg"
    ffmpeg("-i", tones(2, 48000, 8), "-c:a", "libvorbis", path)
    content = path.read_bytes()
    pages = [match.start() for match in re.finditer(b"OggS", content)]
    path.write_bytes(content[: pages[2]] + content[pages[len(pages) // 2] :])
    assert 1 < opened(path).shape[1] / 48000 < 7


def test_a_matroska_file_with_a_hole_is_not_whole(
    tmp_path: Path, ffmpeg: Any, tones: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mka"
    ffmpeg("-i", tones(2, seconds=30), "-c:a", "libvorbis", path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + RNG.bytes(900) + content[len(content) // 2 + 900 :])
    with pytest.raises(InputError, match=r"a\.mka is truncated"):
        opened(path)
    newer = tmp_path / "bin" / "ffmpeg"  # names its demuxers as ffmpeg 9 does
    newer.parent.mkdir()
    newer.write_text(
        f'#!/bin/bash\nset -o pipefail\nexec 3>&1\n{shutil.which("ffmpeg")} "$@" 2>&1 >&3 | '
        r"sed 's/^\[matroska,webm @/[in#0\/matroska,webm @/' >&2"
    )
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{newer.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(InputError, match=r"a\.mka is truncated"):
        opened(path)


# 14, 17: formats that libsndfile does not read; file names without meaning


OTHERS = {
    "mp2.wav": ("-c:a", "mp2"), "ac3.wav": ("-c:a", "ac3"), "wma.wav": ("-c:a", "wmav2"),
    "yamaha.wav": ("-c:a", "adpcm_yamaha"), "g726.wav": ("-ac", 1, "-ar", 8000, "-c:a", "g726"),
    "g723.wav": ("-ac", 1, "-ar", 8000, "-b:a", 6300, "-c:a", "g723_1"), "flac.oga": ("-c:a", "flac"),
    "448.opus": ("-ac", 6, "-c:a", "libopus", "-b:a", "448k"), "a.nut": ("-c:a", "pcm_s24le"),
    "a.mlp": ("-strict", -2, "-c:a", "mlp"), "a.loas": ("-c:a", "aac", "-f", "latm"), "a.adx": (),
    "a.swf": ("-c:a", "libmp3lame"), "a.wtv": ("-c:a", "mp2"), "blocks.voc": ("-c:a", "pcm_s16le"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_libsndfile_cannot_read_ffmpeg_does(
    tmp_path: Path, ffmpeg: Any, heard_by_ffmpeg: Any, tones: Any, name: str
) -> None:
    path = tmp_path / name
    ffmpeg("-i", tones(2), *OTHERS[name], path)
    samples = opened(path)
    assert np.abs(samples - heard_by_ffmpeg(path, len(samples))).max() < 1e-6


@pytest.mark.parametrize("name", ["mp2.wav", "ac3.wav", "wma.wav", "g726.wav", "a.wav"])
def test_a_coded_wav_from_a_pipe_is_read_to_its_end(
    tmp_path: Path, ffmpeg: Any, tones: Any, name: str
) -> None:
    path = tmp_path / name
    how = OTHERS.get(name, ("-c:a", "pcm_s64le"))
    ffmpeg("-i", tones(2), *how, path)
    whole, content = opened(path), bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert np.array_equal(opened(path), whole)


@pytest.mark.parametrize("name", ["take.raw", "take.pcm", "take.vox", "take"])
def test_a_file_is_known_by_its_content_whatever_its_name(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "a.wav", SPEECH.T, 44100, subtype="FLOAT")
    path = (tmp_path / "a.wav").rename(tmp_path / name)
    assert np.array_equal(opened(path), SPEECH)
    path.write_bytes(RNG.bytes(5000))
    raw = f"it has no header .*ffmpeg -f s16le .* -i {name} take.wav"
    why = raw if name in ("take.raw", "take.pcm") else "neither libsndfile nor FFmpeg knows its format"
    with pytest.raises(InputError, match=f"{name} is not audio that can be read: {why}"):
        opened(path)


def test_a_recording_without_its_index_is_named_as_unfinished(
    tmp_path: Path, ffmpeg: Any, tones: Any
) -> None:
    path = tmp_path / "phone.m4a"
    ffmpeg("-i", tones(2), "-c:a", "aac", path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(InputError, match=r"phone\.m4a .*: its index \(moov\).* never finished.* untrunc"):
        opened(path)


@pytest.mark.parametrize("seconds", [2.0, 2.05, 2.1])
def test_mp3_in_w64_is_read_whatever_its_length(
    tmp_path: Path, ffmpeg: Any, heard_by_ffmpeg: Any, tones: Any, seconds: float
) -> None:
    path = tmp_path / "a.w64"
    ffmpeg("-i", tones(2, seconds=seconds), "-c:a", "libmp3lame", "-q:a", 2, path)
    assert np.array_equal(opened(path), heard_by_ffmpeg(path, 2))


def test_a_count_of_mp3_packets_that_was_never_filled_in_is_none(
    tmp_path: Path, ffmpeg: Any, tones: Any
) -> None:
    path = tmp_path / "a.mp3"
    ffmpeg("-i", tones(2), "-c:a", "libmp3lame", path)
    content = bytearray(path.read_bytes())
    at = re.search(b"Xing|Info", content).end()  # type: ignore[union-attr]
    content[at + 4 : at + 12] = b"\xff" * 8
    path.write_bytes(content)
    assert opened(path).shape[1] >= 44100


@pytest.mark.parametrize("size", [4, 0, -1])
def test_a_caf_whose_size_was_never_filled_in_is_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.caf"
    soundfile.write(path, SPEECH.T, 44100, subtype="FLOAT", format="CAF")
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + struct.pack(">q", size) + content[at + 8 :])
    assert np.array_equal(opened(path), SPEECH)


def test_without_ffmpeg_the_error_says_what_would_help(
    tmp_path: Path, ffmpeg: Any, tones: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg("-i", tones(2), "-c:a", "libmp3lame", "-write_xing", 0, tmp_path / "a.mp3")
    ffmpeg("-i", tones(2), "-c:a", "libmp3lame", tmp_path / "xing.mp3")
    ffmpeg("-i", tones(6, seconds=5), "-c:a", "libvorbis", tmp_path / "a.ogg")
    ffmpeg("-i", tones(2), "-c:a", "aac", tmp_path / "a.m4a")
    with_ffmpeg = opened(tmp_path / "a.ogg")
    monkeypatch.setenv("PATH", "")
    for name in ("a.mp3", "a.m4a"):
        with pytest.raises(InputError, match=f"{name} .*install ffmpeg and put it on PATH"):
            opened(tmp_path / name)
    assert opened(tmp_path / "xing.mp3").shape == (2, 44100)
    assert np.abs(opened(tmp_path / "a.ogg") - with_ffmpeg).max() < 1e-3  # in the WAV order too


BROKEN = {
    "of another machine": ("\x7fELF", "cannot be run: "),
    "without its libraries": (
        "#!/bin/sh\necho 'libx264.so.164: cannot open' >&2\nexit 127",
        "libx264.so.164: cannot",
    ),
    "killed": ("#!/bin/sh\nkill -9 $$", "it was killed by signal 9"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_ffmpeg_that_does_not_run_is_told_and_does_without(
    tmp_path: Path, ffmpeg: Any, tones: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ffmpeg("-i", tones(2), "-c:a", "libvorbis", tmp_path / "a.ogg")
    ffmpeg("-i", tones(2), "-c:a", "aac", tmp_path / "a.m4a")
    program, reason = BROKEN[how]
    for name in ("ffmpeg", "ffprobe"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(program)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    assert opened(tmp_path / "a.ogg").shape == (2, 44100)
    with pytest.raises(InputError, match=rf"a\.m4a is not audio .*{re.escape(reason)}"):
        opened(tmp_path / "a.m4a")


# Streams, memory, cancelling


def test_a_stream_is_chosen_by_its_number(tmp_path: Path, ffmpeg: Any, tones: Any, order_of: Any) -> None:
    one, two = tones(1, name="one.wav"), tones(2, name="two.wav")
    path = tmp_path / "both.mka"
    ffmpeg("-i", one, "-i", two, "-map", "0:a", "-map", "1:a", "-c:a", "flac", path)
    assert opened(path).shape[0] == 1
    assert order_of(opened(path, stream=1), 44100) == [1, 2]
    with pytest.raises(InputError, match=r"^stream = 2: both\.mka has 2 audio streams, 0 to 1$"):
        opened(path, stream=2)
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.1:s=64x64", "-c:v", "mpeg4", tmp_path / "silent.mp4")
    with pytest.raises(InputError, match=r"^silent\.mp4 has no audio stream$"):
        opened(tmp_path / "silent.mp4")
    with pytest.raises(InputError, match=r"stream = 1: .* has one audio stream, which is 0"):
        opened(one, stream=1)


def test_decoding_is_cancelled_and_leaves_nothing(tmp_path: Path, ffmpeg: Any, tones: Any) -> None:
    path = tmp_path / "a.m4a"
    ffmpeg("-i", tones(2, seconds=30), "-c:a", "aac", path)
    calls = []

    def hook() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        opened(path, hook=hook)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith("airband-")] == []


@pytest.mark.skipif(os.name != "posix", reason="stops a process")
def test_a_cancel_is_heard_while_ffmpeg_says_nothing(
    tmp_path: Path, ffmpeg: Any, tones: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that is gone."""
    ffmpeg("-i", tones(2, seconds=30), "-c:a", "aac", tmp_path / "a.m4a")
    started: list[subprocess.Popen[bytes]] = []

    class Stopped(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **terms: Any) -> None:
            super().__init__(*args, **terms)
            os.kill(self.pid, signal.SIGSTOP)
            started.append(self)

    asked_s: list[float] = []

    def hook() -> None:
        if started:
            asked_s.append(time.monotonic())
        if len(asked_s) == 3:
            raise Cancelled("enough")

    monkeypatch.setattr(subprocess, "Popen", Stopped)
    with pytest.raises(Cancelled):
        opened(tmp_path / "a.m4a", hook=hook)
    assert started[-1].returncode is not None
    assert HOOK_S <= 0.5 / 2, "half of the time that a cancel may take"


def test_a_hook_is_called_at_least_every_second_of_audio(tmp_path: Path, ffmpeg: Any, tones: Any) -> None:
    path = tmp_path / "a.m4a"
    ffmpeg("-i", tones(2, seconds=30), "-c:a", "aac", path)
    calls: list[int] = []
    opened(path, hook=lambda: calls.append(1))
    assert len(calls) >= 10


SUBTYPES = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
PLAIN = [
    (kind, subtype, endian)
    for kind in ("WAV", "WAVEX", "W64", "RF64", "AIFF", "CAF", "AU")
    for subtype in SUBTYPES
    for endian in ("FILE", "LITTLE", "BIG")
    if soundfile.check_format(kind, subtype, endian)
]


@pytest.mark.parametrize(("kind", "subtype", "endian"), PLAIN)
def test_plain_pcm_is_read_in_place_bit_for_bit(tmp_path: Path, kind: str, subtype: str, endian: str) -> None:
    path = tmp_path / "a.bin"
    samples = (0.3 * RNG.standard_normal((3000, 3))).astype(np.float32)
    soundfile.write(path, samples, 48000, subtype, endian, kind)
    expected = soundfile.read(path, dtype="float32")[0].T
    with open_clip(path) as clip:
        assert isinstance(clip, FileClip)
        assert np.array_equal(clip.read(0, 3000), expected)
        assert np.array_equal(clip.read(2900, 200)[:, :100], expected[:, 2900:])


def test_bw64_is_read_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = pcm(path, "RF64")
    whole = opened(path)
    content[:4] = b"BW64"
    path.write_bytes(content)
    assert np.array_equal(opened(path), whole)


@pytest.mark.parametrize("room", [1000, 80_000])
def test_a_disk_without_room_for_what_is_decoded_is_named(tmp_path: Path, room: int) -> None:
    """Also where only the last samples find no room: a file smaller than the writer's buffer."""
    path = tmp_path / "a.flac"
    soundfile.write(path, SPEECH[0, : room // 3], 22050)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OutputError, match=r"a\.flac cannot be decoded here: .*4 bytes a sample"):
            open_clip(path, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_gives_no_more_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    pcm(path, "WAV")

    def broken(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with open_clip(path) as clip:
        monkeypatch.setattr("os.preadv", broken)
        with pytest.raises(InputError, match=r"a\.wav cannot be read: Input/output error"):
            clip.read(0, clip.frames)


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = pcm(path, "WAV")
    with open_clip(path) as clip:
        path.write_bytes(content[:1000])
        with pytest.raises(InputError, match=r"a\.wav became shorter while it was read"):
            clip.read(0, clip.frames)
