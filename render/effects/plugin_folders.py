"""The user's settings for external plugins: where they may come from, and how long they may take.

`plugins.toml` in the configuration folder may hold `folders`, `load_s` and `process_s`;
$AIRBAND_PLUGIN_FOLDERS (folders separated as in PATH) replaces `folders`. A plugin is code that runs with the
user's rights, so one that lies elsewhere is refused, even when a preset names it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from presets import user_folder
from presets.chains import Effect, Effects
from presets.errors import PluginError, PresetError, UsageError
from render.files.encode import file_digest

SUFFIXES = (".vst3", ".component")
STANDARD = {
    "linux": ("~/.vst3", "/usr/lib/vst3", "/usr/local/lib/vst3"),
    "darwin": (
        "~/Library/Audio/Plug-Ins/VST3",
        "~/Library/Audio/Plug-Ins/Components",
        "/Library/Audio/Plug-Ins/VST3",
        "/Library/Audio/Plug-Ins/Components",
    ),
    "win32": ("C:/Program Files/Common Files/VST3",),
}
"""The folders the formats prescribe: VST3 SDK, "Plug-in Locations"; Audio Unit Hosting Guide."""

Deadline = Annotated[float, Meta(ge=0.1, le=3600)]


class PluginSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `plugins.toml`.

    Attributes:
        folders: plugins may be loaded from these and their subfolders; the platform's own by default.
        load_s: how long a plugin may take to load.
        process_s: how long it may take over 262,144 frames (5.5 s at 48 kHz).
    """

    folders: tuple[str, ...] = STANDARD.get(sys.platform, ())
    load_s: Deadline = 30.0
    process_s: Deadline = 30.0

    def roots(self) -> tuple[Path, ...]:
        """The folders, absolute, links resolved."""
        return tuple(Path(os.path.realpath(os.path.expanduser(folder))) for folder in self.folders)


def plugin_settings() -> PluginSettings:
    """The settings in force.

    Raises:
        PresetError: `plugins.toml` does not parse, or holds an unknown key or a value out of bounds.
    """
    path = user_folder().parent / "plugins.toml"
    settings = PluginSettings()
    if os.path.isfile(path):
        try:
            settings = msgspec.toml.decode(path.read_bytes(), type=PluginSettings)
        except msgspec.DecodeError as error:
            raise PresetError(f"{path}: {error}", "plugins.toml") from None
    folders = os.environ.get("AIRBAND_PLUGIN_FOLDERS")
    if folders is not None:
        listed = tuple(folder for folder in folders.split(os.pathsep) if folder)
        settings = msgspec.structs.replace(settings, folders=listed)
    return settings


def find_plugin(path: str, settings: PluginSettings) -> Path:
    """The plugin that a preset names: absolute, or relative to one of the folders.

    Raises:
        UsageError: not a VST3 or Audio Unit, or outside the allowed folders.
        PluginError: there is no such plugin on this machine.
    """
    if not path.endswith(SUFFIXES):
        raise UsageError(f"{path} is no plugin: a VST3 ends in .vst3, an Audio Unit in .component", "effects")
    found = _below(path, settings.roots(), "AIRBAND_PLUGIN_FOLDERS or `folders` in plugins.toml")
    if not found.exists():
        raise PluginError(f"{path}: no such plugin in {_listed(settings.roots())}", "effects")
    return found


def find_asset(path: str, settings: PluginSettings) -> Path:
    """An effect's file, a state or an impulse response: in a plugin folder, or with the user's presets.

    Raises:
        UsageError: missing, or outside those folders.
    """
    roots = (user_folder().resolve(), *settings.roots())
    found = _below(path, roots, "a plugin folder, or with the user's presets")
    if not found.is_file():
        raise UsageError(f"{path}: no such file in {_listed(roots)}", "effects")
    return found


def installed(settings: PluginSettings) -> list[Path]:
    """Every plugin in the allowed folders, sorted."""
    found: set[Path] = set()
    for root in settings.roots():
        for suffix in SUFFIXES:
            found.update(path.resolve() for path in root.rglob(f"*{suffix}"))
    return sorted(path for path in found if not any(parent.suffix in SUFFIXES for parent in path.parents))


def files_digest(effects: Effects, settings: PluginSettings) -> str:
    """A digest of the plugins, states and impulse responses of effects; "" where there are none.

    It is part of the key of a cached result. A state or an impulse response counts by its content, a plugin
    by its binary's size and time.

    Raises:
        UsageError: a file that is missing, or outside the allowed folders.
        PluginError: there is no such plugin, and its `on_error` is not `bypass`.
    """
    facts: list[str] = []
    for effect in _every((*effects.before, *effects.after)):
        if effect.path is not None:
            try:
                binary = find_plugin(effect.path, settings)
            except PluginError:
                if effect.on_error != "bypass":
                    raise
                continue
            parts = [path.stat() for path in sorted([binary, *binary.rglob("*")]) if path.is_file()]
            facts += [f"{effect.path} {part.st_size} {part.st_mtime_ns}" for part in parts]
        asset = effect.state if effect.path is not None else effect.params.get("impulse_response_filename")
        if asset:
            facts.append(file_digest(find_asset(str(asset), settings)))
    return blake2b("\n".join(facts).encode(), digest_size=32).hexdigest() if facts else ""


def _every(effects: Iterable[Effect]) -> Iterator[Effect]:
    for effect in effects:
        yield effect
        yield from _every(effect.effects)


def _below(path: str, roots: tuple[Path, ...], remedy: str) -> Path:
    given = Path(os.path.expanduser(path))
    candidates = [given] if given.is_absolute() else [root / given for root in roots]
    found = next((place for place in candidates if place.exists()), candidates[0] if candidates else given)
    found = Path(os.path.realpath(found))
    if not any(found.is_relative_to(root) for root in roots):
        raise UsageError(f"{path} lies outside {_listed(roots)}; allow its folder: {remedy}", "effects")
    return found


def _listed(roots: tuple[Path, ...]) -> str:
    return ", ".join(map(str, roots)) or "the allowed folders (there are none)"
