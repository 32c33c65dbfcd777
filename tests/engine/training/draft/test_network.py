from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine import checkpoints
from engine.models.draft import predictor
from engine.models.draft.bands import BINS, power_of, spectrum
from engine.models.draft.features import PER_FRAME, PER_WINDOW, features
from engine.training.draft.network import build, load, save
from presets.errors import UsageError

TINY = {"width": 16, "depth": 4}


@pytest.mark.parametrize("count", [1, 60, 61])
def test_the_trained_network_and_the_one_that_renders_agree(tmp_path: Path, count: int) -> None:
    """Weights far from the initial ones, and a value of its own for every size."""
    torch.manual_seed(count)
    sizes = {"width": 24, "depth": 5, "expansion": 2, "taps": 7, "patch": 3}
    network = build(sizes)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    save(network, sizes, tmp_path / "p.safetensors")
    data = (tmp_path / "p.safetensors").read_bytes()
    frames, window = torch.randn(count, PER_FRAME), torch.randn(PER_WINDOW)
    with torch.inference_mode():
        (outputs,), (contours,) = load(data, "p")(frames[None], window[None])
    rendered = predictor.load(data, "p")(frames.numpy(), window.numpy())
    assert np.allclose(rendered[0], outputs, atol=1e-4)
    assert np.allclose(rendered[1], contours, atol=1e-4)


@pytest.mark.parametrize("cutoff_hz", [2000.0, 8000.0, 16000.0])
def test_the_weights_that_ship_agree_in_both(cutoff_hz: float) -> None:
    data = checkpoints.read(checkpoints.DRAFT)
    rng = np.random.default_rng(0)
    swell = np.repeat(rng.uniform(0.01, 0.3, 40), 1536)
    power = power_of(spectrum((rng.standard_normal(40 * 1536) * swell).astype(np.float32)))
    power *= 10 ** np.linspace(0, -4, BINS, dtype=np.float32)
    given = features(power, cutoff_hz)
    frames, window = torch.from_numpy(given.frames), torch.from_numpy(given.window)
    with torch.inference_mode():
        (outputs,), (contours,) = load(data, "draft")(frames[None], window[None])
    rendered = predictor.load(data, "draft")(given.frames, given.window)
    assert np.abs(rendered[0] - outputs.numpy()).max() < 1e-4
    assert np.abs(rendered[1] - contours.numpy()).max() < 1e-4


def test_a_saved_network_predicts_as_before_up_to_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build(TINY)
    save(network, TINY, tmp_path / "p.safetensors")
    again = load((tmp_path / "p.safetensors").read_bytes(), "p")
    inputs = torch.randn(1, 20, PER_FRAME), torch.randn(1, PER_WINDOW)
    for kept, before in zip(again(*inputs), network(*inputs), strict=True):
        assert torch.allclose(kept, before, atol=5e-3)


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(UsageError, match="hight"):
        build({"hight": 3})
