"""The file that a small trained model is kept in: safetensors, with what builds its network in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.models.audiosr.checkpoint import digest
from engine.models.weights_file import format_of, open_safetensors, read_header, write_safetensors
from presets.errors import ModelError


def write_model(
    path: Path, family: str, arguments: Mapping[str, Any], state: Mapping[str, Tensor], hours: float
) -> None:
    """Writes a model, whole or not at all.

    Args:
        path: replaced when it exists.
        family: nvsr or nuwave.
        arguments: for the network's builder.
        state: of the network.
        hours: of training.
    """
    whole = {name: tensor.detach().cpu().float() for name, tensor in state.items()}
    metadata = {
        "format": format_of(family),
        "arguments": json.dumps(dict(arguments)),
        "digest": digest(whole),
        "hours": f"{hours:.3f}",
    }
    write_safetensors(path, whole, metadata)


def read_model(path: Path, family: str) -> tuple[dict[str, Any], dict[str, Tensor], str]:
    """Arguments, state and digest of a model that `write_model` wrote; ModelError where it is damaged."""
    header = read_header(path, family)
    with open_safetensors(path) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        return json.loads(header["arguments"]), state, header["digest"]
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path}: its header is damaged ({error})") from None
