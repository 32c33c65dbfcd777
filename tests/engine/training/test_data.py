from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from scipy import signal

from engine.training.data import Corpus, band_edge_hz, pack, sources
from presets.errors import InputError


def write(path: Path, seconds: float, seed: int, rate: int = 48000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    sf.write(
        path, (rng.standard_normal(int(seconds * rate)) * 0.1).astype(np.float32), rate, subtype="PCM_16"
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for k in range(6):
        write(tmp_path / "in" / "music" / f"m{k}.wav", 1.5, k)
        write(tmp_path / "in" / "speech" / f"s{k}.flac", 1.0, 10 + k)
    write(tmp_path / "in" / "speech" / "at44.wav", 1.0, 20, 44100)
    write(tmp_path / "in" / "speech" / "short.wav", 0.2, 21)
    (tmp_path / "in" / "speech" / "broken.wav").write_bytes(b"RIFF nothing")
    pack([tmp_path / "in"], tmp_path / "pack")
    return tmp_path / "pack"


def test_pack_holds_the_clips_sample_for_sample_and_resamples_the_others(
    corpus: Path, tmp_path: Path
) -> None:
    part = Corpus(corpus, 0.0, False, {"music": 1.0, "speech": 1.0})
    names = {clip.name: clip for clips in part.clips.values() for clip in clips}
    assert len(names) == 13
    clip = names["m3.wav"]
    wanted, _ = sf.read(tmp_path / "in" / "music" / "m3.wav", dtype="float32")
    assert np.abs(part.read(clip, 0, len(wanted)) - wanted).max() < 1.1 / 32768
    assert names["at44.wav"].frames == 48000
    assert names["at44.wav"].band_edge_hz < 22500


def test_a_window_fits_into_its_clip_and_a_short_clip_is_followed_by_zeros(corpus: Path) -> None:
    part = Corpus(corpus, 0.0, False, {"music": 1.0})
    clip = part.clips["music"][0]
    assert np.array_equal(part.read(clip, clip.frames - 1, 1000), part.read(clip, clip.frames - 1000, 1000))
    padded = part.read(clip, 500, clip.frames + 700)
    assert np.array_equal(padded[: clip.frames], part.read(clip, 0, clip.frames))
    assert not padded[clip.frames :].any()


def test_domains_are_drawn_as_asked_and_draws_repeat(corpus: Path) -> None:
    part = Corpus(corpus, 0.0, False, {"music": 0.8, "speech": 0.2})
    drawn = [part.draw(np.random.default_rng(k)) for k in range(300)]
    share = sum(clip.domain == "music" for clip, _ in drawn) / 300
    assert 0.7 < share < 0.9
    assert drawn == [part.draw(np.random.default_rng(k)) for k in range(300)]


def test_the_split_shares_no_source(corpus: Path) -> None:
    shares = {"music": 1.0, "speech": 1.0}
    train, held = (Corpus(corpus, 0.4, part, shares) for part in (False, True))
    names = [{clip.source for clips in part.clips.values() for clip in clips} for part in (train, held)]
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]


def test_a_manifest_names_files_domains_and_sources(corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "in" / "manifest.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "domain", "id"])
        writer.writerow(["music/m1.wav", "effects", "whole song"])
    named = tmp_path / "in" / "music" / "m1.wav"
    assert list(sources([manifest])) == [(named, "whole song", "effects", "", "")]


def test_a_packs_clips_know_the_package_of_their_manifest(corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "in" / "packages.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "domain", "package"])
        writer.writerows([f"speech/s{k}.flac", "speech", f"voices-{k % 2}"] for k in range(4))
    pack([manifest], tmp_path / "packages")
    part = Corpus(tmp_path / "packages", 0.0, False, {"speech": 1.0})
    packages = {clip.name: clip.package for clip in part.clips["speech"]}
    assert packages == {f"s{k}.flac": f"voices-{k % 2}" for k in range(4)}
    of_folders = Corpus(corpus, 0.0, False, {"speech": 1.0})
    assert {clip.package for clip in of_folders.clips["speech"]} == {""}


def test_what_a_manifest_keeps_for_validation_is_never_trained_on(corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "in" / "split.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "domain", "id", "split"])
        writer.writerows(
            [f"music/m{k}.wav", "music", f"m{k}", "validation" if k in (2, 5) else "train"] for k in range(6)
        )
    pack([manifest], tmp_path / "split")
    for held_out in (0.0, 0.5):
        train, held = (Corpus(tmp_path / "split", held_out, part, {"music": 1.0}) for part in (False, True))
        assert {clip.source for clip in held.clips["music"]} == {"m2", "m5"}
        assert {clip.source for clip in train.clips["music"]} == {"m0", "m1", "m3", "m4"}


def test_what_is_missing_is_named(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        Corpus(tmp_path / "nowhere", 0.0, False, {"music": 1.0})
    with pytest.raises(InputError, match="'effects', only of music, speech; name those in `shares`"):
        Corpus(corpus, 0.0, False, {"effects": 1.0})
    write(tmp_path / "voice" / "reading.wav", 1.0, seed=1)
    pack([tmp_path / "voice"], tmp_path / "voice.i16")
    with pytest.raises(InputError, match=r"one recording of domain 'voice', reading, .*several files"):
        Corpus(tmp_path / "voice.i16", 0.1, False, {"voice": 1.0})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="decodes"):
        pack([tmp_path / "empty"], tmp_path / "none")


@pytest.mark.parametrize("edge", [15000.0, 19000.0])
def test_band_edge_finds_a_codecs_low_pass_and_leaves_full_band_alone(edge: float) -> None:
    hiss = (np.random.default_rng(0).standard_normal(96000) * 0.1).astype(np.float32)
    cut = signal.sosfiltfilt(signal.ellip(10, 0.1, 70, edge, fs=48000, output="sos"), hiss).astype(np.float32)
    assert band_edge_hz(cut) == pytest.approx(edge, abs=500)
    assert band_edge_hz(hiss) == 24000.0
