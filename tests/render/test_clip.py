from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from presets.errors import InputError
from render.clip import ArrayClip, FileClip, PcmClip, open_clip

RNG = np.random.default_rng(5)
STEREO = (0.2 * RNG.standard_normal((2, 30000))).astype(np.float32)

FORMATS = [
    ("a.wav", "FLOAT"), ("b.wav", "PCM_16"), ("c.wav", "PCM_24"), ("d.flac", "PCM_24"), ("e.aiff", "PCM_24"),
    ("f.ogg", "VORBIS"), ("g.ogg", "OPUS"), ("h.mp3", "MPEG_LAYER_III"), ("i.wav", "MS_ADPCM"),
    ("j.caf", "ALAC_24"), ("k.w64", "PCM_16"), ("l.rf64", "PCM_24"), ("m.au", "ULAW"),
]  # fmt: skip


CODED = ("VORBIS", "OPUS", "MPEG_LAYER_III", "MS_ADPCM")
"""Decoders of these codecs differ by rounding."""


def write(path: Path, samples: np.ndarray = STEREO, rate: int = 48000, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples.T, rate, subtype=subtype)
    return path


def test_reads_what_is_there_and_zeros_around_it() -> None:
    clip = ArrayClip(STEREO, 48000)
    around = clip.read(-3, 8)
    assert not around[:, :3].any()
    assert np.array_equal(around[:, 3:], STEREO[:, :5])
    assert np.array_equal(clip.read(29999, 3)[:, :1], STEREO[:, -1:])
    assert not clip.read(29999, 3)[:, 1:].any()
    assert not clip.read(50000, 4).any()
    assert not clip.read(-9, 4).any()
    assert clip.read(7, 0).shape == (2, 0)


def test_one_dimension_is_one_channel() -> None:
    clip = ArrayClip(STEREO[0].astype(np.float64), 44100)
    assert (clip.channels, clip.frames, clip.rate) == (1, 30000, 44100)
    assert clip.read(0, 9).dtype == np.float32


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        (np.zeros((9, 10)), 48000, "9 channels; 1 to 8"),
        (np.zeros((0, 10)), 48000, "0 channels; 1 to 8"),
        (np.zeros((2, 0)), 48000, "0 frames"),
        (np.zeros((1, 10)), 3999, "3999 Hz is outside 4000 to 384000 Hz"),
        (np.zeros((1, 10)), 384001, "384001 Hz is outside"),
        (np.array([[0, np.nan]]), 48000, "1 samples after frame 0 are NaN or infinite"),
        (np.array([[0, -np.inf]]), 48000, "NaN or infinite"),
        (np.array([[0, -16.5]]), 48000, "16.5 after frame 0 is beyond"),
        (np.zeros((1, 10), np.int16), 48000, "int16"),
        (np.zeros((1, 2, 3)), 48000, "shape"),
    ],
)
def test_refuses_an_array_beyond_the_limits(samples: np.ndarray, rate: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        ArrayClip(samples, rate)


def test_takes_what_is_just_within_the_limits() -> None:
    assert ArrayClip(np.full((8, 1), 16.0), 384000).channels == 8
    assert ArrayClip(np.zeros(1), 4000).frames == 1


@pytest.mark.parametrize(("name", "subtype"), FORMATS)
def test_random_access_equals_decoding_from_the_start(tmp_path: Path, name: str, subtype: str) -> None:
    path = write(tmp_path / name, subtype=subtype)
    whole, rate = soundfile.read(path, dtype="float32", always_2d=True)
    with open_clip(path) as clip:
        assert (clip.rate, clip.channels, clip.frames) == (rate, 2, len(whole))
        for start in (20011, 0, 29000, 1, 10000, 4096):
            expected = np.pad(whole.T, ((0, 0), (0, 2000)))[:, start : start + 2000]
            assert np.abs(clip.read(start, 2000) - expected).max() < (0.03 if subtype in CODED else 1e-9)


def test_reads_a_file_that_does_not_seek(tmp_path: Path) -> None:
    path = tmp_path / "phone.wav"
    soundfile.write(path, STEREO[0], 8000, subtype="GSM610")
    with open_clip(path) as clip:
        assert clip.frames >= 30000
        assert np.array_equal(clip.read(9000, 50), clip.read(8990, 60)[:, 10:])
        assert clip.read(0, 30000).any()


def test_a_decoded_copy_lives_in_the_scratch_folder_and_only_while_open(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ogg", subtype="VORBIS")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_clip(path, scratch) as clip:
        assert isinstance(clip, PcmClip)
        assert len(list(scratch.iterdir())) == 1
    assert not list(scratch.iterdir())
    assert path.exists()


def test_a_file_that_is_read_in_place_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    with open_clip(path) as clip:
        assert isinstance(clip, FileClip)
    assert path.exists()


@pytest.mark.parametrize("name", ["a.wav", "b.flac", "c.aiff", "d.mp3", "e.rf64", "f.w64", "g.caf", "h.au"])
def test_says_that_a_file_is_truncated(tmp_path: Path, name: str) -> None:
    subtype = "MPEG_LAYER_III" if name.endswith("mp3") else "PCM_16"
    path = write(tmp_path / name, subtype=subtype)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=f"{name} is truncated"), open_clip(path, tmp_path) as clip:
        clip.read(0, clip.frames)
    assert not list(tmp_path.glob("airband-*"))


def test_takes_a_wav_from_a_pipe_whose_header_holds_no_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data")
    content[4:8] = content[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with open_clip(path) as clip:
        assert clip.frames == 30000


@pytest.mark.parametrize("value", [np.nan, np.inf, 17.0])
@pytest.mark.parametrize("suffix", ["wav", "caf"])
def test_refuses_a_file_with_samples_beyond_the_limits(tmp_path: Path, value: float, suffix: str) -> None:
    samples = STEREO.copy()
    samples[1, 20000] = value
    path = write(tmp_path / f"bad.{suffix}", samples)
    with open_clip(path) as clip:
        assert clip.read(0, 20000).any()
        with pytest.raises(InputError, match=rf"bad.{suffix}: .* after frame 19000"):
            clip.read(19000, 2000)


def test_refuses_a_file_of_nine_channels(tmp_path: Path) -> None:
    path = write(tmp_path / "nine.wav", np.zeros((9, 100), np.float32))
    with pytest.raises(InputError, match=r"nine.wav: 9 channels; 1 to 8"):
        open_clip(path)


def test_refuses_a_file_without_frames_a_rate_too_low_and_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no audio"):
        open_clip(write(tmp_path / "a.wav", np.zeros((1, 0), np.float32)))
    with pytest.raises(InputError, match="2000 Hz is outside"):
        open_clip(write(tmp_path / "b.wav", rate=2000))
    (tmp_path / "c.wav").touch()
    with pytest.raises(InputError, match="is empty"):
        open_clip(tmp_path / "c.wav")
    with pytest.raises(InputError, match="no such file"):
        open_clip(tmp_path / "d.wav")
    with pytest.raises(InputError, match="is not a file"):
        open_clip(tmp_path)


@pytest.mark.parametrize("content", [b"Dear diary, " * 500, bytes(5000), b"RIFF\x00\x10\x00\x00WAVE"])
def test_refuses_what_is_not_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.txt"):
        open_clip(path, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_reads_m4a_through_ffmpeg(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    wav = tmp_path / "tone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000)
    soundfile.write(wav, tone, 48000, subtype="FLOAT")
    m4a = tmp_path / "tone.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, "-c:a", "alac", m4a], check=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_clip(m4a, scratch) as clip:
        assert (clip.rate, clip.channels, clip.frames) == (48000, 1, 48000)
        assert np.abs(clip.read(0, 48000) - tone).max() < 1e-4
    assert not list(scratch.iterdir())


def test_says_that_ffmpeg_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(3000))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="install ffmpeg and put it on PATH"):
        open_clip(path)


def test_ffmpeg_follows_no_playlist(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    write(tmp_path / "secret.wav")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match=r"list\.m3u8 is not audio.*: neither libsndfile nor FFmpeg"):
        open_clip(playlist, tmp_path)


def test_raw_pcm_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "a.f32"
    path.write_bytes(STEREO.T.astype("<f4").tobytes())
    clip = PcmClip(path, 48000, 2)
    assert clip.frames == 30000
    assert np.array_equal(clip.read(-1, 30002)[:, 1:-1], STEREO)
    clip.close()
    assert path.exists()
