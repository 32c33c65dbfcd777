"""The native plugins, built on the machine that is to run them, from the sources that come with Airband.

They are built in the state folder, so that an installation that cannot be written to builds too, and the next
build takes seconds. Nothing is fetched: what is missing is named, as the packages of Debian that hold it.
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
"""Command to the package of Debian 12 that holds it; of libraries, the name that pkg-config knows."""
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
    """The built plugins in a folder that a user names, or None where it holds DPF's source instead.

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
    """Builds the plugins, a minute or two; the folder that holds them.

    Args:
        home: of the engine; the build goes to `daw-build` in its state folder, and stays for the next one.
        dpf: DPF 1.6's source; by default where Debian puts it.

    Raises:
        InputError: not on Linux, or something to build with is missing; the message says what to install.
        OutputError: the build failed; the message ends with what it last said.
    """
    if sys.platform != "linux":
        raise InputError(
            f"the plugins are built here on Linux only: see {SOURCES / 'README.md'} for macOS and Windows, "
            "and give what you built with --from",
            "from",
        )
    dpf = dpf or DPF
    if missing := _missing(dpf):
        names = " ".join(missing)
        raise InputError(
            f"to build the plugins, this machine lacks {names}: `sudo apt-get install {names}` (Debian, "
            "Ubuntu), then again. --from DIR takes plugins that were built elsewhere, or DPF 1.6's source in "
            "place of dpf-source",
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
            env={**os.environ, "AIRBAND_CONNECTION": str(home.connection)},  # whose choices LV2 lists
            check=False,
        )
    if made.returncode:
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise OutputError(f"the plugins could not be built; {log} says: {' | '.join(lines)}", "host")
    return folder / "bin"


def verify_plugins(built: Path) -> list[str]:
    """Loads every VST3 in a process of its own, as `airband plugins scan` does; a line for each.

    Raises:
        PluginError: one that does not load, with what it did.
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
    if "pkg-config" in missing:  # which then cannot be asked for the libraries
        missing += LIBRARIES.values()
    else:
        missing += [package for name, package in LIBRARIES.items() if not _has_library(name)]
    return missing if (dpf / DPF_MARK).is_file() else [*missing, "dpf-source"]


def _has_library(name: str) -> bool:
    asked = subprocess.run(["pkg-config", "--exists", name], capture_output=True, check=False)
    return asked.returncode == 0


def _copy_sources(folder: Path) -> None:
    """Brings the sources up to date; what was built stays, and make builds what has changed since."""
    folder.mkdir(exist_ok=True)
    for earlier in folder.iterdir():
        if earlier.name in ("bin", "build"):
            continue
        if earlier.is_dir():
            shutil.rmtree(earlier)
        else:
            earlier.unlink()
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("bin", "build"), dirs_exist_ok=True)
