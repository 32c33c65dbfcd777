"""Files of weights in safetensors, and their headers; torch is loaded only for the tensors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import SafetensorError, safe_open

from presets.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def open_safetensors(path: Path, framework: Literal["pt", "np"] = "pt") -> Iterator[Any]:
    """A safetensors file, memory-mapped; ModelError where it is truncated or something else."""
    try:
        file = safe_open(path, framework=framework)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: truncated, or not a safetensors file ({error})") from None
    with file:
        yield file


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file, whole or not at all; one that exists is replaced, folders are made."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, part, metadata)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_header(path: Path, family: str) -> dict[str, str]:
    """The header of a model's file.

    Args:
        path: a file that Airband wrote.
        family: the first word of the model's name: audiosr, nvsr or nuwave.

    Raises:
        ModelError: it holds no model of the family.
    """
    with open_safetensors(path, "np") as file:
        header: dict[str, str] = file.metadata() or {}
    if header.get("format") == format_of(family):
        return header
    if family == "audiosr":
        raise ModelError(f"{path}: not converted by Airband; run `airband models convert {path}`")
    raise ModelError(f"{path}: not a {family} model that `airband train {family}` wrote")


def format_of(family: str) -> str:
    """The format that the header of a family's files names."""
    return f"airband-{family}-1"
