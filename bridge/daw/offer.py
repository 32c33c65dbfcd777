"""The choices that the native plugins offer: an engine's models and the presets, each with a number.

A plugin's parameters are numbers, which a host stores in its projects. So `plugin-choices.json` in the state
folder
lists the names by number, and is only appended to: a name that no longer exists keeps its number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

import presets
from bridge.wire.home import Home
from bridge.wire.lock import FileLock
from presets.errors import OutputError, PresetError
from render.files.parts import write_whole

CHOICES = "plugin-choices.json"
MOST = 64
"""Most names of each kind that the parameters can hold (kMostChoices in plugin/client/Choices.hpp)."""
LOCK_S = 10.0


class Choices(msgspec.Struct):
    """The names behind the numbers of the parameters Preset and Model."""

    presets: list[str] = msgspec.field(default_factory=lambda: ["music"])
    models: list[str] = msgspec.field(default_factory=lambda: ["auto"])


def note_choices(home: Home, models: Iterable[str]) -> Choices:
    """Appends all presets and `models` to the plugins' choices, and returns these.

    Args:
        home: the folders of an engine; the state folder exists.
        models: the names in the engine's welcome.

    Raises:
        OutputError: the list cannot be written.
    """
    lock, path = FileLock(home.state / "plugin-choices.lock"), home.state / CHOICES
    if not lock.acquire(LOCK_S):
        raise OutputError(f"{path} is held by another process; try again")
    try:
        before = path.read_bytes() if path.exists() else b""
        try:
            choices = msgspec.json.decode(before, type=Choices)
        except msgspec.DecodeError:
            choices = Choices()
        _append(choices.presets, presets.names())
        _append(choices.models, models)
        after = msgspec.json.encode(choices)
        if after != before:
            write_whole(path, after)
    finally:
        lock.release()
    return choices


def preset_knobs() -> dict[str, dict[str, Any]]:
    """Every preset's knobs, as a submit carries them; for one that does not load, `{"error": why}`."""
    knobs: dict[str, dict[str, Any]] = {}
    for name in presets.names():
        try:
            knobs[name] = msgspec.to_builtins(presets.load(name))
        except PresetError as error:
            knobs[name] = {"error": error.message}
    return knobs


def _append(names: list[str], found: Iterable[str]) -> None:
    names.extend(name for name in found if name not in names)
    del names[MOST:]
