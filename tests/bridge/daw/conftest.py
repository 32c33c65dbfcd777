"""The `airband` command as a DAW finds it, and a virtual display."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@contextmanager
def airband_on(state: Path) -> Iterator[Path]:
    """`airband` on a state folder, without an engine at first; whatever it starts is ended afterwards."""
    command = state.parent / "airband"
    run = f"{sys.executable} -c 'from bridge.cli.app import main; main()'"
    command.write_text(f'#!/bin/sh\nexport PYTHONPATH={ROOT}\nexec {run} "$@" --state {state}\n')
    command.chmod(0o755)
    yield command
    subprocess.run([command, "stop", "--now"], capture_output=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def airband_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`airband` as DAWs find it, shared by tests; the first that needs an engine starts it."""
    with airband_on(tmp_path_factory.mktemp("daw") / "state") as command:
        yield command


@pytest.fixture
def airband_alone(tmp_path: Path) -> Iterator[Path]:
    """`airband` on a state folder of the test's own."""
    with airband_on(tmp_path / "state") as command:
        yield command


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A virtual display."""
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
