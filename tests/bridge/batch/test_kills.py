"""A batch whose client, worker and engine are killed: repeating the command completes it.

`AIRBAND_BATCH=1000 pytest -m slow tests/bridge/batch/test_kills.py` is the same with a thousand clips.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.client.ahead import AHEAD
from bridge.client.client import Client
from bridge.wire.home import find_home, read_connection
from render.files.encode import file_digest
from render.files.sidecar import sidecar_path

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'airband'; from bridge.cli.app import main; main()",
]

CLIPS = int(os.environ.get("AIRBAND_BATCH", "200"))
STANDSTILL_S = 240


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose engine is stopped after the test."""
    yield tmp_path / "state"
    stop = [*PROGRAM, "stop", "--now", "--state", str(tmp_path / "state")]
    subprocess.run(stop, check=False, capture_output=True, timeout=120)


def clips(folder: Path, count: int, dull: NDArray[np.float32]) -> Path:
    """`count` clips of 1 s, each different."""
    folder.mkdir()
    for number in range(count):
        piece = np.roll(dull, 37 * number, axis=1)[:, :48000]
        soundfile.write(folder / f"{number:04}.wav", piece.T, 48000, "PCM_16")
    return folder


def digests(out: Path) -> dict[str, str]:
    """The digest of every stem; fails if one has no sidecar, or if something half-written was left."""
    found = {path.name: file_digest(path) for path in sorted(out.glob("*.wav"))}
    assert all(sidecar_path(out / name).exists() for name in found)
    assert not list(out.glob(".*"))
    return found


def victim(what: str, client: int, state: Path) -> int:
    """The process to kill: the client, the engine of `state`, or a child process of that engine."""
    connection = read_connection(find_home(state))
    if what == "client" or connection is None:
        return client
    if what == "engine":
        return connection.pid
    children = Path(f"/proc/{connection.pid}/task/{connection.pid}/children")
    with suppress(OSError):
        return int(children.read_text().split()[-1])
    return connection.pid


def rendered(state: Path) -> Counter[str]:
    """How often the engine of `state` rendered each stem, without jobs that found it done or in the cache."""
    with Client.connect(state=state) as client:
        ended = [client.job(told.job).wait() for told in client.jobs(None) if told.state == "done"]
    return Counter(str(result.path) for result in ended if not (result.already or result.report.cached))


def batch(clips: Path, out: Path, state: Path) -> list[str]:
    """The command that is repeated."""
    return [*PROGRAM, "render", str(clips), "-o", str(out), "--state", str(state)]


def there(out: Path) -> int:
    """The number of stems."""
    return sum(name.endswith(".wav") for name in os.listdir(out)) if out.exists() else 0


def comes_to(from_count: int, client: subprocess.Popen[bytes], out: Path) -> bool:
    """Waits until there are so many stems; False if the client ends before that."""
    seen, since_s = -1, time.monotonic()
    while client.poll() is None and (count := there(out)) < from_count:
        if count > seen:
            seen, since_s = count, time.monotonic()
        assert time.monotonic() - since_s < STANDSTILL_S, "the batch stands still"
        time.sleep(0.02)
    return client.poll() is None


def killed_to_the_end(
    count: int, kills: int, folder: Path, calm: Path, state: Path, dull: NDArray[np.float32]
) -> None:
    """The engine of `calm` is left alone, that of `state` is killed; both render the same batch."""
    source, out = clips(folder / "clips", count, dull), folder / "out"
    subprocess.run(batch(source, folder / "calm", calm), check=True, capture_output=True)

    # Kills at random places of the batch, of one process after the other in random order.
    dice = random.Random(1)
    victims = [("client", "worker", "engine")[number % 3] for number in range(kills)]
    dice.shuffle(victims)
    left = list(zip(sorted(dice.sample(range(1, count - AHEAD), kills)), victims, strict=True))
    said = folder / "said.txt"
    for _ in range(2 * kills + 5):
        with (
            said.open("wb") as errors,
            subprocess.Popen(batch(source, out, state), stdout=subprocess.DEVNULL, stderr=errors) as client,
        ):
            while left and comes_to(left[0][0], client, out):
                time.sleep(dice.uniform(0, 0.3))
                with suppress(ProcessLookupError):
                    os.kill(victim(left.pop(0)[1], client.pid, state), signal.SIGKILL)
        if client.returncode == 0:
            break
    assert client.returncode == 0, said.read_text()[-2000:]
    assert not left, f"the batch was over before {left} could be killed"

    expected = digests(folder / "calm")
    assert len(expected) == count
    assert digests(out) == expected
    renders = rendered(state)
    # After a kill between writing a stem and recording it, the job runs again and finds the stem done.
    assert set(renders) <= {str(out / name) for name in expected}
    assert count - len(renders) <= kills
    assert renders.total() - len(renders) <= kills * AHEAD


@pytest.mark.skipif(sys.platform != "linux", reason="finds the engine's processes in /proc")
@pytest.mark.timeout(900)
def test_a_few_kills(engine: Any, tmp_path: Path, state: Path, dull: NDArray[np.float32]) -> None:
    killed_to_the_end(12, 3, tmp_path, engine.home.state, state, dull)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the engine's processes in /proc")
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_clips_and_twenty_kills(
    engine: Any, tmp_path: Path, state: Path, dull: NDArray[np.float32]
) -> None:
    killed_to_the_end(CLIPS, 20, tmp_path, engine.home.state, state, dull)
