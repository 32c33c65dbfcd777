from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.models.audiosr.checkpoint import write
from engine.models.audiosr.loading import ConvertedFile, load_networks
from engine.models.audiosr.networks import Networks
from engine.models.audiosr.pipeline import AudioSR
from presets.errors import ModelError
from presets.schema import make
from render.noise import PhiloxNoise
from render.upscaler import CELL_FRAMES, Audio, Window


@pytest.fixture
def converted(tmp_path: Path, small_networks: Networks) -> Path:
    path = tmp_path / "audiosr-small.safetensors"
    write(small_networks.state_dict(), path, small_networks.configuration, "a test")
    return path


def rendered(networks: Networks, vocoder: str) -> Audio:
    x = 0.1 * np.random.default_rng(0).standard_normal((1, CELL_FRAMES), dtype=np.float32)
    preset = make(steps=2, vocoder=vocoder)
    model = AudioSR("audiosr-small", "0", networks)
    return model.upscale([Window(x, 0, 4000.0, 0)], PhiloxNoise(0), preset, lambda _: None)[0]


def held_bytes(network: nn.Module) -> int:
    """Bytes that a network's weights take in memory."""
    return sum(0 if tensor.is_meta else tensor.nbytes for tensor in network.state_dict().values())


def test_networks_by_turns_render_the_same_in_the_place_of_one(converted: Path) -> None:
    whole, by_turns = load_networks(converted, "cpu", None), load_networks(converted, "cpu", None, 0)
    assert 0 < held_bytes(by_turns) < held_bytes(whole) / 2
    for chosen in ("hifigan", "hifigan", "phase", "hifigan"):
        np.testing.assert_array_equal(rendered(by_turns, chosen), rendered(whole, chosen))
        last = by_turns.decoder if chosen == "phase" else by_turns.vocoder
        assert held_bytes(by_turns) == held_bytes(last) + by_turns.scale_factor.nbytes


def test_a_file_that_is_gone_is_one_error(converted: Path) -> None:
    networks = load_networks(converted, "cpu", None, 0)
    converted.unlink()
    with pytest.raises(ModelError, match=r"audiosr-small\.safetensors: .*No such file"):
        rendered(networks, "phase")


def test_half_a_network_does_not_stay_in_memory(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = load_networks(converted, "cpu", None, 0)
    monkeypatch.setattr("engine.models.audiosr.loading.MAPPED_BYTES", 1)  # a memory map for each layer
    opened, count = ConvertedFile._opened, 0

    def gone_on_the_way(file: ConvertedFile) -> AbstractContextManager[Any]:
        nonlocal count
        count += 1
        if count == 20:
            converted.unlink()
        return opened(file)

    monkeypatch.setattr(ConvertedFile, "_opened", gone_on_the_way)
    with pytest.raises(ModelError, match="No such file"):
        networks.take_turn("unet")
    assert count == 20
    assert held_bytes(networks) == networks.scale_factor.nbytes


def test_weights_replaced_between_turns_are_one_error_and_never_mixed(
    converted: Path, small_networks: Networks
) -> None:
    networks = load_networks(converted, "cpu", None, 0)
    write(small_networks.state_dict(), converted, small_networks.configuration, "the same once more")
    rendered(networks, "hifigan")
    small_networks.unet.out[2].bias[0] += 1
    write(small_networks.state_dict(), converted, small_networks.configuration, "another test")
    for _ in range(2):
        with pytest.raises(ModelError, match="was replaced while it was in use"):
            rendered(networks, "hifigan")


def lacking(state: dict[str, Tensor]) -> None:
    del state["vocoder.conv_post.bias"]


def reshaped(state: dict[str, Tensor]) -> None:
    state["decoder.post_quant_conv.bias"] = torch.zeros(5)


@pytest.mark.parametrize("in_memory_bytes", [0, 10**9])
@pytest.mark.parametrize(
    ("damage", "named"),
    [(lacking, "vocoder.conv_post.bias"), (reshaped, "decoder.post_quant_conv.bias")],
)
def test_a_file_that_lacks_a_tensor_is_told_when_it_is_loaded(
    tmp_path: Path,
    small_networks: Networks,
    in_memory_bytes: int,
    damage: Callable[[dict[str, Tensor]], None],
    named: str,
) -> None:
    state, path = dict(small_networks.state_dict()), tmp_path / "audiosr-small.safetensors"
    damage(state)
    write(state, path, small_networks.configuration, "a test")
    with pytest.raises(ModelError, match=rf"damaged: 1 of \d+ tensors are missing .*{named} among them"):
        load_networks(path, "cpu", None, in_memory_bytes)
