"""Weights that ship in the wheel, each with its model card beside it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from presets.errors import ModelError

DRAFT = "draft.safetensors"

HOURS = {DRAFT: 1.5}
"""Hours of processor time that each took to train, as its model card tells."""


def read(name: str) -> bytes:
    """The bytes of an embedded file.

    Raises:
        ModelError: it is not there: the installation is damaged.
    """
    try:
        return files(__name__).joinpath(name).read_bytes()
    except OSError as error:
        raise ModelError(
            f"the embedded weights {name} cannot be read ({error}); install airband again"
        ) from None


@cache
def digest(name: str) -> str:
    """blake2b of an embedded file, 32 hexadecimal digits: part of every cache key its results have."""
    return hashlib.blake2b(read(name), digest_size=16).hexdigest()
