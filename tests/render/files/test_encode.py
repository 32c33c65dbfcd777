from __future__ import annotations

import resource
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from presets.errors import OutputError, RenderError, UsageError
from presets.schema import Preset, make
from render.clip import ArrayClip, open_clip
from render.files.carried.chunks import Chunk, read_chunks
from render.files.carried.metadata import Metadata, read
from render.files.carried.tags import Tags
from render.files.encode import STRETCH_FRAMES, Encoding, encode, encoding, quantised
from render.files.headers import wav_header


def tone(frames: int = 60000, channels: int = 2, level: float = 0.3, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.uniform(-1, 1, (channels, frames))).astype(np.float32)


def write(samples: np.ndarray, path: Path, bits: int = 32, rate: int = 48000, **knobs: Any) -> np.ndarray:
    """Encodes `samples` to `path` and reads the file back as (channels, frames) float64."""
    suffix = {"wav": "wav", "flac": "flac", "aiff": "aiff"}[path.suffix[1:]]
    encode(ArrayClip(samples, rate), path, Encoding(suffix, bits), make(**knobs))  # type: ignore[arg-type]
    data, read_rate = soundfile.read(path, always_2d=True)
    assert read_rate == rate
    return np.asarray(data.T)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [44100, 96000])
def test_float_files_hold_every_bit(tmp_path: Path, suffix: str, channels: int, rate: int) -> None:
    samples = tone(channels=channels, level=3.0)
    assert np.array_equal(write(samples, tmp_path / f"a.{suffix}", rate=rate), samples)


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "PCM_24"), ("flac", "PCM_24"), ("aiff", "PCM_24")])
def test_integer_files_are_within_dither_and_rounding(tmp_path: Path, suffix: str, subtype: str) -> None:
    samples = tone()
    error = write(samples, tmp_path / f"a.{suffix}", 24) - samples
    assert soundfile.info(tmp_path / f"a.{suffix}").subtype == subtype
    assert np.abs(error).max() <= 1.5 * 2.0**-23


def test_tpdf_dither_makes_the_error_white_and_level_independent(tmp_path: Path) -> None:
    """Lipshitz et al.: with TPDF the total error has a variance of LSB^2 / 4 whatever the signal."""
    t = np.arange(480000) / 48000
    for level_lsb in (0.3, 0.9, 40.0):
        samples = (level_lsb / 32768 * np.sin(2 * np.pi * 440.1 * t))[None].astype(np.float32)
        error = (write(samples, tmp_path / "a.wav", 16) - samples)[0] * 32768
        assert abs(error.mean()) < 0.01
        assert error.var() == pytest.approx(0.25, rel=0.02)


def test_a_tone_below_one_step_survives_dither_and_dies_without(tmp_path: Path) -> None:
    t = np.arange(480000) / 48000
    samples = (0.4 / 32768 * np.sin(2 * np.pi * 1000 * t))[None].astype(np.float32)
    kept = write(samples, tmp_path / "kept.wav", 16)[0]
    level = 2 * abs(np.mean(kept * np.exp(-2j * np.pi * 1000 * t))) * 32768
    assert level == pytest.approx(0.4, abs=0.02)
    assert not write(samples, tmp_path / "lost.wav", 16, dither="none").any()


def test_silence_stays_silence_and_bits_that_fit_are_kept(tmp_path: Path) -> None:
    grid = np.rint(tone() * 32768).astype(np.float32) / 32768
    grid[:, 20000:30000] = 0
    assert np.array_equal(write(grid, tmp_path / "a.wav", 16), grid)
    assert np.array_equal(write(grid, tmp_path / "b.flac", 24), grid)
    mixed = grid + 0
    mixed[:, 40000] += 0.4 / 32768
    back = write(mixed, tmp_path / "c.wav", 16)
    changed = np.flatnonzero((back != grid).any(axis=0))
    assert changed.min() // STRETCH_FRAMES == changed.max() // STRETCH_FRAMES == 40000 // STRETCH_FRAMES


def test_dither_follows_the_seed_and_nothing_else(tmp_path: Path) -> None:
    samples = tone(100_000)
    first, again, other = (
        write(samples, tmp_path / f"{n}.wav", 16, seed=seed) for n, seed in enumerate((1, 1, 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (tmp_path / "0.wav").read_bytes() == (tmp_path / "1.wav").read_bytes()


def test_dither_does_not_depend_on_the_block_size() -> None:
    block = tone(3 * STRETCH_FRAMES).T
    whole = quantised(block, 16, np.random.Generator(np.random.Philox(key=3)))
    rng = np.random.Generator(np.random.Philox(key=3))
    parts = [quantised(part, 16, rng) for part in np.split(block, 3)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_a_float_wav_has_what_readers_expect_of_one(tmp_path: Path) -> None:
    """Microsoft: any format but integer PCM has a `cbSize` and a `fact` chunk with the number of frames."""
    write(tone(channels=1), tmp_path / "a.wav")
    head = (tmp_path / "a.wav").read_bytes()[:58]
    assert struct.unpack_from("<4sIHHIIHHH", head, 12) == (b"fmt ", 18, 3, 1, 48000, 192000, 4, 32, 0)
    assert struct.unpack_from("<4sII4sI", head, 38) == (b"fact", 4, 60000, b"data", 240000)


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac"])
@pytest.mark.parametrize(
    "mask", [0x7, 0x107, 0x33, 0x607, 0x3F, 0x60F, 0x707, 0x70F, 0x63F, 0xFF, 0x8, 0x600, 0]
)
def test_speakers_are_told_and_read_again(tmp_path: Path, name: str, mask: int) -> None:
    samples = tone(1000, mask.bit_count() or 6)
    how = encoding(Preset(), "", name)
    encode(ArrayClip(samples, 48000), tmp_path / name, how, make(dither="none"), mask=mask)
    with open_clip(tmp_path / name) as clip:
        assert clip.mask == mask or (name == "a.flac" and not mask)
        assert np.abs(clip.read(0, 1000) - samples).max() < 2.0**-22
    if shutil.which("ffprobe") is None:
        return
    shown = ["-show_entries", "stream=channel_layout", "-of", "csv=p=0"]
    told = subprocess.run(["ffprobe", "-v", "error", *shown, tmp_path / name], capture_output=True, text=True)
    layouts = {0x7: "3.0", 0x107: "4.0", 0x33: "quad", 0x607: "5.0(side)", 0x3F: "5.1", 0x60F: "5.1(side)",
               0x707: "6.0", 0x70F: "6.1", 0x63F: "7.1", 0xFF: "7.1(wide)",
               0x8: "1 channels (LFE)", 0x600: "2 channels (SL+SR)"}  # fmt: skip
    if mask or name != "a.flac":
        assert told.stdout.strip() == layouts.get(mask, "unknown")


@pytest.mark.parametrize(("bits", "suffix"), [(16, "wav"), (24, "flac"), (24, "aiff")])
def test_integer_delivery_that_would_clip_names_the_peak_and_the_ways_out(
    tmp_path: Path, bits: int, suffix: str
) -> None:
    samples = tone()
    samples[1, 50000] = 1.2589254
    with pytest.raises(OutputError, match=r"\+2\.00 dBFS.*--bit-depth 32.*--high-gain-db.*--clip"):
        write(samples, tmp_path / f"a.{suffix}", bits)
    clipped = write(samples, tmp_path / f"a.{suffix}", bits, delivery={"clip": True})
    assert clipped[1, 50000] == 1 - 2.0 ** (1 - bits)


def test_full_scale_itself_is_no_over(tmp_path: Path) -> None:
    samples = tone()
    samples[0, 0], samples[0, 1] = 1, -1
    back = write(samples, tmp_path / "a.wav", 24)
    assert back[0, 0] >= 1 - 2.0**-22
    assert back[0, 1] <= -1 + 2.0**-22


def test_a_sample_that_is_not_finite_is_an_error_with_its_place(tmp_path: Path) -> None:
    class Broken:
        rate, channels, frames = 48000, 1, 100_000

        def read(self, start: int, frames: int) -> np.ndarray:
            block = np.zeros((1, frames), np.float32)
            block[:, start == 48000] = np.nan
            return block

    with pytest.raises(RenderError, match="frame 48000"):
        encode(Broken(), tmp_path / "a.wav", Encoding("wav", 32), Preset())


@pytest.mark.parametrize(
    ("knobs", "source", "out", "expected"),
    [
        ({}, "a.wav", None, Encoding("wav", 32)),
        ({}, "a.FLAC", None, Encoding("flac", 24)),
        ({}, "a.aif", None, Encoding("aiff", 32)),
        ({}, "a.mp3", None, Encoding("wav", 32)),
        ({}, "", None, Encoding("wav", 32)),
        ({}, "a.wav", "b.flac", Encoding("flac", 24)),
        ({"format": "flac", "bit_depth": 16}, "a.wav", None, Encoding("flac", 16)),
        ({"format": "wav", "bit_depth": 24}, "a.mp3", "b.wave", Encoding("wav", 24)),
    ],
)
def test_format_follows_preset_then_destination_then_source(
    knobs: dict[str, Any], source: str, out: str | None, expected: Encoding
) -> None:
    assert encoding(make(**knobs), source, out) == expected


@pytest.mark.parametrize(
    ("knobs", "out", "message"),
    [
        ({"format": "wav"}, "b.flac", "the suffix says flac, format says wav"),
        ({}, "b.mp3", "results end in .wav"),
        ({}, "b", "results end in .wav"),
        ({"bit_depth": 32}, "b.flac", "flac holds 16 or 24 bits"),
    ],
)
def test_an_encoding_that_cannot_be_is_refused(knobs: dict[str, Any], out: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encoding(make(**knobs), "a.wav", out)


def test_chunks_reach_wav_and_tags_reach_the_others(tmp_path: Path) -> None:
    ixml = Chunk(b"iXML", b"<BWFXML/>")
    tags = Tags((("TITLE", "Dawn"), ("COMMENT", "by Airband")))
    carried = Metadata(tags=tags, for_wave=(ixml,))
    clip = ArrayClip(tone(), 48000)
    encode(clip, tmp_path / "a.wav", Encoding("wav", 32), Preset(), carried)
    assert ixml in read_chunks(tmp_path / "a.wav").chunks
    for path, how in ((tmp_path / "a.flac", Encoding("flac", 24)), (tmp_path / "a.wav", Encoding("wav", 32))):
        encoded = encode(clip, path, how, Preset(), carried)
        with soundfile.SoundFile(path) as file:
            assert (file.title, file.comment) == ("Dawn", "by Airband")
            assert file.frames == clip.frames
        assert encoded.nbytes == path.stat().st_size


class Endless:
    """A clip of silence of any stated length."""

    rate, channels = 48000, 2

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def read(self, start: int, frames: int) -> np.ndarray:
        return np.zeros((2, frames), np.float32)


def test_more_than_the_disk_holds_is_refused_before_a_sample_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(OutputError, match=r"no room: .* MB are needed"):
        encode(Endless(2**45), path, Encoding("wav", 32), Preset())
    assert not path.exists()


def test_aiff_beyond_its_size_field_says_what_holds_it(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="do not fit an AIFF file; take wav"):
        encode(Endless(2**29), tmp_path / "a.aiff", Encoding("aiff", 32), Preset())


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Limits files to 64 kB: writing past that fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("how", [Encoding("wav", 32), Encoding("flac", 24), Encoding("aiff", 16)])
@pytest.mark.usefixtures("small_disk")
def test_a_write_that_fails_midway_is_one_error(tmp_path: Path, how: Encoding) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        encode(ArrayClip(tone(), 48000), tmp_path / f"a{how.suffix}", how, Preset())


@pytest.mark.large
def test_rf64_beyond_4_gb(tmp_path: Path) -> None:
    frames = 2**32 // 8 + 48000
    encode(Endless(frames), tmp_path / "a.wav", Encoding("wav", 32), Preset())
    said = soundfile.info(tmp_path / "a.wav")
    assert (said.format, said.frames) == ("RF64", frames)


AMBISONIC = bytes.fromhex("00002107d3118644c8c1ca000000")
"""The last bytes of the GUID SUBTYPE_AMBISONIC_B_FORMAT_PCM, shared with that of floats."""


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("channels", [2, 4])
def test_ambisonics_stay_ambisonics(tmp_path: Path, bits: int, channels: int) -> None:
    source, stem = tmp_path / "b.wav", tmp_path / "out.wav"
    samples = tone(1000, channels)
    head = wav_header(1000, channels, 48000, 32, 0, long=False, wording=AMBISONIC)
    source.write_bytes(head + samples.T.astype("<f4").tobytes())
    said = read(source)
    encode(ArrayClip(samples, 48000), stem, Encoding("wav", bits), make(), said)
    (about,) = (chunk for chunk in read_chunks(stem).chunks if chunk.name == b"fmt ")
    assert isinstance(about, Chunk)
    assert about.body[24:] == struct.pack("<H", 3 if bits == 32 else 1) + AMBISONIC
    np.testing.assert_allclose(soundfile.read(stem, always_2d=True)[0].T, samples, atol=3 * 2.0**-23)
    assert said.left_out("wav") == ()
    assert said.left_out("flac") == ("subformat",)


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_aiff_c_of_little_endian_integers_stays_that(tmp_path: Path, bits: int) -> None:
    source, stem = tmp_path / "a.aif", tmp_path / "out.aiff"
    soundfile.write(source, np.zeros(100), 48000, "PCM_16", "LITTLE", "AIFF")
    samples = tone(1000)
    encode(ArrayClip(samples, 48000), stem, Encoding("aiff", bits), make(), read(source))
    found = read_chunks(stem)
    (about,) = (chunk for chunk in found.chunks if chunk.name == b"COMM")
    assert isinstance(about, Chunk)
    assert (found.form, about.body[18:22]) == (b"AIFC", b"fl32" if bits == 32 else b"sowt")
    step = 2.0 ** (1 - min(bits, 24))
    np.testing.assert_allclose(soundfile.read(stem, always_2d=True)[0].T, samples, atol=1.5 * step)
    with open_clip(stem) as clip:
        np.testing.assert_allclose(clip.read(0, 1000), samples, atol=1.5 * step)
