from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.bench import gt_mel
from engine.models.audiosr.checkpoint import write
from engine.models.audiosr.networks import Configuration, Networks, vocoder_of
from engine.training.audiosr.parts import write_part
from presets.errors import InputError, UsageError
from render.measure import metrics
from render.measure.protocol import degrade


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """IN, FULL and OUT: noise bursts of 2 s, cut at 6 kHz."""
    rng = np.random.default_rng(5)
    full = 0.1 * rng.standard_normal(96000) * (np.arange(96000) % 24000 < 12000)
    paths = tmp_path / "in.wav", tmp_path / "full.wav", tmp_path / "out.wav"
    soundfile.write(paths[0], degrade(full, 6000), 48000, subtype="FLOAT")
    soundfile.write(paths[1], full, 48000, subtype="FLOAT")
    return paths


def test_the_true_spectrogram_gives_the_true_levels_and_bursts_and_keeps_the_low_band(
    files: tuple[Path, Path, Path],
) -> None:
    assert gt_mel.main([str(path) for path in files]) == 0
    (given, _), (full, _), (made, rate) = (soundfile.read(path) for path in files)
    assert (len(made), rate) == (96000, 48000)
    ref, est = metrics.spectrogram(full), metrics.spectrogram(made)
    assert metrics.lsd(ref, est, 7000, 20000) < 0.8
    assert abs(metrics.power_db(ref, est, 6000, 24000)) < 1.5
    assert metrics.envelope(full, made, 7000, 20000) > 0.9
    assert metrics.null_db(given, made, 6000) <= -90
    assert metrics.lag(given, made) == 0


def test_a_vocoder_is_that_of_a_model_or_a_file_and_a_model_without_one_is_refused(
    files: tuple[Path, Path, Path], small_networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path))
    configuration = small_networks.configuration
    write(small_networks.state_dict(), tmp_path / "audiosr-small.safetensors", configuration, "test")
    arguments = [str(path) for path in files]
    assert gt_mel.main([*arguments, "--vocoder", "audiosr-small"]) == 0
    made, _ = soundfile.read(files[2])
    assert len(made) == 96000
    assert np.isfinite(made).all()
    sizes = {"kind": "refined-phase", "width": 8, "depth": 1}
    own = {f"vocoder.{name}": tensor for name, tensor in vocoder_of(sizes).state_dict().items()}
    write_part(tmp_path / "vocoder.safetensors", "vocoder", sizes, own, 0.5)
    assert gt_mel.main([*arguments, "--vocoder", str(tmp_path / "vocoder.safetensors")]) == 0
    refined, _ = soundfile.read(files[2])
    assert gt_mel.main(arguments) == 0
    retrieved, _ = soundfile.read(files[2])
    assert np.abs(refined - retrieved).max() < 0.05 * np.abs(retrieved).max()
    state = {n: t for n, t in small_networks.state_dict().items() if not n.startswith("vocoder.")}
    silent = Configuration(configuration.unet, configuration.vae, None)
    write(state, tmp_path / "audiosr-silent.safetensors", silent, "test")
    with pytest.raises(UsageError, match="no vocoder of its own"):
        gt_mel.main([*arguments, "--vocoder", "audiosr-silent"])


def test_clips_it_cannot_use_are_named(files: tuple[Path, Path, Path]) -> None:
    soundfile.write(files[1], np.zeros((960, 2)), 44100)
    with pytest.raises(InputError, match="44100 Hz, 2 channels"):
        gt_mel.main([str(path) for path in files])
