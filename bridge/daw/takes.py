"""What Airband Send has delivered, read from the sidecars that it leaves beside its results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from presets.errors import InputError

SIDECAR = ".take.json"


class Sidecar(msgspec.Struct, frozen=True):
    """The fields of a sidecar that place a take; `plugin/send/Take.cpp` writes them."""

    what: Literal["airband-take"]
    state: str
    file: str
    track: str
    rate: int
    transport_frame: int | None


class Take(msgspec.Struct, frozen=True):
    """A take that has a place.

    Attributes:
        path: of the result.
        name: of the take, unlike any other's.
        track: what its track was called; "" where the host did not say.
        start_s: the transport's time at which it begins.
    """

    path: Path
    name: str
    track: str
    start_s: float


def takes_folder() -> Path:
    """Where Airband Send delivers to: $AIRBAND_SEND_FOLDER, or `Airband` below the user's music."""
    chosen = os.environ.get("AIRBAND_SEND_FOLDER")
    return Path(chosen) if chosen else Path.home() / "Music" / "Airband"


def delivered_takes(folder: Path) -> Iterator[Take]:
    """The takes in a folder that came back and have a place, by name; other files are left alone.

    Raises:
        InputError: no such folder, or a sidecar that is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not there; Airband Send makes it with the first take", "folder")
    for path in sorted(folder.glob(f"*{SIDECAR}")):
        try:
            about = msgspec.json.decode(path.read_bytes(), type=Sidecar)
        except (OSError, msgspec.DecodeError) as error:
            raise InputError(
                f"{path}: cannot be read as a sidecar of Airband Send ({error})", "folder"
            ) from None
        if about.state == "delivered" and about.transport_frame is not None:
            name = path.name.removesuffix(SIDECAR)
            yield Take(folder / about.file, name, about.track, about.transport_frame / about.rate)
