from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge import Client
from bridge.client.launch import ensure_engine, find_engine
from bridge.wire.home import (
    Connection,
    Home,
    find_home,
    is_running,
    prepare,
    read_connection,
    write_connection,
)
from presets.errors import EngineError, OutputError

Samples = NDArray[np.float32]
ROOT = Path(__file__).parents[3]


def end(home: Home) -> None:
    """Ends the engine that a test started."""
    connection = read_connection(home)
    if connection is not None and is_running(home):
        os.kill(connection.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + 60
        while is_running(home):
            assert time.monotonic() < deadline_s, "the engine does not leave"
            time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A state folder without an engine."""
    home = find_home(tmp_path / "state")
    yield home
    end(home)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An engine that a client started, in a folder with an `engine.py`, over a stale connection file."""
    folder = tmp_path_factory.mktemp("launch")
    home = find_home(folder / "state")
    assert find_engine(home) is None
    prepare(home)
    write_connection(home, Connection("ipc:///nowhere", os.getpid(), 1.0, "0.1", 1))
    assert find_engine(home) is None
    home.connection.write_bytes(b"")  # as a power failure may leave it
    (folder / "engine.py").write_text("raise SystemExit('imported what the folder holds')")
    code = "import sys; from bridge import Client; Client.connect(state=sys.argv[1]).close()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", code, str(home.state)]
    try:
        subprocess.run(command, check=True, cwd=folder, env=environment)
        yield home
    finally:
        end(home)


def test_an_engine_is_started_where_none_runs_and_then_found(started: Home, dull: Samples) -> None:
    connection = find_engine(started)
    assert connection is not None
    assert connection.endpoint != "ipc:///nowhere"
    assert ensure_engine(started) == connection
    assert "serves" in started.log.read_text()
    with Client.connect(state=started.state) as client:
        assert np.array_equal(client.submit((dull, 48000), model="null").wait(60).audio, dull)


def test_a_log_that_cannot_be_made_is_told_with_the_way_out(home: Home) -> None:
    """A disk without free inodes may have free bytes, but no room for a file."""
    prepare(home)
    home.log.mkdir()
    with pytest.raises(OutputError, match=r"engine\.log cannot be made: .*choose another --state"):
        ensure_engine(home)


def test_it_may_open_the_users_files(started: Home, dull: Samples, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "dull.wav", dull.T, 48000, subtype="FLOAT")
    with Client.connect(state=started.state) as client:
        job = client.submit(tmp_path / "dull.wav", model="null", deliver="path", out=tmp_path / "out.wav")
        assert job.wait(60).path == tmp_path / "out.wav"


def test_the_connection_file_is_json_for_other_clients(started: Home) -> None:
    connection = find_engine(started)
    assert connection is not None
    said = json.loads(started.connection.read_text())
    assert (said["endpoint"], said["protocol"]) == (connection.endpoint, 1)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
def test_an_engine_imports_nothing_from_where_its_first_client_does(home: Home, tmp_path: Path) -> None:
    """A PYTHONPATH with a host's own packages: the engine must not load that torch."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "torch.py").write_text("raise SystemExit('imported what the host holds')")
    code = """
import sys
from bridge import Client
sys.path.insert(0, sys.argv[2])
with Client.connect(state=sys.argv[1]) as client:
    import numpy
    print(client.submit((numpy.full((1, 480), 0.5, "f4"), 48000), model="null").wait(100).audio.mean())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(host)])}
    command = [sys.executable, "-P", "-c", code, str(home.state), str(host)]
    client = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert client.stdout == "0.5\n", client.stderr + home.log.read_text()
    connection = find_engine(home)
    assert connection is not None
    assert str(host).encode() not in Path(f"/proc/{connection.pid}/environ").read_bytes()


def test_clients_that_come_at_once_end_with_one_engine(home: Home) -> None:
    code = """
import sys
from bridge import Client
from bridge.wire.home import find_home, read_connection
from pathlib import Path
with Client.connect(state=sys.argv[1]) as client:
    print(read_connection(find_home(Path(sys.argv[1]))).pid, flush=True)
"""
    command = [sys.executable, "-c", code, str(home.state)]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)]
    said = [client.communicate(timeout=200)[0] for client in clients]
    assert [client.returncode for client in clients] == [0, 0, 0, 0]
    assert len(set(said)) == 1
    assert home.log.read_text().count("serves") == 1


def test_an_engine_that_cannot_start_says_why(home: Home) -> None:
    prepare(home)
    (home.state / "jobs.sqlite").write_bytes(b"this is no database" * 1000)
    with pytest.raises(EngineError, match="damaged") as caught:
        ensure_engine(home)
    assert str(home.log) in caught.value.message
    assert "\n" not in caught.value.message
    assert not is_running(home)


def test_an_engine_that_takes_too_long_is_given_up(home: Home) -> None:
    with pytest.raises(EngineError, match=r"did not come up in 0\.2 s"):
        ensure_engine(home, timeout_s=0.2)


@pytest.fixture
def start_other_version(home: Home) -> Iterator[Callable[..., Connection]]:
    """`start_other_version(*options)`: an engine of airband 0.0.9 on `home`."""
    code = (
        "import sys, presets.version; presets.version.VERSION = '0.0.9'\n"
        "from engine.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    started = []

    def start(*options: str) -> Connection:
        command = [sys.executable, "-c", code, "serve", "--state", str(home.state), "--device", "cpu"]
        started.append(subprocess.Popen([*command, *options], cwd=ROOT))
        while (connection := read_connection(home)) is None:
            assert started[0].poll() is None
            time.sleep(0.05)
        return connection

    yield start
    for process in started:
        process.terminate()
        process.wait(60)


@pytest.mark.skipif(os.name != "posix", reason="ends an engine by a signal")
def test_an_engine_of_another_version_ends_its_job_and_makes_way(
    home: Home, start_other_version: Callable[..., Connection], dull: Samples
) -> None:
    old = start_other_version("--on-demand")
    assert old.engine == "0.0.9"
    with Client.connect(state=home.state, start=False) as early:
        jobs = [early.submit((np.tile(dull, 8), 48000), model="draft", cutoff=4000) for _ in range(2)]
        with Client.connect(state=home.state, timeout_s=200) as client:
            found = find_engine(home)
            assert found is not None
            assert found.engine != old.engine
            assert found.pid != old.pid
            for job in jobs:
                assert client.job(job.id).wait(200).audio.shape == (2, 8 * 96000)


def test_an_engine_that_somebody_started_stays_whatever_its_version(
    home: Home, start_other_version: Callable[..., Connection]
) -> None:
    old = start_other_version()
    with Client.connect(state=home.state) as client:
        assert client.ping() >= 0
    assert find_engine(home) == old
