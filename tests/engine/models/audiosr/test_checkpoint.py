from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.audiosr.checkpoint import (
    convert,
    load_official,
    take_inventory,
)
from engine.models.audiosr.loading import load_networks
from engine.models.audiosr.networks import Configuration, Networks
from engine.models.audiosr.precision import HALVED
from engine.models.weights_file import read_header
from presets.errors import ModelError

KEYS = Path(__file__).parents[5] / "shared" / "audiosr" / "keys.json"


def official(networks: Networks) -> dict[str, Tensor]:
    """The networks' tensors under official names."""
    return {networks.to_official(name): tensor for name, tensor in networks.state_dict().items()}


@pytest.fixture
def checkpoint(tmp_path: Path, small_networks: Networks) -> Path:
    """A checkpoint as published: nested, with tensors that inference does not need, and one unknown key."""
    extras = {
        "clap.model.logit_scale_a": torch.zeros(()),
        "model_ema.diffusion_modelout2weight": torch.zeros(3),
        "first_stage_model.encoder.conv_in.weight": torch.zeros(32, 1, 3, 3),
        "betas": torch.zeros(1000),
        "discriminator.weight": torch.zeros(2),
    }
    path = tmp_path / "pytorch_model.bin"
    torch.save({"state_dict": {**official(small_networks), **extras}, "epoch": 7}, path)
    return path


def outputs(networks: Networks) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    mel = torch.randn(1, 1, 64, 256, generator=generator)
    z = torch.randn(1, 4, 8, 32, generator=generator)
    with torch.inference_mode():
        v, _ = networks.unet(z, torch.tensor([400.0]), z)
        posterior = networks.encoder(mel)
        return [v, *posterior, networks.decoder(z), networks.vocoder(mel[:, 0].transpose(1, 2))]


def test_parameters_of_the_published_model() -> None:
    with torch.device("meta"):
        networks = Networks(Configuration())
    assert sum(tensor.numel() for tensor in networks.state_dict().values()) == 672_012_547


@pytest.mark.skipif(not KEYS.is_file(), reason="the table of official keys is not beside this checkout")
def test_every_official_key_inference_needs_is_loaded_and_none_is_left_over() -> None:
    table = json.loads(KEYS.read_text())
    needed = {
        name: tuple(entry["shape"])
        for group in table["needed_for_inference"].values()
        for name, entry in group["keys"].items()
    }
    inventory = take_inventory(needed, Configuration())
    assert set(inventory.sources.values()) == set(needed)
    assert (inventory.missing, inventory.misshapen, inventory.unexpected) == ([], [], [])
    everything = {name: tuple(entry[0]) for name, entry in table["all_keys"].items()}
    whole = take_inventory(everything, Configuration())
    assert (whole.missing, whole.misshapen, whole.unexpected) == ([], [], [])
    assert whole.unused == len(everything) - len(needed)


def test_conversion_keeps_what_inference_needs(
    checkpoint: Path, tmp_path: Path, small_networks: Networks, small_configuration: Configuration
) -> None:
    target = tmp_path / "models" / "audiosr-small.safetensors"
    inventory = convert(checkpoint, target, small_configuration, torch.float32)
    assert inventory.unexpected == ["discriminator.weight"]
    assert inventory.unused == 4
    loaded = load_networks(target, "cpu", None)
    assert loaded.configuration == small_configuration
    for ours, theirs in zip(outputs(loaded), outputs(small_networks), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    parameters = sum(tensor.numel() for tensor in small_networks.state_dict().values())
    assert target.stat().st_size < 4 * parameters + 200_000


def test_equal_weights_have_equal_digests_and_others_do_not(
    checkpoint: Path, tmp_path: Path, small_networks: Networks, small_configuration: Configuration
) -> None:
    small_networks.unet.out[2].bias[0] += 1
    save_file(official(small_networks), tmp_path / "other.safetensors")
    digests = []
    for source in (checkpoint, checkpoint, tmp_path / "other.safetensors"):
        convert(source, tmp_path / "converted.safetensors", small_configuration, torch.float32)
        digests.append(read_header(tmp_path / "converted.safetensors", "audiosr")["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_bfloat16_halves_the_file(
    checkpoint: Path, tmp_path: Path, small_networks: Networks, small_configuration: Configuration
) -> None:
    sizes = []
    for dtype in (torch.float32, torch.bfloat16):
        target = tmp_path / f"{dtype}.safetensors"
        convert(checkpoint, target, small_configuration, dtype)
        sizes.append(target.stat().st_size)
    assert sizes[1] < 0.55 * sizes[0]
    loaded = load_networks(target, "cpu", None)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    for ours, theirs in zip(outputs(loaded), outputs(small_networks), strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 0.02


def test_half_precision_is_for_the_networks_that_bear_it(
    checkpoint: Path, tmp_path: Path, small_configuration: Configuration
) -> None:
    target = tmp_path / "converted.safetensors"
    convert(checkpoint, target, small_configuration, torch.float32)
    loaded = load_networks(target, "cpu", torch.bfloat16)
    halved = {name for name, tensor in loaded.named_parameters() if tensor.dtype == torch.bfloat16}
    assert {name for name in halved if not name.startswith("vocoder.")} == {
        name for name, _ in loaded.named_parameters() if HALVED.match(name)
    }
    assert all(bool(torch.isfinite(y).all()) for y in outputs(loaded))


def test_a_checkpoint_without_the_conditions_encoder_uses_the_first_stages(
    tmp_path: Path, small_networks: Networks, small_configuration: Configuration
) -> None:
    state = official(small_networks)
    renamed = {name.replace("cond_stage_models.0.vae.", "first_stage_model."): t for name, t in state.items()}
    assert renamed.keys() != state.keys()
    save_file(renamed, tmp_path / "spare.safetensors")
    target = tmp_path / "converted.safetensors"
    inventory = convert(tmp_path / "spare.safetensors", target, small_configuration, torch.float32)
    assert inventory.unexpected == []
    for ours, theirs in zip(
        outputs(load_networks(target, "cpu", None)), outputs(small_networks), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_missing_and_misshapen_tensors_are_named(
    tmp_path: Path, small_networks: Networks, small_configuration: Configuration
) -> None:
    state = official(small_networks)
    del state["first_stage_model.vocoder.conv_post.bias"]
    state["model.diffusion_model.out.2.bias"] = torch.zeros(5)
    inventory = take_inventory({n: tuple(t.shape) for n, t in state.items()}, small_configuration)
    assert inventory.missing == ["first_stage_model.vocoder.conv_post.bias"]
    assert inventory.misshapen == ["model.diffusion_model.out.2.bias: [5], not [4]"]
    save_file(state, tmp_path / "broken.safetensors")
    target = tmp_path / "converted.safetensors"
    with pytest.raises(ModelError, match=r"no first_stage_model\.vocoder\.conv_post\.bias.*\[5\], not \[4\]"):
        convert(tmp_path / "broken.safetensors", target, small_configuration, torch.float32)
    assert not target.exists()
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("damage", ["absent", "truncated", "text", "empty", "folder"])
def test_a_wrong_file_is_one_clear_error(
    tmp_path: Path, small_networks: Networks, small_configuration: Configuration, suffix: str, damage: str
) -> None:
    path = tmp_path / f"damaged{suffix}"
    if damage == "truncated":
        state = official(small_networks)
        if suffix == ".bin":
            torch.save(state, path)
        else:
            save_file(state, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "folder":
        path.mkdir()
    elif damage != "absent":
        path.write_text("hello, I am a text file" if damage == "text" else "")
    says = {"absent": "no such file", "folder": "is a folder; name"}.get(damage, "truncated, or not a")
    with pytest.raises(ModelError, match=f"damaged{suffix}: {says}"):
        convert(path, tmp_path / "out.safetensors", small_configuration, torch.float32)
    with pytest.raises(ModelError, match="damaged"):
        load_networks(path.with_suffix(".safetensors"), "cpu", None)


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, small_configuration: Configuration) -> None:
    for name, write in {"plain.bin": pickle.dump, "zipped.bin": torch.save}.items():
        with (tmp_path / name).open("wb") as file:
            write({"state_dict": {"a": Payload()}}, file)
        with pytest.raises(ModelError, match="tensors alone"):
            convert(tmp_path / name, tmp_path / "out.safetensors", small_configuration, torch.float32)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path: Path, small_networks: Networks) -> None:
    save_file(official(small_networks), tmp_path / "official.safetensors")
    with pytest.raises(ModelError, match="airband models convert"):
        load_networks(tmp_path / "official.safetensors", "cpu", None)


def test_goldens_layout_loads_without_conversion(tmp_path: Path, small_networks: Networks) -> None:
    configuration = small_networks.configuration
    assert configuration.vocoder is not None
    config = {
        "unet": {**configuration.unet, "image_size": 64, "use_spatial_transformer": True},
        "vae": {**configuration.vae, "downsample_time": False, "resolution": 256},
        "vocoder": {**configuration.vocoder, "num_mels": 256},
    }
    save_file({n: t.half() for n, t in official(small_networks).items()}, tmp_path / "weights.safetensors")
    loaded = load_official(tmp_path / "weights.safetensors", config)
    for ours, theirs in zip(outputs(loaded), outputs(small_networks.half().float()), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.large
def test_a_full_size_checkpoint_converts_and_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = Networks(Configuration()).requires_grad_(False)
    state = official(networks)
    state["model_ema.decay"] = torch.zeros(())
    torch.save({"state_dict": state}, tmp_path / "pytorch_model.bin")
    target = tmp_path / "converted.safetensors"
    inventory = convert(tmp_path / "pytorch_model.bin", target, Configuration(), torch.float32)
    assert len(inventory.sources) == 1611
    assert 2.68e9 < target.stat().st_size < 2.70e9
    loaded = load_networks(target, "cpu", None)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, networks.state_dict()[name]), name
