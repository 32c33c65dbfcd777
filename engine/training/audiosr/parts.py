"""Trained networks of AudioSR before they are a whole model: a safetensors file for each part."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.models.weights_file import open_safetensors, write_safetensors
from presets.errors import ModelError

FORMAT = "airband-audiosr-part-1"


@dataclass(frozen=True, slots=True)
class Part:
    """A trained part.

    Attributes:
        arguments: the content of its section of `Configuration`.
        state: tensors by their names in `Networks`.
        hours: of training; None where the file does not tell.
    """

    arguments: dict[str, Any]
    state: dict[str, Tensor]
    hours: float | None


def write_part(
    path: Path, part: str, arguments: Mapping[str, Any], state: Mapping[str, Tensor], hours: float
) -> None:
    """Writes a trained part, whole or not at all.

    Args:
        path: replaced when it exists.
        part: `vae` or `vocoder`, as the sections of `Configuration` are called.
        arguments, state, hours: see `Part`.
    """
    metadata = {
        "format": FORMAT,
        "part": part,
        "arguments": json.dumps(dict(arguments)),
        "hours": f"{hours:.3f}",
    }
    write_safetensors(path, state, metadata)


def read_part(path: Path, part: str) -> Part:
    """A trained part, read.

    Raises:
        ModelError: no such file, or one that holds something else.
    """
    with open_safetensors(path) as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT or metadata.get("part") != part:
            found = metadata.get("part", metadata.get("format", "no part of AudioSR"))
            raise ModelError(f"{path}: holds {found}, not a {part} that `airband train {part}` made")
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        hours = float(metadata["hours"]) if "hours" in metadata else None
        return Part(json.loads(metadata["arguments"]), state, hours)


def hours_together(spent: Sequence[float | None]) -> float | None:
    """The sum of the hours of trainings; None where one of them is not known."""
    counted = [hours for hours in spent if hours is not None]
    return sum(counted) if len(counted) == len(spent) else None
