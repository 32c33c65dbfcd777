"""Takes that Airband Send delivered, read from the sidecars beside its results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from presets.errors import InputError

SIDECAR = ".take.json"


class Sidecar(msgspec.Struct, frozen=True):
    """The fields of a sidecar that place a take; `plugin/send/Take.cpp` writes them."""

    what: Literal["airband-take"]
    state: str
    file: Annotated[str, msgspec.Meta(pattern=r"^[^/\\]+$")]
    track: str
    rate: Annotated[int, msgspec.Meta(gt=0)]
    transport_frame: int | None


class Take(msgspec.Struct, frozen=True):
    """A delivered take with a position.

    Attributes:
        path: of the result.
        name: of the take; unique.
        track: the name of its track; "" if the host did not tell it.
        start_s: its start on the transport, in seconds.
    """

    path: Path
    name: str
    track: str
    start_s: float


def takes_folder() -> Path:
    """The folder that Airband Send delivers to: $AIRBAND_SEND_FOLDER, or `Airband` in the user's music."""
    chosen = os.environ.get("AIRBAND_SEND_FOLDER")
    return Path(chosen) if chosen else Path.home() / "Music" / "Airband"


def delivered_takes(folder: Path) -> tuple[list[Take], list[str]]:
    """The delivered takes of a folder that have a position and whose files exist, sorted by name.

    Also returns a line about each damaged sidecar. Other files are ignored.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: does not exist; Airband Send creates it with its first take", "folder")
    takes, damaged = [], []
    for path in sorted(folder.glob(f"*{SIDECAR}")):
        try:
            about = msgspec.json.decode(path.read_bytes(), type=Sidecar)
        except (OSError, msgspec.DecodeError) as error:
            damaged.append(f"{path}: cannot be read as a sidecar of Airband Send ({error})")
            continue
        result = folder / about.file
        if about.state == "delivered" and about.transport_frame is not None and result.exists():
            name = path.name.removesuffix(SIDECAR)
            takes.append(Take(result, name, about.track, about.transport_frame / about.rate))
    return takes, damaged
