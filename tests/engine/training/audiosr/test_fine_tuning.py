"""The recipe for a voice in engine/training/README.md, with small random networks and a short run."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.__main__ import main
from engine.models import registry
from engine.models.audiosr.checkpoint import write
from engine.models.audiosr.networks import Networks
from engine.models.weights_file import read_header
from presets.schema import make
from render.clip import ArrayClip
from render.render import render


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """A folder of eight files of 2 s: a gliding buzz with an envelope of syllables."""
    folder, rng, t = tmp_path / "voice", np.random.default_rng(0), np.arange(96000) / 48000
    folder.mkdir()
    for k in range(8):
        phase = 2 * np.pi * np.cumsum(rng.uniform(90, 130) + 20 * np.sin(2 * np.pi * t)) / 48000
        buzz = (np.pi - phase % (2 * np.pi)) / 2
        soundfile.write(folder / f"{k}.wav", 0.05 * buzz * np.abs(np.sin(2 * np.pi * 3 * t)), 48000)
    return folder


def test_a_model_is_fine_tuned_to_a_voice_and_renders(
    voice: Path,
    small_networks: Networks,
    as_toml: Callable[[dict[str, Any]], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path / "models"))
    origin = registry.converted("audiosr-small")
    write(small_networks.state_dict(), origin, small_networks.configuration, "random", hours=2.0)
    recipe = tomllib.loads((files("engine.training.audiosr") / "speech.toml").read_text())
    shorter = {"steps": 12, "warmup_steps": 2, "batch": 4, "accumulation": 2, "crop_s": 0.64, "rate": 2e-3}
    shorter |= {"copies": 1, "validation_examples": 8, "validation_steps": 6}
    here = {"device": "cpu", "threads": 1, "workers": 0}
    (tmp_path / "speech.toml").write_text(as_toml(recipe | shorter | here))
    out = tmp_path / "run"
    command = ["--config", str(tmp_path / "speech.toml"), "--from", "audiosr-small", "--data", str(voice)]
    assert main(["train", "diffusion", *command, "--out", str(out)]) == 0

    # Hours and memory are printed before the first step; the card names the data, the model its hours.
    told = capsys.readouterr().err
    assert "12 steps of" in told
    assert "hours" in told
    assert "GB of memory" in told
    assert "voice: a folder; its licence is not stated" in (out / "card.md").read_text()
    assert float(read_header(out / "model.safetensors", "audiosr")["hours"]) >= 2
    with (out / "log.csv").open(newline="") as file:
        held_out = [float(row["total"]) for row in csv.DictReader(file) if row["part"] == "held-out"]
    assert held_out[1] < held_out[0], "held-out clips of the voice improve too"

    assert main(["models", "convert", str(out / "model.safetensors"), "--name", "audiosr-voice"]) == 0
    listed = {model.name: model for model in registry.available()}
    assert listed["audiosr-voice"].ready
    assert listed["audiosr-voice"].digest != listed["audiosr-small"].digest
    x = np.random.default_rng(0).standard_normal((1, 48000)).astype(np.float32) * 0.1
    made = {}
    for name in ("audiosr-small", "audiosr-voice"):
        model = registry.load_upscaler(name, "cpu")
        preset = make(steps=2, cutoff=4000.0)
        made[name] = render(ArrayClip(x, 48000), preset, model, lambda step: None).clip.read(0, 48000)
    assert np.isfinite(made["audiosr-voice"]).all()
    assert not np.array_equal(made["audiosr-voice"], made["audiosr-small"])
