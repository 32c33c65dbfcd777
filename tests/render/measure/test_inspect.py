"""What files really contain: synthetic files with known answers, and 200 from real encoders."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from presets.errors import InputError
from render.band.cutoff import find_cutoff
from render.clip import open_clip
from render.measure.inspect import Inspection, inspect

DEV = Path(__file__).parents[4] / "shared" / "eval" / "dev"
RATE = 48000
Samples = NDArray[np.float64]
Command = Callable[[str, str], list[str]]


def noise(seconds: float = 4, rate: int = RATE, below_hz: float = 1e9) -> Samples:
    frames = round(seconds * rate)
    bins = np.fft.rfft(0.1 * np.random.default_rng(1).standard_normal((2, frames)))
    bins[:, np.fft.rfftfreq(frames, 1 / rate) > below_hz] = 0
    return np.fft.irfft(bins, frames)


@pytest.fixture
def seen(tmp_path: Path) -> Callable[..., Inspection]:
    """`seen(samples, rate, subtype)`: the inspection of a WAV file with these samples."""

    def look(samples: Samples, rate: int = RATE, subtype: str = "FLOAT") -> Inspection:
        soundfile.write(tmp_path / "a.wav", samples.T, rate, subtype)
        return inspect(tmp_path / "a.wav")

    return look


def test_a_full_band_file_has_no_findings(seen: Callable[..., Inspection]) -> None:
    found = seen(noise())
    assert (found.findings, found.shelf_hz, found.codec) == ((), None, ())
    assert found.cutoff.hz is None
    assert all(hz > 23000 for _, hz in found.ends)
    assert found.seconds == 4


def test_the_cutoff_is_what_a_render_would_take(seen: Callable[..., Inspection], tmp_path: Path) -> None:
    found = seen(noise(below_hz=9000))
    with open_clip(tmp_path / "a.wav") as clip:
        assert found.cutoff == find_cutoff(clip, "auto")
    assert found.shelf_hz == pytest.approx(9000, abs=100)
    assert all(hz == pytest.approx(9000, abs=300) for _, hz in found.ends)


def test_the_band_is_told_over_time(seen: Callable[..., Inspection]) -> None:
    found = seen(np.concatenate([noise(below_hz=6000), noise(below_hz=12000)], axis=1))
    ends = dict(found.ends)
    assert ends[1.0] == pytest.approx(6000, abs=300)
    assert ends[6.0] == pytest.approx(12000, abs=500)


def test_16_bits_in_24_are_told(seen: Callable[..., Inspection]) -> None:
    coarse = np.rint(noise() * 2**15) / 2**15
    assert any("24 bits that hold 16" in text for text in seen(coarse, subtype="PCM_24").findings)
    assert seen(noise(), subtype="PCM_24").findings == ()


@pytest.mark.parametrize("made_from", [44100, 48000])
def test_a_high_rate_without_a_high_band_is_told(seen: Callable[..., Inspection], made_from: int) -> None:
    upsampled = soxr.resample(noise(rate=made_from).T, made_from, 96000, quality="VHQ").T
    told = " ".join(seen(upsampled, 96000, "PCM_24").findings)
    assert "made from a file at 44.1 or 48 kHz" in told
    assert seen(noise(rate=96000), 96000, "PCM_24").findings == ()


def test_what_a_high_rate_was_made_from_is_said_once(seen: Callable[..., Inspection]) -> None:
    told = seen(soxr.resample(noise(2, 16000).T, 16000, 96000, quality="VHQ").T, 96000).findings
    assert any("is where a file at 16000 Hz" in finding for finding in told)
    assert any("made from a file at a lower rate" in finding for finding in told)


@pytest.mark.parametrize("rate", [16000, 22050])
@pytest.mark.parametrize("quality", ["VHQ", "HQ"])
def test_a_file_that_was_at_a_lower_rate_is_told(
    seen: Callable[..., Inspection], rate: int, quality: str
) -> None:
    upsampled = soxr.resample(noise(2, rate).T, rate, RATE, quality=quality).T
    assert any(f"is where a file at {rate} Hz" in finding for finding in seen(upsampled).findings)
    assert not any("is where a file at" in finding for finding in seen(noise(2, rate), rate).findings)


def test_a_dull_sound_at_a_high_rate_is_not_said_to_be_made_from_a_lower_one(
    seen: Callable[..., Inspection],
) -> None:
    hiss = soxr.resample(0.002 * noise(rate=88200).T, 88200, 96000, quality="VHQ").T
    found = seen(noise(rate=96000, below_hz=8000) + hiss, 96000)
    assert found.cutoff.hz == pytest.approx(8000, rel=0.02)
    assert not any("made from a file" in text for text in found.findings)


def test_a_true_peak_above_full_scale_and_one_sided_stereo_are_told(seen: Callable[..., Inspection]) -> None:
    loud = noise()
    loud[1] = 0
    told = " ".join(seen(loud / np.abs(loud).max()).findings)
    assert "true peak" in told
    assert "one channel is silent" in told


def test_what_a_file_lacks_is_a_finding(seen: Callable[..., Inspection], tmp_path: Path) -> None:
    seen(noise(), subtype="PCM_16")
    path = tmp_path / "a.wav"
    path.write_bytes(path.read_bytes()[: -4 * RATE])
    found = inspect(path)
    assert found.findings == (
        f"breaks off or is damaged: its header promises {4 * RATE} frames, it holds {3 * RATE}",
    )
    assert found.seconds == 3


def test_silence_is_told_and_rubbish_is_one_error(seen: Callable[..., Inspection], tmp_path: Path) -> None:
    found = seen(np.zeros((2, RATE)))
    assert found.findings == ("both channels are the same: mono as stereo", "digital silence")
    assert (found.lufs, found.true_peak_dbtp) == (None, None)
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError):
        inspect(tmp_path / "b.wav")


def lame(*options: str) -> Command:
    return lambda source, made: ["lame", "--quiet", *options, source, made]


def ffmpeg(*options: str) -> Command:
    return lambda source, made: ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", source, *options, made]


ENCODERS: dict[str, tuple[str, Command]] = {
    **{f"LAME {k}": (".mp3", lame("-b", str(k))) for k in (32, 48, 64, 96, 128, 160, 192, 256, 320)},
    **{f"LAME V{k}": (".mp3", lame("-V", str(k))) for k in (0, 2, 5, 7)},
    **{f"ffmpeg MP3 {k}": (".mp3", ffmpeg("-c:a", "libmp3lame", "-b:a", f"{k}k")) for k in (64, 128, 320)},
    **{f"AAC {k}": (".m4a", ffmpeg("-c:a", "aac", "-b:a", f"{k}k")) for k in (48, 64, 96, 128, 192)},
    **{f"Opus {k}": (".opus", ffmpeg("-c:a", "libopus", "-b:a", f"{k}k")) for k in (16, 24, 32, 64, 128)},
    **{f"Vorbis q{k}": (".ogg", ffmpeg("-c:a", "libvorbis", "-q:a", str(k))) for k in (0, 3, 6)},
}
needs_encoders = pytest.mark.skipif(
    not (DEV.exists() and shutil.which("ffmpeg") and shutil.which("lame")),
    reason="needs ffmpeg, lame and the evaluation clips beside this checkout",
)


def full_band_clips() -> list[Path]:
    """The evaluation clips whose own band ends above 21 kHz by their manifest."""
    with (DEV / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if float(row["eff_bw_hz"]) >= 21000]
    return [DEV / row["file"].split("/", 1)[1] for row in rows]


def encoded(source: Path, encoder: str, folder: Path) -> tuple[Path, Path]:
    """A clip as a 16-bit WAV, and a WAV of the encoded clip, whose name does not give the codec away."""
    wav = folder / f"{source.stem}.wav"
    samples, rate = soundfile.read(source)
    soundfile.write(wav, samples, rate, "PCM_16")
    suffix, command = ENCODERS[encoder]
    made = folder / f"{source.stem}{suffix}"
    subprocess.run(command(str(wav), str(made)), check=True, capture_output=True)
    decoded = folder / f"{source.stem}.decoded.wav"
    subprocess.run(ffmpeg("-c:a", "pcm_f32le")(str(made), str(decoded)), check=True, capture_output=True)
    return wav, decoded


def bands(mono: Samples, rate: int) -> tuple[Samples, float]:
    """(frames, bands) mean power per bin in bands near 120 Hz wide, and their width."""
    window = np.hanning(2049)[:-1]
    framed = np.lib.stride_tricks.sliding_window_view(mono, 2048)[::512]
    power = np.abs(np.fft.rfft(framed * window)) ** 2 * (4 / window.sum() ** 2)
    group = max(1, round(120 * 2048 / rate))
    kept = power.shape[1] // group * group
    return power[:, :kept].reshape(len(power), -1, group).mean(axis=2), group * rate / 2048


def true_shelf_hz(wav: Path, made: Path) -> float:
    """Up to where the encoder kept the clip: the highest band within 6 dB of the source, alone and together
    with its neighbours. Each band counts in the tenth of the frames where the source is loudest there, and
    the source must be above 16-bit dither in all three. (Three bands in a row, each within 6 dB, stop too
    early: single bands stray by some dB, and an encoder may be 5 dB down long before its shelf.)"""
    given, given_rate = soundfile.read(wav, always_2d=True)
    with open_clip(made) as clip:
        kept, rate = clip.read(0, clip.frames).sum(axis=0).astype(float), clip.rate
    given = soxr.resample(given.sum(axis=1), given_rate, rate, quality="VHQ")
    span = min(len(given), len(kept))
    match = np.fft.irfft(np.fft.rfft(kept[:span], 2 * span) * np.conj(np.fft.rfft(given[:span], 2 * span)))
    lag = int(np.argmax(np.abs(match)))
    lag = lag if lag < span else lag - 2 * span
    given, kept = (given, kept[lag:]) if lag > 0 else (given[-lag:], kept)
    span = min(len(given), len(kept))
    (before, width_hz), (after, _) = bands(given[:span], rate), bands(kept[:span], rate)
    levels, held = np.zeros(before.shape[1]), np.zeros(before.shape[1])
    for band in range(before.shape[1]):
        loud = np.argsort(before[:, band])[::-1][: max(4, len(before) // 10)]
        levels[band], held[band] = before[loud, band].mean(), after[loud, band].mean()

    def three(values: Samples) -> Samples:
        return np.convolve(values, np.ones(3), "same")

    audible = three((levels > 10**-13.2).astype(float)) > 2.5
    kept = audible & (held > levels * 10**-0.6) & (three(held) > three(levels) * 10**-0.6)
    return float((np.flatnonzero(kept)[-1] + 1) * width_hz)


def error_hz(source: Path, encoder: str, folder: Path) -> tuple[float, Inspection]:
    """The shelf found minus the true one, Hz; 0 where there is none and none below 20.4 kHz was found."""
    wav, made = encoded(source, encoder, folder)
    found = inspect(made)
    truth = min(true_shelf_hz(wav, made), found.rate / 2)
    shelf = found.shelf_hz if found.shelf_hz is not None else found.rate / 2
    return (0.0 if truth > 20500 and shelf > 20400 else shelf - truth), found


def names_it(found: Inspection, encoder: str, first: bool = False) -> bool:
    """Whether an inspection names the codec; with `first`, as the first."""
    family = "MP3" if "MP3" in encoder or "LAME" in encoder else encoder.split()[0]
    return any(name.startswith(family) for name in found.codec[: 1 if first else None])


@needs_encoders
@pytest.mark.parametrize("encoder", ["LAME 128", "AAC 96", "Opus 64", "Vorbis q3"])
def test_a_codecs_shelf_is_found(encoder: str, tmp_path: Path) -> None:
    off, found = error_hz(DEV / "music" / "apollo_32khz_sample3.flac", encoder, tmp_path)
    assert abs(off) <= 500
    assert names_it(found, encoder) or encoder == "Vorbis q3"  # the shelf found is the music's own end
    assert found.cutoff.hz is None or found.cutoff.hz <= 1.02 * (found.shelf_hz or 0)


@needs_encoders
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_shelf_of_200_encoded_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, names = full_band_clips(), list(ENCODERS)
    order = np.random.default_rng(0).permutation(len(clips))
    off: dict[str, list[float]] = defaultdict(list)
    misses: list[Any] = []
    named = []
    for number in range(200):
        source, encoder = clips[order[number % len(clips)]], names[number % len(names)]
        folder = tmp_path / str(number)
        folder.mkdir()
        error, found = error_hz(source, encoder, folder)
        off[encoder].append(error)
        if found.codec:
            named.append((names_it(found, encoder), names_it(found, encoder, first=True)))
        if abs(error) > 500 or error > 250:
            misses.append((encoder, source.name, round(error), found.shelf_hz, found.cutoff.hz))
        shutil.rmtree(folder)
    everything = np.concatenate([off[name] for name in names])
    with capsys.disabled():
        for name in names:
            errors = np.array(off[name])
            within = int(np.sum(np.abs(errors) <= 500))
            print(f"| {name} | {len(errors)} | {within} | {np.median(errors):+.0f} | {errors.max():+.0f} |")
        print(np.mean(np.abs(everything) <= 500), int(np.sum(everything > 250)))
        print("codec among those named, first of them:", *np.mean(named, axis=0), "of", len(named))
        print(*misses, sep="\n")
    assert len(everything) == 200
    assert np.mean(np.abs(everything) <= 500) >= 0.9
    assert np.mean(everything > 250) <= 0.01  # one of 200, see render/measure/README.md
