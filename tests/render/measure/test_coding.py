"""What coded files say about their encoding, and what an inspection reports of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from render.measure.coding import coding
from render.measure.facts import facts
from render.measure.inspect import inspect

pytestmark = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="needs ffmpeg and ffprobe"
)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Two seconds of noise, 24 bits that hold 16."""
    noise = 0.1 * np.random.default_rng(1).standard_normal(2 * 48000)
    soundfile.write(tmp_path / "in.wav", np.rint(noise * 2**15) / 2**15, 48000, "PCM_24")
    return tmp_path / "in.wav"


def encoded(wav: Path, name: str, *options: str) -> Path:
    made = wav.with_name(name)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(wav), *options, str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def test_lames_tag_tells_its_low_pass(wav: Path) -> None:
    samples, rate = soundfile.read(wav)
    made = wav.with_suffix(".mp3")
    soundfile.write(made, samples, rate, format="MP3", compression_level=0.9)
    told = coding(made)
    assert told is not None
    assert (told.codec, told.is_lossy) == ("MP3", True)
    assert told.encoder.startswith("LAME")
    seen = inspect(made)
    assert seen.codec == ("MP3",)
    assert seen.shelf_hz is not None
    assert told.low_pass_hz is not None
    assert told.low_pass_hz - 1500 < seen.shelf_hz <= told.low_pass_hz < 20000


def test_a_voice_codecs_packets_tell_their_band(wav: Path) -> None:
    made = encoded(
        wav, "call.opus", "-c:a", "libopus", "-b:a", "12k", "-application", "voip", "-cutoff", "8000"
    )
    told = coding(made)
    assert told is not None
    assert (told.codec, told.low_pass_hz) == ("Opus", 8000)
    assert dict(facts(inspect(made)))["codec"].startswith("Opus, ")
    music = coding(encoded(wav, "music.opus", "-c:a", "libopus", "-b:a", "96k"))
    assert music is not None
    assert music.low_pass_hz == 20000


def test_a_render_that_would_go_on_above_an_encoders_low_pass_is_told(
    wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoded(wav, "call.opus", "-c:a", "libopus", "-b:a", "96k", "-cutoff", "20000")
    monkeypatch.setattr("render.measure.coding.OPUS_HZ", {32: 8000.0})
    assert any("--cutoff 8000 is the encoder's word" in finding for finding in inspect(made).findings)


def test_what_ffmpeg_decodes_is_told_by_its_codec_and_its_bits(wav: Path) -> None:
    aac, alac = encoded(wav, "a.m4a", "-c:a", "aac", "-b:a", "96k"), encoded(wav, "b.m4a", "-c:a", "alac")
    assert inspect(aac).codec == ("AAC",)
    assert any("24 bits that hold 16" in finding for finding in inspect(alac).findings)
    assert coding(alac) is not None
    assert not coding(alac).is_lossy


def test_what_is_no_audio_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"\xff\xfb")
    assert coding(tmp_path / "a.mp3") is None
