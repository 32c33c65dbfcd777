"""What a render should do, as data: the presets that ship, and the user's own, which override them.

A preset is a TOML file whose keys are the knobs of `presets.schema`. Those that ship lie beside this file;
the user's lie in the configuration folder and win where the names are equal.
"""

from __future__ import annotations

import codecs
import os
import re
from contextlib import suppress
from pathlib import Path

from presets.errors import PresetError, UsageError
from presets.schema import Preset, from_toml

__all__ = ["Preset", "load", "names", "path_of", "resolve", "user_folder"]

SHIPPED = Path(__file__).parent
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
PRESET_BYTES = 64 * 1024


def user_folder() -> Path:
    """Where the user's presets lie: `presets` below $AIRBAND_CONFIG, or below the configuration folder."""
    config = os.environ.get("AIRBAND_CONFIG")
    if config:
        return Path(config) / "presets"
    from platformdirs import user_config_path

    try:
        return user_config_path("airband", appauthor=False) / "presets"
    except RuntimeError:  # no home is known
        return Path("~/.config/airband/presets")


def names() -> tuple[str, ...]:
    """All presets that `load` knows by name, sorted; a folder that cannot be read counts as empty."""
    found: set[str] = set()
    for folder in (SHIPPED, user_folder()):
        with suppress(OSError):
            found |= {path.stem for path in folder.glob("*.toml")}
    return tuple(sorted(name for name in found if NAME.fullmatch(name)))


def path_of(name: str) -> Path:
    """The file that holds preset `name`.

    Args:
        name: a preset's name, or the path of a `.toml` file.

    Raises:
        PresetError: no such preset, and the message lists those there are; or no permission to look for it.
    """
    if name.endswith(".toml"):
        path = Path(os.path.expanduser(name))
        try:
            if path.is_file():
                return path
            if path.exists():  # a named pipe would be waited on
                raise PresetError(f"{path}: is not a file", "preset")
        except OSError as error:
            raise PresetError(f"{path}: cannot be read: {error.strerror}", "preset") from None
        raise PresetError(f"no preset file {name}", "preset")
    if NAME.fullmatch(name):
        for folder in (user_folder(), SHIPPED):
            path = folder / f"{name}.toml"
            if os.path.isfile(path):
                return path
    raise PresetError(
        f"unknown preset {name!r}; the presets are {', '.join(names())}, "
        f"and any NAME.toml in {user_folder()} or given by its path",
        "preset",
    )


def load(name: str) -> Preset:
    """The preset `name`, complete and validated.

    Args:
        name: a preset's name, or the path of a `.toml` file.

    Raises:
        PresetError: unknown, unreadable, not TOML, or a key or value the schema refuses.
    """
    path = path_of(name)
    try:
        with path.open("rb") as file:
            text = file.read(PRESET_BYTES + 1)
    except OSError as error:
        raise PresetError(f"{path}: cannot be read: {error.strerror}", "preset") from None
    if len(text) > PRESET_BYTES:
        raise PresetError(f"{path}: a preset is at most {PRESET_BYTES // 1024} KiB", "preset")
    return from_toml(text.removeprefix(codecs.BOM_UTF8), str(path))


def resolve(preset: str | Preset | None) -> Preset:
    """The preset of a name or of a .toml file's path, a Preset itself, or the defaults for None.

    Raises:
        UsageError: a value of another type.
        PresetError: see `load`.
    """
    if isinstance(preset, str):
        return load(preset)
    if isinstance(preset, Preset | None):
        return preset or Preset()
    raise UsageError(
        f"preset is of type {type(preset).__name__}: give a preset's name, the path of a .toml file or a "
        "Preset; samples and their rate go together, as the pair (samples, rate in Hz)",
        "preset",
    )
