"""The build scripts for macOS and Windows, as far as Linux can test: they parse, and all sources compile.

apt-get install g++-mingw-w64-x86-64-posix; pytest -m plugin tests/bridge/daw/plugin/test_recipes.py
"""

import shutil
import subprocess
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[4] / "bridge" / "daw" / "plugin"
COMPILER = "x86_64-w64-mingw32-g++"
HEADERS = ("zmq.h", "sodium.h", "sodium", "nlohmann")
FLAGS = ("-Wall", "-Wextra", "-Werror", "-DZMQ_STATIC", "-DSODIUM_STATIC", "-D_POSIX_C_SOURCE=200809L")


@pytest.mark.parametrize("system", ["macos", "windows"])
def test_the_recipe_parses(system: str) -> None:
    subprocess.run(["bash", "-n", PLUGIN / f"build-{system}.sh"], check=True, timeout=10)


@pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason="needs libraries' headers and g++-mingw-w64-x86-64-posix"
)
def test_every_source_compiles_for_windows(built: Path, tmp_path: Path) -> None:
    """Compiled, not linked: Debian has no libzmq and libsodium for Windows."""
    for name in HEADERS:  # only these, as the others in that folder are Linux's
        (tmp_path / name).symlink_to(Path("/usr/include") / name)
    framework = PLUGIN / "build" / "dpf"
    folders = [tmp_path, PLUGIN / "client", PLUGIN / "panel", framework / "distrho", framework / "dgl"]
    sources = [
        *PLUGIN.glob("client/*.cpp"),
        *PLUGIN.glob("client/windows/*.cpp"),
        *(path for plugin in ("send", "render") for path in PLUGIN.glob(f"{plugin}/*.cpp")),
    ]
    assert len(sources) >= 19
    for source in sources:
        includes = [f"-I{folder}" for folder in (*folders, source.parent)]
        words = [COMPILER, "-std=gnu++11", "-fsyntax-only", *FLAGS, "-DHAVE_OPENGL", "-DDGL_OPENGL"]
        ran = subprocess.run(
            [*words, "-DAIRBAND_CHANNELS=2", *includes, source], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
