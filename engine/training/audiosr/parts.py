"""Trained networks of AudioSR before they are a whole model: a safetensors file a part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.models.weights_file import open_safetensors, write_safetensors
from presets.errors import ModelError

FORMAT = "airband-audiosr-part-1"


def write_part(path: Path, part: str, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Writes a trained part, whole or not at all.

    Args:
        path: replaced when it exists.
        part: `vae` or `vocoder`, as the sections of `Configuration` are called.
        arguments: what that section holds.
        state: tensors by their names in `Networks`.
    """
    metadata = {"format": FORMAT, "part": part, "arguments": json.dumps(dict(arguments))}
    write_safetensors(path, state, metadata)


def read_part(path: Path, part: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments and the state of a part.

    Raises:
        ModelError: no such file, or one that holds something else.
    """
    with open_safetensors(path) as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT or metadata.get("part") != part:
            found = metadata.get("part", metadata.get("format", "no part of AudioSR"))
            raise ModelError(f"{path}: holds {found}, not a {part} that `airband train {part}` made")
        return json.loads(metadata["arguments"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
