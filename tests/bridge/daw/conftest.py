"""The `airband` command as a DAW finds it; the native plugins and small hosts."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PLUGIN = ROOT / "bridge" / "daw" / "plugin"
PATCHED_DPF = PLUGIN / "build" / "dpf"
WINDOW_S = 1.5


@contextmanager
def airband_on(state: Path) -> Iterator[Path]:
    """`airband` on a state folder, without an engine yet; what it starts is ended afterwards."""
    command = state.parent / "airband"
    run = f"{sys.executable} -c 'from bridge.cli.app import main; main()'"
    command.write_text(f'#!/bin/sh\nexport PYTHONPATH={ROOT}\nexec {run} "$@" --state {state}\n')
    command.chmod(0o755)
    yield command
    subprocess.run([command, "stop", "--now"], capture_output=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def airband_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`airband` as all DAWs find it; the first that needs an engine starts it."""
    with airband_on(tmp_path_factory.mktemp("daw") / "state") as command:
        yield command


@pytest.fixture
def airband_alone(tmp_path: Path) -> Iterator[Path]:
    """`airband` on a state folder of the test's own."""
    with airband_on(tmp_path / "state") as command:
        yield command


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the plugins, built by the one command that users run."""
    run = subprocess.run(["make", "-C", PLUGIN], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    return PLUGIN / "bin"


@pytest.fixture(scope="session")
def hosts(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of clap_host, rough_clap and send_session, and of keep, which keeps an engine."""
    folder = tmp_path_factory.mktemp("host")
    includes = [f"-I{PATCHED_DPF / 'distrho' / 'src'}", f"-I{PLUGIN / 'client'}"]
    client: list[str | Path] = [PLUGIN / "build" / "client.a", "-lzmq", "-lsodium"]
    for name, libraries in (
        ("clap_host", []),
        ("rough_clap", ["-rdynamic"]),
        ("send_session", []),
        ("keep", client),
    ):
        source = HERE / "plugin" / f"{name}.cpp"
        compiler: list[str | Path] = ["g++", "-std=c++11", "-O1", *includes, source, *libraries]
        subprocess.run([*compiler, "-ldl", "-lpthread", "-o", folder / name], check=True)
    return folder


@pytest.fixture(scope="session")
def clap_host(hosts: Path) -> Path:
    return hosts / "clap_host"


@pytest.fixture
def clap(built: Path, clap_host: Path, tmp_path: Path) -> Callable[..., Any]:
    """`clap(plugin, sound, *words, rate=48000)`: a sound passes through a CLAP plugin, see clap_host.cpp.

    Gives what is heard, (channels, frames), and the parameters at the end by name.
    """

    def run(
        plugin: str, sound: NDArray[np.float32], *words: str, rate: int = 48000
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        sound.tofile(tmp_path / "in.f32")
        files = (built / plugin, tmp_path / "in.f32", tmp_path / "out.f32")
        command: list[str | Path] = [clap_host, *files, str(rate), "512", *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert ran.returncode == 0, ran.stderr
        told = dict(line.split("=") for line in ran.stdout.splitlines())
        heard = np.fromfile(tmp_path / "out.f32", np.float32).reshape(len(sound), -1)
        return heard, {name: float(value) for name, value in told.items()}

    return run


@pytest.fixture(params=["minihost", "dawdreamer"])
def juce(request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> Callable[..., Any]:
    """`juce(plugin, sound, *words, rate=, block=)`: a sound passes through a VST3, see juce_hosts.py.

    Gives what is heard and the texts of the parameters at the end.
    """
    name = str(request.param)
    if find_spec(name) is None:
        pytest.skip(f"needs {name}: pip install {name}")

    def run(
        plugin: str, sound: NDArray[np.float32], *words: str, rate: int = 48000, block: int = 512
    ) -> tuple[NDArray[np.float32], dict[str, str]]:
        np.save(tmp_path / "in.npy", sound)
        command: list[str | Path] = [sys.executable, HERE / "plugin" / "juce_hosts.py", name, built / plugin]
        command += [tmp_path / "in.npy", tmp_path / "out.npy", str(rate), str(block), *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert ran.returncode == 0, ran.stderr
        heard: NDArray[np.float32] = np.load(tmp_path / "out.npy")
        return heard, json.loads(ran.stdout.splitlines()[-1])

    return run


@pytest.fixture
def sound() -> NDArray[np.float32]:
    """5.2 s of stereo noise with 1 s of silence inside, beyond full scale in places: (2, 250001) float32."""
    noise = np.random.default_rng(6).standard_normal((2, 250001)).astype(np.float32)
    noise[:, 100000:148000] = 0
    return noise


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that Airband Send delivers to; no engine, model `null`, short windows."""
    monkeypatch.setenv("AIRBAND_CONNECTION", str(tmp_path / "no-engine.json"))
    monkeypatch.setenv("AIRBAND_START", "0")
    monkeypatch.setenv("AIRBAND_MODEL", "null")
    monkeypatch.setenv("AIRBAND_RENDER_WINDOW_S", str(WINDOW_S))
    monkeypatch.setenv("AIRBAND_SEND_FOLDER", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def running(engine: Any, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that the plugins find."""
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))


@pytest.fixture
def sandboxed(running: None, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine, seen from a sandbox with process numbers of its own: that of the engine says nothing."""
    about = json.loads(engine.home.connection.read_bytes())
    there = tmp_path / "engine.json"
    there.write_text(json.dumps(about | {"pid": 2**22 - 1}))
    there.chmod(0o600)
    monkeypatch.setenv("AIRBAND_CONNECTION", str(there))


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A virtual screen."""
    log = tmp_path_factory.mktemp("screen") / "xvfb.log"
    read, write = os.pipe()
    with log.open("w") as out:
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
            pass_fds=[write], stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as number:
        display = f":{number.readline().strip()}"
    assert display != ":", log.read_text()
    yield display
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


REGION_AT, TRIM, BESIDE = 96000, 12345, 48000
"""Where make_session.lua puts its region, what it trims of it, the silence exported on both sides: frames."""
FLOAT_PRESET = """<?xml version="1.0" encoding="UTF-8"?>
<ExportPreset id="9d6fbd2e-6d52-4c07-9d0a-3a3a4c1b7a10" name="float">
  <ExportFormat id="9d6fbd2e-6d52-4c07-9d0a-3a3a4c1b7a11"/>
</ExportPreset>
"""
FLOAT_FORMAT = Path("/usr/share/ardour7/export/BWAV 32float Export.format")


def lua(script: Path, *arguments: str | Path, cwd: Path, built: Path) -> str:
    """Runs a script in Ardour, with nothing but our LV2 plugins."""
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
    """`ardour_export(sound, uri, *settings)`: a stereo track with a sound on it, exported through a plugin.

    Gives what lies on the track, what is heard, both from 1 s before the sound to 1 s behind it, and what was
    printed. At its ends the sound has fades of 64 frames.
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
        made = lua(HERE / "ardour" / "make_session.lua", session, *words, cwd=tmp_path, built=built)
        assert "MADE" in made, made
        for channel, path in enumerate(re.findall(r"SOURCE=(.*)", made)):
            with sf.SoundFile(path, "r+") as file:
                file.seek(TRIM)
                file.write(sound[channel])
        first, last = REGION_AT + TRIM - BESIDE, REGION_AT + TRIM + frames + BESIDE
        for _ in range(3):  # headless and on busy cores, Ardour 7.3 now and then aborts
            printed = lua(
                HERE / "plugin" / "export.lua", session, "song", uri, str(first), str(last), tmp_path, "out",
                *settings, cwd=tmp_path, built=built,
            )  # fmt: skip
            if "EXPORTED" in printed:
                heard = sf.read(tmp_path / "out.wav", dtype="float32", always_2d=True)[0].T
                return np.pad(sound, ((0, 0), (BESIDE, BESIDE))), heard, printed
        pytest.fail(f"Ardour does not export: {printed}")

    return export
