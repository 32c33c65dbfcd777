"""Where each host looks for its scripts and plugins, on Linux, macOS and Windows.

Sources: REAPER's "Show REAPER resource path"; Ardour's manual, "Files and directories on your system";
Audacity's manual, "Preferences folder"; the LV2, VST3 and CLAP specifications for plugin folders.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from enum import StrEnum
from pathlib import Path

from presets.errors import InputError

HERE = Path(__file__).parent


LOOKING = {
    "lv2": "Ardour (Window > Plugin Manager > Re-scan), Carla, jalv, Zrythm, REAPER",
    "vst3": "REAPER (Preferences > Plug-ins > VST > Re-scan), Bitwig, Ardour, Pedalboard and others",
    "clap": "REAPER, Bitwig",
}


class Host(StrEnum):
    """The hosts that `airband daw install` knows."""

    reaper = "reaper"
    ardour = "ardour"
    audacity = "audacity"
    plugin = "plugin"


def root_of(host: Host) -> Path:
    """The folder of a host below which all is installed.

    Raises:
        InputError: the host was never started on this machine.
    """
    if host is Host.plugin:
        return Path.home()
    root = _newest_ardour() if host is Host.ardour else _settings(host)
    if root is None or not root.is_dir():
        where = "" if root is None else f" ({root} does not exist)"
        raise InputError(
            f"{host.capitalize()} has no settings folder here{where}: start it once, or give the folder with "
            "--into",
            "into",
        )
    return root


def placed(host: Host, root: Path, built: Path, state: Path) -> dict[Path, Path | bytes]:
    """The files to install: destination to source file or content; empty for a host that needs no files.

    Args:
        host: the host.
        root: its folder, as `root_of` gives it.
        built: the folder of the built plugins; only for Host.plugin.
        state: the engine's state folder, where plugins look for the command that starts it.
    """
    if host is Host.reaper:
        scripts = root / "Scripts" / "Airband"
        return {scripts / file.name: file for file in _lua("reaper")} | _command_note(scripts)
    if host is Host.ardour:  # Ardour's scan runs every script there that is not an action
        scripts = root / "scripts"
        actions = {scripts / file.name: file for file in _lua("ardour") if _is_action(file)}
        return actions | _command_note(scripts)
    if host is Host.plugin:
        return _bundles(root, built) | _command_note(state)
    return {}


def looked_at(root: Path) -> list[str]:
    """For each plugin format, the folder that hosts search, and how to make each of them rescan."""
    return [f"{folder}: {LOOKING[suffix]}" for suffix, folder in _plugin_folders(root).items()]


def _command_note(scripts: Path) -> dict[Path, Path | bytes]:
    """A file beside a host's scripts with the path of `airband`, since a host started from the desktop lacks
    the user's PATH."""
    name = "airband.exe" if sys.platform == "win32" else "airband"
    beside = Path(sysconfig.get_path("scripts")) / name
    command = str(beside) if beside.is_file() else shutil.which("airband")
    return {} if command is None else {scripts / "airband-command.txt": f"{command}\n".encode()}


def _lua(host: str) -> list[Path]:
    return sorted((HERE / host).glob("*.lua"))


def _is_action(script: Path) -> bool:
    return script.read_text(encoding="utf-8").startswith("ardour {")


def _bundles(home: Path, built: Path) -> dict[Path, Path | bytes]:
    return {
        folder / file.relative_to(built): file
        for suffix, folder in _plugin_folders(home).items()
        for bundle in sorted(built.glob(f"*.{suffix}"))
        for file in ([bundle] if bundle.is_file() else sorted(bundle.rglob("*")))
        if file.is_file()
    }


def _plugin_folders(home: Path) -> dict[str, Path]:
    if sys.platform == "darwin":
        plugins = home / "Library" / "Audio" / "Plug-Ins"
        return {"lv2": plugins / "LV2", "vst3": plugins / "VST3", "clap": plugins / "CLAP"}
    if sys.platform == "win32":
        common = home / "AppData" / "Local" / "Programs" / "Common"
        lv2 = home / "AppData" / "Roaming" / "LV2"
        return {"lv2": lv2, "vst3": common / "VST3", "clap": common / "CLAP"}
    return {"lv2": home / ".lv2", "vst3": home / ".vst3", "clap": home / ".clap"}


def _settings(host: Host) -> Path:
    old_audacity = Path.home() / ".audacity-data"  # from before 3.2; Audacity prefers it if it exists
    if host is Host.audacity and sys.platform == "linux" and old_audacity.is_dir():
        return old_audacity
    name = {Host.reaper: "REAPER", Host.audacity: "audacity"}[host]
    return _settings_folder("APPDATA", "Library/Application Support") / name


def _newest_ardour() -> Path | None:
    folder = _settings_folder("LOCALAPPDATA", "Library/Preferences")
    name = "ardour" if sys.platform == "linux" else "Ardour"
    versions = {
        int(digits): found
        for found in folder.glob(f"{name}*")
        if (digits := found.name.removeprefix(name)).isdigit() and found.is_dir()
    }
    return versions[max(versions)] if versions else None


def _settings_folder(windows_variable: str, macos_folder: str) -> Path:
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get(windows_variable, home / "AppData" / "Roaming"))
    if sys.platform == "darwin":
        return home / macos_folder
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
