from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.models import registry
from engine.models.nuwave.network import DATA_DEVIATION, NuWave
from engine.models.nuwave.pipeline import levels
from engine.training.loop import Run
from engine.training.nuwave import Config, WaveformDiffusion
from presets.schema import make
from render.clip import ArrayClip
from render.render import render

SIZES = {"width": 16, "depth": 4, "cycle": 4}


@pytest.fixture
def config(tiny: dict[str, Any]) -> Callable[..., Config]:
    def make_config(**more: Any) -> Config:
        return msgspec.convert(tiny | {"network": SIZES, "crop_s": 0.16, "steps": 4} | more, Config)

    return make_config


def test_it_overfits_one_batch(config: Callable[..., Config], overfit: Callable[..., list[float]]) -> None:
    losses = overfit(WaveformDiffusion(config(steps=120, rate=1e-2, batch=1)))
    assert min(losses) < 0.1 * losses[0]


def test_it_resumes_where_it_stopped(config: Callable[..., Config], resumes: Callable[..., None]) -> None:
    resumes(lambda: WaveformDiffusion(config()))


def test_what_it_exports_renders(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(WaveformDiffusion(config()), tmp_path / "run").train()
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path))
    (tmp_path / "run" / "model.safetensors").rename(tmp_path / "nuwave-own.safetensors")
    x = np.random.default_rng(0).standard_normal((1, 48000)).astype(np.float32) * 0.1
    model = registry.load_upscaler("nuwave-own", "cpu")
    made = render(ArrayClip(x, 48000), make(steps=2, cutoff=4000.0), model, lambda step: None).clip
    assert made.frames == 48000
    assert np.isfinite(made.read(0, 48000)).all()


def test_a_fresh_denoiser_shrinks_noise_as_a_gaussian_of_the_data_would_be() -> None:
    network, noisy = NuWave(**SIZES), torch.randn(1, 480)
    for sigma in (0.001, DATA_DEVIATION, 1.0):
        clean = network(noisy, torch.tensor([sigma]), torch.zeros(1, 480))
        torch.testing.assert_close(clean, noisy * DATA_DEVIATION**2 / (DATA_DEVIATION**2 + sigma**2))


def test_levels_fall_to_nothing() -> None:
    for steps in (1, 2, 8):
        found = levels(steps)
        assert len(found) == steps + 1
        assert found[0] == pytest.approx(1.0)
        assert found[-1] == 0
        assert found == sorted(found, reverse=True)
