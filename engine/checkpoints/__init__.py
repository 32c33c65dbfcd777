"""Weights that ship in the wheel, each with its model card beside it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from presets.errors import ModelError

DRAFT = "draft.safetensors"
AUDIOSR_MINI = "audiosr-mini.safetensors"

HOURS = {DRAFT: 0.12}
"""GPU hours of trainings, from the model cards, for files that do not hold them."""


def path(name: str) -> Path:
    """The path of an embedded file."""
    return Path(str(files(__name__).joinpath(name)))


def read(name: str) -> bytes:
    """The bytes of an embedded file.

    Raises:
        ModelError: it is missing; the installation is damaged.
    """
    try:
        return path(name).read_bytes()
    except OSError as error:
        raise ModelError(f"the embedded weights {name} cannot be read ({error}); reinstall airband") from None


@cache
def digest(name: str) -> str:
    """blake2b of an embedded file, 32 hexadecimal digits; part of every cache key of its results."""
    return hashlib.blake2b(read(name), digest_size=16).hexdigest()
