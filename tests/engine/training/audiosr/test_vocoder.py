from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.models import registry
from engine.models.audiosr.checkpoint import guidance_of, write
from engine.models.audiosr.networks import Networks
from engine.training.audiosr.discriminators import (
    Judgement,
    MultiPeriod,
    MultiResolution,
    emphasised,
    judged_together,
)
from engine.training.audiosr.vocoder import Config, VocoderTask
from engine.training.loop import Run
from presets.schema import make
from render.clip import ArrayClip
from render.render import render

ISTFT = {"kind": "istft", "width": 48, "depth": 1}
REFINED = {"kind": "refined-phase", "width": 8, "depth": 1}
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


def test_discriminators_judge_a_pair_as_they_judge_each() -> None:
    torch.manual_seed(0)
    networks = [MultiPeriod(4), MultiResolution(4)]
    real, made = torch.randn(2, 4800), torch.randn(2, 4800)
    for wave, found in zip((real, made), judged_together(networks, real, made), strict=True):
        alone = [judgement for network in networks for judgement in network(wave)]
        for one, other in zip(alone, found, strict=True):
            assert torch.allclose(one.score, other.score, atol=1e-4)
            assert all(
                torch.allclose(a, b, atol=1e-4)
                for a, b in zip(*(j.features for j in (one, other)), strict=True)
            )


def test_discriminators_hear_a_high_band_50_db_below_a_voice() -> None:
    t = torch.arange(9600) / 48000
    real = (0.3 * torch.sin(2 * torch.pi * 200 * t) + 0.001 * torch.sin(2 * torch.pi * 9000 * t))[None]
    band = emphasised(real, real) - emphasised(0.3 * torch.sin(2 * torch.pi * 200 * t)[None], real)
    assert emphasised(real, real).square().mean() == pytest.approx(1, abs=1e-3)
    assert band.square().mean() > 0.5


def test_faster_crops_fill_the_band_that_a_codec_left(config: Callable[..., Config]) -> None:
    def reach(faster: float) -> float:
        crops = VocoderTask(config(faster=faster, crop_s=0.48)).examples(validation=False)
        spectra = torch.stack([torch.fft.rfft(crops[k]["full"]).abs() for k in range(16)])
        strong = torch.nonzero((spectra / spectra.amax(1, keepdim=True)).amax(0) > 0.05)
        return float(strong.max()) / 0.48

    assert 1.05 < reach(1.0) / reach(0.0) <= 1.26


def test_the_estimate_of_a_run_counts_discriminators_that_join_late(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = VocoderTask(config(steps=5, adversarial_from=4))
    judged: list[int] = []

    def judge(wave: torch.Tensor) -> list[Judgement]:
        judged.append(len(wave))
        return []

    monkeypatch.setattr(task.networks["periods"], "forward", judge)
    run = Run(task, tmp_path / "run")
    assert run.rehearse() > 0
    assert judged
    assert run.step == 0


@pytest.mark.parametrize(
    "network", [ISTFT, *(pytest.param(other, marks=pytest.mark.slow) for other in (REFINED, HIFIGAN))]
)
def test_it_resumes_where_it_stopped(
    network: dict[str, Any], config: Callable[..., Config], resumes: Callable[..., None]
) -> None:
    resumes(lambda: VocoderTask(config(network=network, adversarial_from=1, batch=1, accumulation=1)))


@pytest.mark.parametrize("network", [ISTFT, REFINED])
def test_what_it_exports_is_a_model_that_renders(
    config: Callable[..., Config],
    small_networks: Networks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    network: dict[str, Any],
) -> None:
    configuration = small_networks.configuration
    write(small_networks.state_dict(), tmp_path / "was.safetensors", configuration, "test", guidance=1.5)
    run = Run(
        VocoderTask(config(origin=str(tmp_path / "was.safetensors"), network=network)), tmp_path / "run"
    )
    run.train()
    assert guidance_of(tmp_path / "run" / "model.safetensors") == 1.5
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "run" / "model.safetensors").rename(tmp_path / "models" / "audiosr-own.safetensors")
    model = registry.load_upscaler("audiosr-own", "cpu")
    x = np.random.default_rng(0).standard_normal((1, 48000)).astype(np.float32) * 0.1
    preset = make(steps=1, cutoff=4000.0, vocoder="hifigan")
    made = render(ArrayClip(x, 48000), preset, model, lambda step: None).clip
    assert made.frames == 48000
    assert np.isfinite(made.read(0, 48000)).all()
