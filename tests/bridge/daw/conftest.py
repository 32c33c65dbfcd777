"""The `airband` command as a DAW finds it, on an engine of its own; the native plugins and small hosts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PLUGIN = ROOT / "bridge" / "daw" / "plugin"
PATCHED_DPF = PLUGIN / "build" / "dpf"
WINDOW_S = 1.5


@pytest.fixture
def airband_command(tmp_path: Path) -> Iterator[Path]:
    """`airband` on a state folder of its own; its engine is ended afterwards."""
    command, state = tmp_path / "airband", tmp_path / "state"
    run = f"{sys.executable} -c 'from bridge.cli.app import main; main()'"
    command.write_text(f'#!/bin/sh\nexport PYTHONPATH={ROOT}\nexec {run} "$@" --state {state}\n')
    command.chmod(0o755)
    yield command
    subprocess.run([command, "stop", "--now"], capture_output=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the plugins, built by the one command that users run."""
    run = subprocess.run(["make", "-C", PLUGIN], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    return PLUGIN / "bin"


@pytest.fixture(scope="session")
def hosts(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the CLAP hosts: clap_host and send_session."""
    folder = tmp_path_factory.mktemp("host")
    for name in ("clap_host", "send_session"):
        compiler = ["g++", "-std=c++11", "-O1", f"-I{PATCHED_DPF / 'distrho' / 'src'}"]
        source = HERE / "plugin" / f"{name}.cpp"
        subprocess.run([*compiler, source, "-ldl", "-lpthread", "-o", folder / name], check=True)
    return folder


@pytest.fixture(scope="session")
def clap_host(hosts: Path) -> Path:
    return hosts / "clap_host"


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
    monkeypatch.setenv("AIRBAND_MODEL", "null")
    monkeypatch.setenv("AIRBAND_RENDER_WINDOW_S", str(WINDOW_S))
    monkeypatch.setenv("AIRBAND_SEND_FOLDER", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def running(engine: Any, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that the plugins find."""
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
