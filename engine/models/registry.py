"""Which models there are, where their weights lie, and how one becomes an Upscaler.

Converted files lie in `$AIRBAND_MODELS`, or in `models` below the user's data folder, one for each model. An
official checkpoint in the Hugging Face cache is converted on first use. A small AudioSR ships in the wheel.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import presets
from engine import checkpoints
from engine.checkpoints import AUDIOSR_MINI, DRAFT, HOURS
from engine.models.weights_file import read_header
from presets.errors import ModelError, UsageError

if TYPE_CHECKING:  # it loads NumPy, which a worker does only after it has said what it can do
    from render.upscaler import Upscaler

log = logging.getLogger("airband.models")

REPOSITORIES = {"audiosr-basic": "haoheliu/audiosr_basic", "audiosr-speech": "haoheliu/audiosr_speech"}
"""AudioSR models and where their official checkpoints are published."""

SHIPPED = {"audiosr-mini": AUDIOSR_MINI}
"""Models whose weights lie in the wheel, unless `folder()` has others of the name."""

CHECKPOINT = "pytorch_model.bin"


@dataclass(frozen=True)
class Listed:
    """A model in the list.

    Attributes:
        name: what the knob `model` takes.
        ready: whether it can render now, or after one conversion.
        digest: of the weights; "none" without weights, empty before the conversion.
        where: the file it would be read from.
        nbytes: that file's size, 0 without one.
        why: why it is not ready, or how to get it; empty when it is.
        hours: of training, where its file states them.
        vocoder: whether it is an AudioSR model with a vocoder of its own.
    """

    name: str
    ready: bool
    digest: str = ""
    where: str = ""
    nbytes: int = 0
    why: str = ""
    hours: float | None = None
    vocoder: bool = False


def folder() -> Path:
    """Where converted weights lie."""
    chosen = os.environ.get("AIRBAND_MODELS")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    try:
        return user_data_path("airband") / "models"
    except RuntimeError:  # no home is known
        return Path("~/.local/share/airband/models")


def converted(name: str) -> Path:
    """The file that a conversion of a model writes, whether it exists or not."""
    return folder() / f"{name}.safetensors"


def file_of(name: str) -> Path:
    """The file a model is read from, whether it exists or not: the user's own, or the one that ships."""
    path = converted(name)
    return checkpoints.path(SHIPPED[name]) if name in SHIPPED and not os.path.isfile(path) else path


def available() -> list[Listed]:
    """Every model by name, ready or not; cheap enough for every start of an engine."""
    listed = [
        Listed("null", True, "none"),
        Listed("draft", True, checkpoints.digest(DRAFT), hours=HOURS[DRAFT]),
    ]
    names = {*REPOSITORIES, *SHIPPED}
    for path in _own_files():
        if path.stem.partition("-")[0] not in FAMILIES:
            continue
        if presets.NAME.fullmatch(path.stem):
            names.add(path.stem)
        else:
            log.warning("%s is left out: a model's name is of a-z, 0-9 and dashes; rename it", path)
    return listed + [_listed(name) for name in sorted(names)]


def _own_files() -> list[Path]:
    """The files in the user's folder of models; no files where it cannot be read."""
    try:
        return list(folder().glob("*-*.safetensors"))
    except OSError:
        return []


def _listed(name: str) -> Listed:
    path = file_of(name)
    if os.path.isfile(path):
        size = path.stat().st_size
        try:
            stated = header(name, path)
            hours = float(stated["hours"]) if "hours" in stated else None
            vocoder = json.loads(stated.get("configuration", "{}")).get("vocoder") is not None
            return Listed(name, True, stated["digest"], str(path), size, hours=hours, vocoder=vocoder)
        except ModelError as error:
            why = error.message
        except (AttributeError, KeyError, ValueError) as error:
            why = f"{path}: its header is damaged ({error})"
        return Listed(name, False, "", str(path), size, why)
    cached = cached_checkpoint(name)
    if cached is not None:
        return Listed(name, True, "", str(cached), cached.stat().st_size)
    return Listed(name, False, why=_how_to_get(name))


def header(name: str, path: Path) -> dict[str, str]:
    """The header of model `name`'s file; ModelError where the file is not of the name's family."""
    return read_header(path, name.partition("-")[0])


def _how_to_get(name: str) -> str:
    return (
        f"its weights are not here; `airband models fetch {name}` downloads 6 GB from huggingface.co, "
        f"`airband models convert FILE --name {name}` takes a checkpoint you have"
    )


def cached_checkpoint(name: str) -> Path | None:
    """The official checkpoint in the Hugging Face cache, if it is there."""
    if name not in REPOSITORIES:
        return None
    from huggingface_hub import constants

    kept = "--".join(["models", *REPOSITORIES[name].split("/")])
    if not os.path.isdir(Path(constants.HF_HUB_CACHE, kept)):  # the look-up below takes 0.3 s to import
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(REPOSITORIES[name], CHECKPOINT)
    return Path(cached) if isinstance(cached, str) else None


def load_upscaler(name: str, device: str, compiles: bool = False) -> Upscaler:
    """The model `name`, ready to render.

    Args:
        name: `null`, `draft`, or an AudioSR model whose weights are here.
        device: as torch names it.
        compiles: whether AudioSR's networks are compiled for it.

    Raises:
        UsageError: there is no such model.
        ModelError: its weights are missing or not valid.
    """
    build = BUILDERS.get(name)
    if build is not None:
        return build(device)
    family = name.partition("-")[0]
    if name in REPOSITORIES or (family in FAMILIES and os.path.isfile(file_of(name))):
        return FAMILIES[family](name, device, compiles)
    names = ", ".join(listed.name for listed in available())
    raise UsageError(f"unknown model {name!r}; the models are {names}", "model")


def _null(device: str) -> Upscaler:
    from engine.models.null import Null

    return Null()


def _draft(device: str) -> Upscaler:
    from engine.models.draft import draft

    return draft.load(device)


BUILDERS: dict[str, Callable[[str], Upscaler]] = {"null": _null, "draft": _draft}
"""Models that need no checkpoint from the user."""


def _nvsr(name: str, device: str, compiles: bool) -> Upscaler:
    from engine.models.nvsr.pipeline import Nvsr
    from engine.models.nvsr.predictors import build
    from engine.models.trained_file import read_model

    arguments, state, digest = read_model(converted(name), "nvsr")
    network = build(**arguments)
    network.load_state_dict(state)
    return Nvsr(name, digest, network.eval(), device)


def _nuwave(name: str, device: str, compiles: bool) -> Upscaler:
    from engine.models.nuwave.network import NuWave
    from engine.models.nuwave.pipeline import NuWaveUpscaler
    from engine.models.trained_file import read_model

    arguments, state, digest = read_model(converted(name), "nuwave")
    network = NuWave(**arguments)
    network.load_state_dict(state)
    return NuWaveUpscaler(name, digest, network.eval(), device)


def weights(model: str) -> Path:
    """The converted file of an AudioSR model by name, converted now where only the official checkpoint is
    here; or the file itself, where `model` is a path.

    Raises:
        ModelError: the weights are not here.
    """
    if model.endswith(".safetensors"):
        return Path(model)
    path = file_of(model)
    if not os.path.isfile(path):
        import torch

        from engine.models.audiosr.checkpoint import convert
        from engine.models.audiosr.networks import Configuration

        cached = cached_checkpoint(model)
        if cached is None:
            raise ModelError(f"{model}: {_how_to_get(model)}", "model")
        convert(cached, path, Configuration(), torch.float32)
    return path


def _audiosr(name: str, device: str, compiles: bool) -> Upscaler:
    import torch

    from engine.models.audiosr.checkpoint import guidance_of
    from engine.models.audiosr.loading import IN_MEMORY_BYTES, load_networks
    from engine.models.audiosr.networks import compile_for
    from engine.models.audiosr.pipeline import AudioSR
    from engine.models.audiosr.precision import fast_half

    path = weights(name)
    is_on_processor = torch.device(device).type == "cpu"
    takes_turns = is_on_processor and not compiles
    networks = load_networks(path, device, fast_half(device), IN_MEMORY_BYTES if takes_turns else math.inf)
    if compiles:
        compile_for(networks, device)
    rows = 1 if is_on_processor else 8
    digest = read_header(path, "audiosr")["digest"]
    return AudioSR(name, digest, networks, device, rows=rows, guidance=guidance_of(path))


FAMILIES: dict[str, Callable[[str, str, bool], Upscaler]] = {
    "audiosr": _audiosr,
    "nvsr": _nvsr,
    "nuwave": _nuwave,
}
"""What loads a model whose weights lie in `folder()`, by the first word of its name."""
