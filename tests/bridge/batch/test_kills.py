"""A batch whose client, worker and engine are killed: the same command brings it to its end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.batch.run import AHEAD
from bridge.wire.home import find_home, read_connection
from render.files.encode import file_digest
from render.files.sidecar import sidecar_path

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'airband'; from bridge.cli.app import main; main()",
]


@pytest.fixture
def states(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two state folders whose engines are stopped after the test."""
    folders = tmp_path / "calm-state", tmp_path / "state"
    yield folders
    for folder in folders:
        stop = [*PROGRAM, "stop", "--now", "--state", str(folder)]
        subprocess.run(stop, check=False, capture_output=True, timeout=120)


def clips(folder: Path, count: int, dull: NDArray[np.float32]) -> Path:
    """`count` clips of 1 s, each different."""
    folder.mkdir()
    for number in range(count):
        piece = np.roll(dull, 37 * number, axis=1)[:, :48000]
        soundfile.write(folder / f"{number:04}.wav", piece.T, 48000, "PCM_16")
    return folder


def digests(out: Path) -> dict[str, str]:
    """Every stem with its digest; fails where one has no sidecar, or something half-written was left."""
    found = {path.name: file_digest(path) for path in sorted(out.glob("*.wav"))}
    assert all(sidecar_path(out / name).exists() for name in found)
    assert not list(out.glob(".*"))
    return found


def victim(what: str, client: int, state: Path) -> int:
    """The process to kill: the client, the engine of `state`, or a process that engine started."""
    connection = read_connection(find_home(state))
    if what == "client" or connection is None:
        return client
    if what == "engine":
        return connection.pid
    children = Path(f"/proc/{connection.pid}/task/{connection.pid}/children")
    with suppress(OSError):
        return int(children.read_text().split()[-1])
    return connection.pid


def killed_to_the_end(
    count: int, kills: int, folder: Path, states: tuple[Path, Path], dull: NDArray[np.float32]
) -> None:
    source, out, results = clips(folder / "clips", count, dull), folder / "out", folder / "results.jsonl"
    calm = [*PROGRAM, "render", str(source), "-o", str(folder / "calm"), "--state", str(states[0])]
    subprocess.run(calm, check=True, capture_output=True)

    command = [*PROGRAM, "render", str(source), "-o", str(out), "--state", str(states[1])]
    command += ["--results", str(results)]
    dice = random.Random(1)
    left = [("client", "worker", "engine")[number % 3] for number in range(kills)]
    dice.shuffle(left)
    for _ in range(2 * kills + 5):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            while left:
                # A kill comes a random while after the batch came forward, whatever the pace of the machine.
                there, since_s = len(list(out.glob("*.wav"))), time.monotonic()
                while client.poll() is None and len(list(out.glob("*.wav"))) == there:
                    assert time.monotonic() - since_s < 240, "the batch stands still"
                    time.sleep(0.02)
                time.sleep(dice.uniform(0, 0.3))
                if client.poll() is not None:
                    break
                with suppress(ProcessLookupError):
                    os.kill(victim(left.pop(), client.pid, states[1]), signal.SIGKILL)
        if client.returncode == 0:
            break
    assert client.returncode == 0, results.read_text()[-2000:]
    assert not left, f"the batch was over before {left} could be killed"

    expected = digests(folder / "calm")
    assert len(expected) == count
    assert digests(out) == expected
    done = [json.loads(text)["out"] for text in results.read_text().splitlines() if '"done"' in text]
    assert len(done) - len(set(done)) <= kills * AHEAD


@pytest.mark.skipif(sys.platform != "linux", reason="finds the engine's processes in /proc")
@pytest.mark.timeout(900)
def test_a_few_kills(tmp_path: Path, states: tuple[Path, Path], dull: NDArray[np.float32]) -> None:
    killed_to_the_end(12, 3, tmp_path, states, dull)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the engine's processes in /proc")
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_clips_and_twenty_kills(
    tmp_path: Path, states: tuple[Path, Path], dull: NDArray[np.float32]
) -> None:
    killed_to_the_end(1000, 20, tmp_path, states, dull)
