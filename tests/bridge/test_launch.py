from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge import Client, keys
from bridge.launch import ensure_engine, find_engine
from presets.errors import EngineError

Samples = NDArray[np.float32]
WaitUntil = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def home(tmp_path: Path, wait_until: WaitUntil) -> Iterator[keys.Home]:
    """A state folder; the engine that a test lets start on it ends with the test."""
    home = keys.home(tmp_path / "state")
    yield home
    connection = keys.read(home)
    if connection is not None and keys.is_running(home):
        os.kill(connection.pid, signal.SIGTERM)
        wait_until(lambda: not keys.is_running(home), "the engine to leave")


def test_an_engine_is_started_where_none_runs_and_then_found(home: keys.Home, dull: Samples) -> None:
    assert find_engine(home) is None
    with Client.connect(state=home.state) as client:
        assert np.array_equal(client.submit((dull, 48000), model="null").wait(60).audio, dull)
        connection = find_engine(home)
        assert connection is not None
        assert ensure_engine(home) == connection
    assert "serves" in home.log.read_text()


def test_it_runs_from_any_folder_and_does_not_import_from_there(
    home: keys.Home, tmp_path: Path, dull: Samples
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "engine.py").write_text("raise SystemExit('imported what the folder holds')")
    code = "import sys; from bridge import Client; Client.connect(state=sys.argv[1]).close()"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(
        [sys.executable, "-P", "-c", code, str(home.state)], check=True, cwd=elsewhere, env=environment
    )
    with Client.connect(state=home.state, start=False) as client:
        assert client.submit((dull, 48000), model="null").wait(60).rate == 48000


def test_it_may_open_the_users_files(home: keys.Home, dull: Samples, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "dull.wav", dull.T, 48000, subtype="FLOAT")
    with Client.connect(state=home.state) as client:
        job = client.submit(tmp_path / "dull.wav", model="null", deliver="path", out=tmp_path / "out.wav")
        assert job.wait(60).path == tmp_path / "out.wav"


def test_clients_that_come_at_once_end_with_one_engine(home: keys.Home) -> None:
    code = """
import sys
from bridge import Client, keys
from pathlib import Path
with Client.connect(state=sys.argv[1]) as client:
    print(keys.read(keys.home(Path(sys.argv[1]))).pid, flush=True)
"""
    command = [sys.executable, "-c", code, str(home.state)]
    root = Path(__file__).parents[2]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(4)]
    said = [client.communicate(timeout=200)[0] for client in clients]
    assert [client.returncode for client in clients] == [0, 0, 0, 0]
    assert len(set(said)) == 1
    assert home.log.read_text().count("serves") == 1


def test_a_stale_connection_file_does_not_keep_an_engine_from_starting(home: keys.Home) -> None:
    keys.prepare(home)
    keys.write(home, keys.Connection("ipc:///nowhere", os.getpid(), 1.0, "0.1", 1))
    assert ensure_engine(home).endpoint != "ipc:///nowhere"


def test_an_engine_that_cannot_start_says_why(home: keys.Home) -> None:
    keys.prepare(home)
    (home.state / "jobs.sqlite").write_bytes(b"this is no database" * 1000)
    with pytest.raises(EngineError, match="damaged") as caught:
        ensure_engine(home)
    assert str(home.log) in caught.value.message
    assert not keys.is_running(home)


def test_an_engine_that_takes_too_long_is_given_up(home: keys.Home) -> None:
    with pytest.raises(EngineError, match=r"did not come up in 0\.2 s"):
        ensure_engine(home, timeout_s=0.2)


def test_the_connection_file_is_json_for_other_clients(home: keys.Home) -> None:
    connection = ensure_engine(home)
    said = json.loads(home.connection.read_text())
    assert said["endpoint"] == connection.endpoint
    assert said["protocol"] == 1
