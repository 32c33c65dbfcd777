"""Builds the native plugins on the machine that will run them, from the sources that come with Airband.

The build lies in the state folder, so that a read-only installation can build too, and a rebuild takes
seconds. Nothing is downloaded; errors name missing tools and libraries by their Debian packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bridge.wire.home import Home, prepare
from presets.errors import InputError, OutputError, PluginError

SOURCES = Path(__file__).parent / "plugin"
DPF = Path("/usr/share/dpf")
DPF_MARK = Path("distrho") / "DistrhoPlugin.hpp"
SUFFIXES = ("lv2", "vst3", "clap")
TOOLS = {"make": "make", "g++": "g++", "patch": "patch", "pkg-config": "pkg-config"}
"""Commands, each with its Debian 12 package; below, libraries, by their names in pkg-config."""
LIBRARIES = {
    "libzmq": "libzmq3-dev",
    "libsodium": "libsodium-dev",
    "nlohmann_json": "nlohmann-json3-dev",
    "gl": "libgl-dev",
    "x11": "libx11-dev",
    "xext": "libxext-dev",
}
LOG_LINES = 15


def plugins_from(folder: Path) -> Path | None:
    """The folder itself if it holds built plugins, or None if it holds DPF's source.

    Raises:
        InputError: it holds neither.
    """
    if any(path.suffix[1:] in SUFFIXES for path in folder.glob("*.*")):
        return folder
    if (folder / DPF_MARK).is_file():
        return None
    raise InputError(
        f"{folder}: holds neither built plugins (*.lv2, *.vst3, *.clap) nor DPF's source ({DPF_MARK})", "from"
    )


def build_plugins(home: Home, dpf: Path | None = None) -> Path:
    """Builds the plugins in a minute or two; returns the folder that holds them.

    Args:
        home: of the engine; the build lies in `daw-build` in its state folder, and is kept for the next one.
        dpf: DPF 1.6's source; by default in Debian's place.

    Raises:
        InputError: not on Linux, or a tool or library is missing; the message says what to install.
        OutputError: the build failed; the message ends with its last output.
    """
    if sys.platform != "linux":
        raise InputError(
            f"the plugins can be built on Linux only: see {SOURCES / 'README.md'} for macOS and Windows, "
            "and pass your build with --from",
            "from",
        )
    dpf = dpf or DPF
    if missing := _missing(dpf):
        names = " ".join(missing)
        raise InputError(
            f"to build the plugins, this machine lacks {names}: `sudo apt-get install {names}` (Debian, "
            "Ubuntu), then try again. --from DIR takes plugins built elsewhere, or DPF 1.6's source instead "
            "of dpf-source",
            "from",
        )
    prepare(home)
    folder = home.state / "daw-build"
    _copy_sources(folder)
    log = folder / "build.log"
    with log.open("wb") as said:
        made = subprocess.run(
            ["make", "-C", folder, f"-j{os.cpu_count() or 1}", f"DPF_SOURCE={dpf.resolve()}"],
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "AIRBAND_CONNECTION": str(home.connection)},  # whose presets LV2 bundles list
            check=False,
        )
    if made.returncode:
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise OutputError(f"the plugins could not be built; {log} says: {' | '.join(lines)}", "host")
    return folder / "bin"


def verify_plugins(built: Path) -> list[str]:
    """Loads every VST3 in a process of its own, as `airband plugins scan` does; returns a line for each.

    Raises:
        PluginError: a plugin does not load; the message says how it failed.
    """
    from render.effects.plugin_folders import plugin_settings
    from render.effects.plugin_host import PluginHost

    told = []
    for path in sorted(built.glob("*.vst3")):
        try:
            host = PluginHost(path, None, plugin_settings())
            try:
                facts = host.describe()
            finally:
                host.close()
        except PluginError as error:
            raise PluginError(f"built, but not installed: {error.message}", "host") from None
        told.append(f"{path.name}: loads, {facts['name']}, {len(facts['parameters'])} parameters")
    return told


def _missing(dpf: Path) -> list[str]:
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if "pkg-config" in missing:  # without it, nothing tells which libraries are missing
        missing += LIBRARIES.values()
    else:
        missing += [package for name, package in LIBRARIES.items() if not _has_library(name)]
    return missing if (dpf / DPF_MARK).is_file() else [*missing, "dpf-source"]


def _has_library(name: str) -> bool:
    asked = subprocess.run(["pkg-config", "--exists", name], capture_output=True, check=False)
    return asked.returncode == 0


def _copy_sources(folder: Path) -> None:
    """Updates the copy of the sources; the last build stays, so that make rebuilds only what has changed."""
    folder.mkdir(exist_ok=True)
    for earlier in folder.iterdir():
        if earlier.name in ("bin", "build"):
            continue
        if earlier.is_dir():
            shutil.rmtree(earlier)
        else:
            earlier.unlink()
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("bin", "build"), dirs_exist_ok=True)
