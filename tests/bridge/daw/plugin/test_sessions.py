"""Many Airband Sends: no take is lost to loops, kills and quits; idle ones use hardly any resources.

pytest -m plugin tests/bridge/daw/plugin/test_sessions.py
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

wavinfo = pytest.importorskip("wavinfo")

ROOT = Path(__file__).parents[4]
RATE = 48000
PASS_FRAMES = 12000

Sound = NDArray[np.float32]
Session = Callable[..., "subprocess.Popen[str]"]
WaitUntil = Callable[[Callable[[], bool], str], None]


def read(path: Path) -> Sound:
    return np.asarray(sf.read(path, dtype="float32", always_2d=True)[0].T)


def noise(seconds: float, seed: int = 1) -> Sound:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (2, round(seconds * RATE))).astype(np.float32)


def played(track: int, number: int, frames: int = PASS_FRAMES) -> Sound:
    """The sound that send_session.cpp plays on a track in one pass: (2, frames)."""
    n, channel = np.arange(frames, dtype=np.int64), np.arange(2, dtype=np.int64)[:, np.newaxis]
    value = (7919 * n + 104729 * track + 1299709 * number + 15485863 * channel) % 65536
    return (value.astype(np.float32) / np.float32(65536) - np.float32(0.5)).astype(np.float32)


def results_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.wav") if "(raw)" not in path.name)


def assert_session(folder: Path, tracks: int, passes: Sequence[int], start: int) -> None:
    """Every pass on every track was delivered: once, under its track's name, at its frame, to the sample.

    Its bext time reference and its iXML track name tell so to any DAW.
    """
    left = {(track, number): played(track, number) for track in range(tracks) for number in passes}
    assert len(results_in(folder)) == len(left)
    for path in results_in(folder):
        take = json.loads(path.with_suffix(".take.json").read_bytes())
        delivered = read(path)
        track = int(take["track"].removeprefix("Track "))
        (number,) = [
            number for of, number in left if of == track and np.array_equal(left[of, number], delivered)
        ]
        assert take["transport_frame"] == start + 1000 * (number % 2)
        assert f"Track {track} " in path.name
        assert path.stem.endswith(f" at {take['transport_frame']}")
        told = wavinfo.WavInfoReader(str(path))
        assert told.bext.time_reference == take["transport_frame"]
        assert [channel.name for channel in told.ixml.track_list] == [f"Track {track}"] * 2
        del left[track, number]
    assert not left
    assert not list((folder / "waiting").glob("*.wav"))


def test_a_session_loses_no_take_to_loops_kills_and_quits(
    start_engine: Callable[..., Any],
    session: Session,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
) -> None:
    """8 Sends, 200 takes of a loop; the engine is killed twice, and the host once."""
    start = 48000 * 60
    first_engine = start_engine("--root", str(tmp_path))
    monkeypatch.setenv("AIRBAND_CONNECTION", str(first_engine.home.connection))
    host = session(8, 0, 13, PASS_FRAMES, start, "stay")
    assert host.stdout is not None
    assert host.stdout.readline() == "PLAYED\n"
    wait_until(lambda: len(results_in(results)) >= 10, "the first results")
    first_engine.end()
    second_engine = start_engine("--root", str(tmp_path))
    before = len(results_in(results))
    wait_until(lambda: len(results_in(results)) > before, "results of the second engine")
    host.send_signal(signal.SIGKILL)
    host.wait()
    second_engine.end()
    done = len(list(results.glob("*.take.json")))
    host = session(8, 13, 12, PASS_FRAMES, start, "delivered", 200 - done)
    start_engine("--root", str(tmp_path))
    said = host.communicate(timeout=900)[0]
    assert said.startswith("PLAYED")
    assert_session(results, 8, range(25), start)


def test_many_takes_of_many_instances_at_once_are_as_many_files(
    built: Path, results: Path, running: None, wait_until: WaitUntil
) -> None:
    """Eight Sends in Pedalboard, three short takes each."""
    import pedalboard

    plugins: list[Any] = [pedalboard.load_plugin(str(built / "AirbandSend.vst3")) for _ in range(8)]
    silence = np.zeros((2, 512), np.float32)
    for take in range(3):
        for number, plugin in enumerate(plugins):
            plugin.armed = True
            plugin(noise(0.1, 10 * take + number), RATE, reset=False)
            plugin.armed = False
            plugin(silence, RATE, reset=False)
    wait_until(lambda: len(list(results.glob("*.take.json"))) == 24, "24 results")
    delivered = {read(path).tobytes() for path in results.glob("*.wav")}
    assert delivered == {noise(0.1, 10 * take + number).tobytes() for take in range(3) for number in range(8)}


@contextmanager
def in_minihost(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A program that has `opened()`, a Send in minihost, for `play(plugin, sound)`; killed at the end."""
    pytest.importorskip("minihost", reason="needs minihost")
    head = (
        "import sys, time\nfrom pathlib import Path\nimport numpy as np\n"
        "from tests.bridge.daw.plugin.host import Setup\n"
        "from tests.bridge.daw.plugin.juce_hosts import Minihost\n"
        "opened = lambda: Minihost(Setup(Path(sys.argv[1]), 2, 48000, 512, False, [], None))\n"
    )
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


RECORDS = """
plugin, silence = opened(), np.zeros((2, 512), np.float32)
plugin.play(silence, None)
plugin.set("Armed", "1")
ramp = np.arange(1, 513, dtype=np.float32) / 1024
while True:
    plugin.play(np.stack([ramp, -ramp]), None)
    time.sleep(0.002)
"""


@pytest.mark.parametrize("host", ["clap", "minihost"])
def test_a_take_that_its_host_did_not_end_is_kept(
    session: Session, built: Path, results: Path, engine: Any, monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil, host: str,
) -> None:  # fmt: skip
    def captured() -> bool:
        return any(path.stat().st_size > 400000 for path in results.glob("waiting/*.wav"))

    if host == "clap":
        killed = session(1, 7, 1, 48000 * 600, 0, "stay")
        wait_until(captured, "a capture")
        killed.kill()
        killed.wait()
    else:
        with in_minihost(RECORDS, built / "AirbandSend.vst3"):
            wait_until(captured, "a capture")
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    session(1, 0, 0, 0, 0, "delivered", 1).communicate(timeout=120)
    (path,) = results_in(results)
    delivered = read(path)
    ramp = np.tile(np.arange(1, 513, dtype=np.float32) / 1024, delivered.shape[1] // 512 + 1)
    whole = played(0, 7, delivered.shape[1]) if host == "clap" else np.stack([ramp, -ramp])
    np.testing.assert_array_equal(delivered, whole[:, : delivered.shape[1]])
    assert delivered.shape[1] > 40000
    assert "ended while it recorded" in path.with_suffix(".txt").read_text()


ENDS = """
plugin, silence = opened(), np.zeros((2, 512), np.float32)
plugin.play(silence, None)
plugin.set("Armed", "1")
plugin.play(np.full((2, 48000), 0.25, np.float32), None)
plugin.set("Armed", "0")
plugin.play(silence, None)
time.sleep(1)
began_s = time.monotonic()
plugin.close()
print("ENDED", time.monotonic() - began_s)
"""


@pytest.mark.parametrize("host", ["clap", "minihost"])
def test_a_host_ends_at_once_though_the_engine_stands_still(
    start_engine: Callable[..., Any], session: Session, built: Path, results: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, host: str,
) -> None:  # fmt: skip
    engine = start_engine("--root", str(tmp_path))
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        if host == "clap":
            said = session(1, 0, 1, PASS_FRAMES, 0, "delivered", 0).communicate(timeout=120)[0]
        else:
            with in_minihost(ENDS, built / "AirbandSend.vst3") as program:
                said = program.communicate(timeout=120)[0]
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    assert float(said.split()[-1]) < 2  # it was 40 to 60 s
    assert len(list((results / "waiting").glob("*.wav"))) == 1


RESTS = """
plugins = [opened() for _ in range(int(sys.argv[2]))]
for plugin in plugins:
    plugin.play(np.zeros((2, 512), np.float32), None)
print("PLAYED", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("host", ["clap", "minihost"])
def test_idle_instances_cost_next_to_nothing(session: Session, built: Path, results: Path, host: str) -> None:
    """24 more instances in an idle host, by CPU time and memory. JUCE itself uses some."""

    def cost(program: "subprocess.Popen[str]") -> tuple[float, float]:
        assert program.stdout is not None
        assert program.stdout.readline() == "PLAYED\n"
        before, began = cpu_s(program.pid), time.monotonic()
        time.sleep(10)
        return (cpu_s(program.pid) - before) / (time.monotonic() - began), resident_mb(program.pid)

    costs = []
    for tracks in (1, 25):
        if host == "clap":
            program = session(tracks, 0, 0, 0, 0, "rest")
            costs.append(cost(program))
            program.kill()
            program.wait()
        else:
            with in_minihost(RESTS, built / "AirbandSend.vst3", tracks) as program:
                costs.append(cost(program))
    (one_share, one_mb), (share, mb) = costs
    assert share - one_share < 0.01
    assert (mb - one_mb) / 24 < 4


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) / 1000
