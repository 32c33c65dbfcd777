from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.models import registry
from engine.models.audiosr.checkpoint import write
from engine.models.audiosr.networks import Networks
from engine.training.audiosr.vocoder import Config, VocoderTask
from engine.training.loop import Run
from presets.schema import make
from render.clip import ArrayClip
from render.render import render

ISTFT = {"kind": "istft", "width": 48, "depth": 1}
HIFIGAN = {
    "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
}


@pytest.fixture
def config(tiny: dict[str, Any]) -> Callable[..., Config]:
    def make_config(**more: Any) -> Config:
        values = {"network": ISTFT, "crop_s": 0.16, "adversarial_from": 1000, "width": 8, "steps": 4}
        return msgspec.convert(tiny | values | more, Config)

    return make_config


def test_it_overfits_one_batch(config: Callable[..., Config], overfit: Callable[..., list[float]]) -> None:
    losses = overfit(VocoderTask(config(steps=120, rate=1e-2, batch=1)), "distance")
    assert min(losses) < 0.1 * losses[0]


@pytest.mark.parametrize("network", [ISTFT, pytest.param(HIFIGAN, marks=pytest.mark.slow)])
def test_it_goes_on_where_it_was(
    network: dict[str, Any], config: Callable[..., Config], resumes: Callable[..., None]
) -> None:
    resumes(lambda: VocoderTask(config(network=network, adversarial_from=1, batch=1, accumulation=1)))


def test_what_it_exports_is_a_model_that_renders(
    config: Callable[..., Config],
    small_networks: Networks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(small_networks.state_dict(), tmp_path / "was.safetensors", small_networks.configuration, "test")
    Run(VocoderTask(config(origin=str(tmp_path / "was.safetensors"))), tmp_path / "run").train()
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "run" / "model.safetensors").rename(tmp_path / "models" / "audiosr-own.safetensors")
    model = registry.load_upscaler("audiosr-own", "cpu")
    x = np.random.default_rng(0).standard_normal((1, 48000)).astype(np.float32) * 0.1
    preset = make(steps=1, cutoff=4000.0, vocoder="hifigan")
    made = render(ArrayClip(x, 48000), preset, model, lambda step: None).clip
    assert made.frames == 48000
    assert np.isfinite(made.read(0, 48000)).all()
