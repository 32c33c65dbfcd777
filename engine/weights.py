"""Weights of AudioSR: official checkpoints in, networks out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from engine.models.networks import Configuration, Networks


def load_official(path: Path, config: Mapping[str, Any]) -> Networks:
    """Networks in float32 from a safetensors file under official names."""
    networks = Networks(Configuration.from_official(config))
    state = load_file(path)
    networks.load_state_dict(
        {name: state[networks.to_official(name)].float() for name in networks.state_dict()}
    )
    return networks.eval()
