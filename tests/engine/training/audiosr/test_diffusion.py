from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.models import registry
from engine.models.audiosr.checkpoint import hours_of, write
from engine.models.audiosr.loading import load_networks
from engine.models.audiosr.networks import Networks
from engine.training.audiosr.diffusion import Config, Diffusion
from engine.training.audiosr.low_rank import LowRank
from engine.training.loop import Run
from presets.errors import UsageError
from presets.schema import make
from render.clip import ArrayClip
from render.render import render

UNET = {
    "in_channels": 8,
    "out_channels": 4,
    "model_channels": 32,
    "channel_mult": [1, 1],
    "num_res_blocks": 1,
    "attention_resolutions": [2],
    "num_head_channels": 16,
    "extra_sa_layer": False,
}


@pytest.fixture
def config(tiny: dict[str, Any], encoded: Path) -> Callable[..., Config]:
    torch.set_num_threads(1)

    def make_config(**more: Any) -> Config:
        values = {
            "vae": str(encoded / "vae.safetensors"),
            "latents": str(encoded / "latents"),
            "network": UNET,
            "crop_s": 0.16,
            "copies": 1,
            "steps": 4,
        }
        return msgspec.convert(tiny | values | more, Config)

    return make_config


@pytest.fixture
def trained(small_networks: Networks, tmp_path: Path) -> Path:
    """A model file of small random networks, with a vocoder."""
    path = tmp_path / "small.safetensors"
    write(small_networks.state_dict(), path, small_networks.configuration, "test")
    return path


def test_it_overfits_one_batch(config: Callable[..., Config], overfit: Callable[..., list[float]]) -> None:
    losses = overfit(Diffusion(config(steps=80, rate=4e-3, batch=1)))
    assert min(losses) < 0.1 * losses[0]


def test_it_resumes_where_it_stopped(config: Callable[..., Config], resumes: Callable[..., None]) -> None:
    resumes(lambda: Diffusion(config()))


def test_what_it_exports_renders(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(Diffusion(config()), tmp_path / "run").train()
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "run" / "model.safetensors").rename(tmp_path / "models" / "audiosr-own.safetensors")
    assert "audiosr-own" in {model.name for model in registry.available() if model.ready}
    model = registry.load_upscaler("audiosr-own", "cpu")
    x = np.random.default_rng(0).standard_normal((1, 48000)).astype(np.float32) * 0.1
    made = render(
        ArrayClip(x, 48000), make(steps=1, cutoff=4000.0), model, lambda step: None
    ).clip  # the input is not band-limited: only shape and finite samples count
    assert made.frames == 48000
    assert np.isfinite(made.read(0, 48000)).all()


def test_a_condition_that_is_dropped_has_no_effect(config: Callable[..., Config]) -> None:
    task = Diffusion(config())
    batch = task.collate([task.examples(validation=False)[0]])

    @torch.no_grad()
    def loss(dropped: float, condition: float) -> float:
        task.config = msgspec.structs.replace(task.config, dropped=dropped)
        batch["condition"] = torch.full_like(batch["condition"], condition)
        torch.manual_seed(0)
        return float(task.losses(dict(task.networks.items()), batch, 0)["total"])

    assert loss(1.0, 0.5) == loss(1.0, 2.0)
    assert loss(0.0, 0.5) != loss(0.0, 2.0)


def test_a_model_tells_the_hours_of_all_its_parts(
    config: Callable[..., Config], trained: Path, tmp_path: Path
) -> None:
    task = Diffusion(config())
    task.hours = 0.25
    task.export(dict(task.networks.items()), tmp_path)
    assert hours_of(tmp_path / "model.safetensors") == 0.75  # 0.25 here and 0.5 of the autoencoder
    tuned = Diffusion(config(origin=str(tmp_path / "model.safetensors"), crop_s=0.64))
    tuned.hours = 1.0
    tuned.export(dict(tuned.networks.items()), tmp_path)
    assert hours_of(tmp_path / "model.safetensors") == 1.75
    of_unknown = Diffusion(config(origin=str(trained), crop_s=0.64))
    of_unknown.export(dict(of_unknown.networks.items()), tmp_path)
    assert hours_of(tmp_path / "model.safetensors") is None


def test_latents_have_unit_deviation_once_scaled(config: Callable[..., Config]) -> None:
    task = Diffusion(config())
    examples = task.examples(validation=False)
    moments = torch.stack([examples[k]["target"] for k in range(40)]) * task.model.scale_factor
    mean, std = moments.unbind(1)
    assert (mean + std * torch.randn_like(std)).std() == pytest.approx(1.0, abs=0.1)


def test_latents_are_made_once_and_gone_on_with_after_a_kill(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    whole = Diffusion(config()).latents.path.read_bytes()
    path = tmp_path / "latents"
    path.write_bytes(whole[: len(whole) * 9 // 10])
    task = Diffusion(config(latents=str(path)))
    assert path.read_bytes() == whole
    path.touch()
    before = path.stat().st_mtime_ns
    task.latents.encode()
    assert path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_fine_tuning_keeps_all_but_the_unet_and_starts_from_it(
    config: Callable[..., Config], trained: Path, tmp_path: Path
) -> None:
    run = config(origin=str(trained), crop_s=0.64, batch=2, steps=2, rate=1e-3, mean_decay=0.5)
    Run(Diffusion(run), tmp_path / "tuned").train()
    before = load_networks(trained, "cpu", None)
    after = load_networks(tmp_path / "tuned" / "model.safetensors", "cpu", None)
    assert after.configuration == before.configuration
    for name, tensor in before.state_dict().items():
        if not name.startswith("unet."):
            assert torch.equal(after.state_dict()[name], tensor), name
    moved = [
        float((after.state_dict()[n] - t).abs().max())
        for n, t in before.state_dict().items()
        if n.startswith("unet.")
    ]
    assert 0 < max(moved) < 0.05


def test_low_rank_changes_train_little_and_are_merged(
    config: Callable[..., Config], trained: Path, tmp_path: Path
) -> None:
    run = config(origin=str(trained), crop_s=0.64, batch=2, steps=2, rank=2)
    task = Diffusion(run)
    changes = [module for module in task.networks.modules() if isinstance(module, LowRank)]
    learning = sum(p.numel() for p in task.networks.parameters() if p.requires_grad)
    assert learning == sum(p.numel() for module in changes for p in module.parameters())
    Run(task, tmp_path / "tuned").train()
    before = load_networks(trained, "cpu", None).state_dict()
    after = load_networks(tmp_path / "tuned" / "model.safetensors", "cpu", None).state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(after[name], tensor)}
    assert changed
    assert all("attn" in name for name in changed)


def test_a_diffusion_without_an_autoencoder_says_what_it_needs(config: Callable[..., Config]) -> None:
    with pytest.raises(UsageError, match="--from MODEL"):
        Diffusion(config(vae=""))
