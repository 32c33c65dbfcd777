"""AudioSR checkpoints: what an official one holds, checked by name and shape, and the file it becomes.

An official checkpoint is 6 GB, most of which inference does not need: a CLAP, an averaged copy of the U-Net,
a second autoencoder and a second vocoder. The converted file is safetensors with the four networks alone,
their configuration and digests in its metadata, and is read through a memory map.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.models.audiosr.networks import PREFIXES, Configuration, Networks
from engine.models.weights_file import format_of, open_safetensors, read_header, write_safetensors
from presets.errors import ModelError

FAMILY = "audiosr"
GUIDANCE = 3.5
"""The scale of classifier-free guidance that the official models are rendered with."""

UNUSED = (
    "clap.",
    "model_ema.",
    "cond_stage_models.0.vae.vocoder.",
    "cond_stage_models.0.vae.decoder.",
    "cond_stage_models.0.vae.post_quant_conv.",
    "first_stage_model.encoder.",
    "first_stage_model.quant_conv.",
    "logvar",
    "betas",
    "alphas_cumprod",
    "sqrt_",
    "log_one_minus_alphas_cumprod",
    "posterior_",
)
"""Prefixes of official names that inference does not need: networks it never calls, schedules it
recomputes."""

SPARE_ENCODER = "first_stage_model."
"""Where an official checkpoint holds the encoder a second time."""


class Tensors(Protocol):
    """Tensors by name, read when asked for."""

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every name and its shape."""
        ...

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU."""
        ...


@dataclass(frozen=True)
class Inventory:
    """What an official checkpoint holds, compared with what inference needs.

    Attributes:
        sources: name in our networks -> name in the checkpoint.
        missing: official names that are needed and not there.
        misshapen: needed names with both shapes.
        unexpected: names that are neither needed nor known to be unused.
        unused: how many known names inference does not need.
    """

    sources: dict[str, str]
    missing: list[str]
    misshapen: list[str]
    unexpected: list[str]
    unused: int


def take_inventory(found: Mapping[str, tuple[int, ...]], configuration: Configuration) -> Inventory:
    """Which of `found` (official name -> shape) inference needs, and everything that is wrong with it."""
    with torch.device("meta"):
        networks = Networks(configuration)
    spare = not any(name.startswith(PREFIXES["encoder"] + "encoder.") for name in found)
    sources, missing, misshapen = {}, [], []
    for name, tensor in networks.state_dict().items():
        official = networks.to_official(name)
        if spare and name.startswith("encoder."):
            official = SPARE_ENCODER + name.removeprefix("encoder.")
        sources[name] = official
        if official not in found:
            missing.append(official)
        elif tuple(found[official]) != tuple(tensor.shape):
            misshapen.append(f"{official}: {list(found[official])}, not {list(tensor.shape)}")
    others = set(found) - set(sources.values())
    unexpected = sorted(name for name in others if not name.startswith(UNUSED))
    return Inventory(sources, missing, misshapen, unexpected, len(others) - len(unexpected))


def require(inventory: Inventory, path: Path) -> None:
    """Raise ModelError when something needed is not there; the message names the first few."""
    wrong = [f"no {name}" for name in inventory.missing] + inventory.misshapen
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError(
            f"{path}: not an AudioSR checkpoint of the expected size: {'; '.join(wrong[:3])}{more} "
            f"(of {len(inventory.sources)} tensors needed)"
        )


class _Safetensors:
    def __init__(self, file: Any) -> None:
        self._file = file

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118

    def read(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


class _Pickled:
    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self._state = {name: value for name, value in state.items() if isinstance(value, Tensor)}

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self._state.items()}

    def read(self, name: str) -> Tensor:
        return self._state[name]


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Tensors]:
    """The tensors of an official checkpoint, memory-mapped: safetensors, or a pickle read with weights_only.

    Raises:
        ModelError: no such file, a truncated one, or one that is something else.
    """
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; name the checkpoint in it (.bin, .ckpt or .safetensors)")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        with open_safetensors(path) as file:
            yield _Safetensors(file)
        return
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError) as error:
        why = (
            str(error).partition("\n")[0] if zipfile.is_zipfile(path) else "no zip file, as torch.save writes"
        )
        raise ModelError(f"{path}: truncated, or not a PyTorch checkpoint of tensors alone ({why})") from None
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    yield _Pickled(state)


def convert(source: Path, target: Path, configuration: Configuration, dtype: torch.dtype) -> Inventory:
    """Write what inference needs of an official checkpoint as one safetensors file, whole or not at all.

    Args:
        source: official `.bin`, `.ckpt` or `.safetensors`.
        target: replaced when it exists.
        configuration: of the networks in `source`.
        dtype: float32 or bfloat16.

    Raises:
        ModelError: see `open_checkpoint` and `require`.
    """
    with open_checkpoint(source) as tensors:
        inventory = take_inventory(tensors.shapes(), configuration)
        require(inventory, source)
        state = {name: tensors.read(official).to(dtype) for name, official in inventory.sources.items()}
        write(state, target, configuration, source.name)
    return inventory


def write(
    state: Mapping[str, Tensor],
    target: Path,
    configuration: Configuration,
    source: str,
    hours: float | None = None,
    guidance: float = GUIDANCE,
) -> None:
    """Write the state of `Networks` as a file that `loading.load_networks` reads.

    Args:
        state: of the networks.
        target: replaced when it exists.
        configuration: of the networks.
        source: where they are from.
        hours: of training, all networks together; None where not known.
        guidance: the value of `cfg_scale = auto` for this model.
    """
    metadata = {
        "format": format_of(FAMILY),
        "configuration": json.dumps(asdict(configuration)),
        "digest": digest(state),
        "source": source,
        "guidance": f"{guidance:g}",
    }
    if hours is not None:
        metadata["hours"] = f"{hours:.3f}"
    write_safetensors(target, state, metadata)


def digest(state: Mapping[str, Tensor]) -> str:
    """blake2b, 16 bytes in hexadecimal, of names and values."""
    whole = blake2b(digest_size=16)
    for name in sorted(state):
        whole.update(name.encode())
        whole.update(state[name].detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def guidance_of(path: Path) -> float:
    """The value of `cfg_scale = auto` for the model of a converted file."""
    return float(read_header(path, FAMILY).get("guidance", GUIDANCE))


def hours_of(path: Path) -> float | None:
    """Hours of training of all networks of a converted file; None where it does not tell."""
    hours = read_header(path, FAMILY).get("hours")
    return None if hours is None else float(hours)


def is_converted(path: Path) -> bool:
    """Whether a file is one that `write` wrote."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    with open_safetensors(path) as file:
        return bool((file.metadata() or {}).get("format") == format_of(FAMILY))


def load_official(path: Path, config: Mapping[str, Any]) -> Networks:
    """Networks in float32 straight from a checkpoint under official names, such as those of the golden data.

    Args:
        path: of the checkpoint.
        config: official configuration with sections `unet`, `vae`, `vocoder`.
    """
    configuration = Configuration.from_official(config)
    networks = Networks(configuration)
    with open_checkpoint(path) as tensors:
        inventory = take_inventory(tensors.shapes(), configuration)
        require(inventory, path)
        state = {name: tensors.read(official).float() for name, official in inventory.sources.items()}
    networks.load_state_dict(state)
    return networks.eval().requires_grad_(False)
