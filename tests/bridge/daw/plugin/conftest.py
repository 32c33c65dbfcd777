"""The native plugins, built; hosts with a plugin in them; the engine and the folders that plugins find."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from bridge.daw.build import DPF

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
PLUGIN = ROOT / "bridge" / "daw" / "plugin"
PATCHED_DPF = PLUGIN / "build" / "dpf"
WINDOW_S = 1.5
NEEDS = "needs Debian's dpf-source and what it is built with"
PROGRAMS = {"jalv": ("jalv", "jackd")}
MODULES = {"jalv": "jack", "minihost": "minihost", "dawdreamer": "dawdreamer", "pedalboard": "pedalboard"}


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the built plugins."""
    for item in items:
        if item.path.parent == HERE and "built" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.plugin)
            item.add_marker(pytest.mark.skipif(not DPF.is_dir(), reason=NEEDS))
            item.add_marker(pytest.mark.timeout(1800))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test once in each of the hosts that its mark names."""
    if named := metafunc.definition.get_closest_marker("in_hosts"):
        metafunc.parametrize("host", named.args, indirect=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the plugins, built by the command that users run, in one test process at a time."""
    with open(tmp_path_factory.getbasetemp().parent / "built.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = subprocess.run(["make", "-C", PLUGIN], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    return PLUGIN / "bin"


@pytest.fixture(scope="session")
def hosts(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of these tests' CLAP hosts, and of keep and upload, which use only the plugins' client."""
    folder = tmp_path_factory.mktemp("host")
    includes = [f"-I{PATCHED_DPF / 'distrho' / 'src'}", f"-I{PLUGIN / 'client'}"]
    client: list[str | Path] = [PLUGIN / "build" / "client.a", "-lzmq", "-lsodium"]
    for name, libraries in (
        ("clap_host", []),
        ("clap_window", ["-lX11"]),
        ("rough_clap", ["-rdynamic"]),
        ("send_session", []),
        ("keep", client),
        ("upload", client),
    ):
        source = HERE / f"{name}.cpp"
        compiler: list[str | Path] = ["g++", "-std=c++11", "-O1", *includes, source, *libraries]
        subprocess.run([*compiler, "-ldl", "-lpthread", "-o", folder / name], check=True)
    return folder


class Host:
    """A program that passes a sound through a plugin: see clap_host.cpp and host.py."""

    def __init__(self, name: str, built: Path, programs: Path, folder: Path) -> None:
        self.name, self._built, self._folder = name, built, folder
        if name == "clap":
            self._command, self._format = [str(programs / "clap_host")], "clap"
        else:
            self._command = [sys.executable, "-m", "tests.bridge.daw.plugin.host", name]
            self._format = "lv2" if name == "jalv" else "vst3"

    def __call__(
        self, plugin: str, sound: NDArray[np.float32], *words: str, rate: int = 48000, block: int = 512
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """The output, without the plugin's latency, and the final parameters by name, as words or numbers.

        They include `Latency`, and `Began`, the transport's frame at which the sound began.
        """
        sound.tofile(self._folder / "in.f32")
        files = (self._built / f"{plugin}.{self._format}", self._folder / "in.f32", self._folder / "out.f32")
        command = [*self._command, *map(str, files), str(rate), str(block), *words]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        assert ran.returncode == 0, ran.stderr
        heard = np.fromfile(self._folder / "out.f32", np.float32).reshape(len(sound), -1)
        lines = [line.split("=", 1) for line in ran.stdout.splitlines() if "=" in line]
        return heard, {name: float(text) if _is_number(text) else text for name, text in lines}


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


@pytest.fixture
def host(request: pytest.FixtureRequest, built: Path, hosts: Path, tmp_path: Path) -> Host:
    """The host that a test names; skips the test if it is not installed."""
    name = str(request.param)
    if name in MODULES and find_spec(MODULES[name]) is None:
        pytest.skip(f"needs {MODULES[name]}: pip install dawdreamer minihost JACK-Client")
    if any(shutil.which(program) is None for program in PROGRAMS.get(name, ())):
        pytest.skip("needs apt-get install jalv jackd2")
    return Host(name, built, hosts, tmp_path)


@pytest.fixture
def sound() -> NDArray[np.float32]:
    """5.2 s of stereo noise with 1 s of silence inside, in places beyond full scale: (2, 250001) float32."""
    noise = np.random.default_rng(6).standard_normal((2, 250001)).astype(np.float32)
    noise[:, 100000:148000] = 0
    return noise


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that Airband Send delivers to, with a non-English name; no engine, model `null`."""
    monkeypatch.setenv("AIRBAND_CONNECTION", str(tmp_path / "no-engine.json"))
    monkeypatch.setenv("AIRBAND_START", "0")
    monkeypatch.setenv("AIRBAND_MODEL", "null")
    monkeypatch.setenv("AIRBAND_RENDER_WINDOW_S", str(WINDOW_S))
    monkeypatch.setenv("AIRBAND_SEND_FOLDER", str(tmp_path / "Musik für Ж"))
    return tmp_path / "Musik für Ж"


@pytest.fixture
def running(engine: Any, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that the plugins find."""
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))


@pytest.fixture
def launching(airband_alone: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of an engine that plugins may start; none is running."""
    state = tmp_path / "state"
    monkeypatch.delenv("AIRBAND_START")
    monkeypatch.setenv("AIRBAND_CONNECTION", str(state / "engine.json"))
    monkeypatch.setenv("AIRBAND_COMMAND", str(airband_alone))
    return state


@pytest.fixture
def sandboxed(running: None, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine seen from a sandbox with its own process ids, where the engine's pid means nothing."""
    about = json.loads(engine.home.connection.read_bytes())
    there = tmp_path / "engine.json"
    there.write_text(json.dumps(about | {"pid": 2**22 - 1}))
    there.chmod(0o600)
    monkeypatch.setenv("AIRBAND_CONNECTION", str(there))


REGION_AT, TRIM, BESIDE = 96000, 12345, 48000
"""Position and trim of make_session.lua's region, and the silence exported on both sides, in frames."""
FLOAT_PRESET = """<?xml version="1.0" encoding="UTF-8"?>
<ExportPreset id="9d6fbd2e-6d52-4c07-9d0a-3a3a4c1b7a10" name="float">
  <ExportFormat id="9d6fbd2e-6d52-4c07-9d0a-3a3a4c1b7a11"/>
</ExportPreset>
"""
FLOAT_FORMAT = Path("/usr/share/ardour7/export/BWAV 32float Export.format")


def lua(script: Path, *arguments: str | Path, cwd: Path, built: Path) -> str:
    """Runs a script in Ardour, with only our LV2 plugins."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("AIRBAND_")}
    bundles = cwd / "lv2"
    if not bundles.exists():
        bundles.mkdir()
        for bundle in built.glob("*.lv2"):
            shutil.copytree(bundle, bundles / bundle.name)
    path = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "LV2_PATH": str(bundles)}
    run = subprocess.run(
        ["ardour7-lua", script, *map(str, arguments)],
        cwd=cwd,
        env={**path, **settings},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return run.stdout + run.stderr


@pytest.fixture
def ardour_export(built: Path, tmp_path: Path) -> Callable[..., Any]:
    """`ardour_export(sound, uri, *settings)`: exports a stereo track with a sound on it through a plugin.

    Returns the track's audio and the output, both from 1 s before the sound to 1 s after it, and the printed
    text. The sound has fades of 64 frames at its ends.
    """

    def export(
        sound: NDArray[np.float32], uri: str, *settings: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], str]:
        presets = tmp_path / ".config" / "ardour7" / "export"
        presets.mkdir(parents=True)
        own = FLOAT_FORMAT.read_text().replace(
            '"broadcast-info" value="true"', '"broadcast-info" value="false"'
        )
        own = re.sub(r' id="[0-9a-f-]{36}"', ' id="9d6fbd2e-6d52-4c07-9d0a-3a3a4c1b7a11"', own)
        (presets / "float.format").write_text(own)
        (presets / "float.preset").write_text(FLOAT_PRESET)
        session, frames = tmp_path / "session", sound.shape[1]
        words = ("song", "2", "dry", f"frames={TRIM + frames}")
        made = lua(HERE.parent / "ardour" / "make_session.lua", session, *words, cwd=tmp_path, built=built)
        assert "MADE" in made, made
        for channel, path in enumerate(re.findall(r"SOURCE=(.*)", made)):
            with sf.SoundFile(path, "r+") as file:
                file.seek(TRIM)
                file.write(sound[channel])
        first, last = REGION_AT + TRIM - BESIDE, REGION_AT + TRIM + frames + BESIDE
        for _ in range(3):  # headless and on busy cores, Ardour 7.3 sometimes aborts
            printed = lua(
                HERE / "export.lua", session, "song", uri, str(first), str(last), tmp_path, "out",
                *settings, cwd=tmp_path, built=built,
            )  # fmt: skip
            if "EXPORTED" in printed:
                heard = sf.read(tmp_path / "out.wav", dtype="float32", always_2d=True)[0].T
                return np.pad(sound, ((0, 0), (BESIDE, BESIDE))), heard, printed
        pytest.fail(f"Ardour does not export: {printed}")

    return export


@pytest.fixture
def session(built: Path, hosts: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`session(tracks, first_pass, passes, frames, start, *until)`: starts send_session.cpp."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command: list[str | Path] = [hosts / "send_session", built / "AirbandSend.clap", *map(str, arguments)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for host in running:
        with host:
            host.kill()
