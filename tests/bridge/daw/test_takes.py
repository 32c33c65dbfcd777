"""Airband Send in a CLAP host: no take is lost, whatever ends, fails or fills up.

pytest -m plugin tests/bridge/daw/test_takes.py
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

wavinfo = pytest.importorskip("wavinfo")

RATE = 48000
PASS_FRAMES = 12000

pytestmark = [
    pytest.mark.plugin,
    pytest.mark.skipif(
        not Path("/usr/share/dpf").is_dir() or shutil.which("make") is None or shutil.which("g++") is None,
        reason="needs Debian's dpf-source, libzmq3-dev, libsodium-dev, nlohmann-json3-dev, g++ and make",
    ),
    pytest.mark.timeout(1800),
]

Host = Callable[..., dict[str, float]]
WaitUntil = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def send(clap: Callable[..., Any]) -> Host:
    """`send(sound, *words, rate=)`: passes a sound through Send; its parameters at the end."""

    def run(sound: NDArray[np.float32], *words: str, rate: int = RATE) -> dict[str, float]:
        told: dict[str, float] = clap("AirbandSend.clap", sound, *words, rate=rate)[1]
        return told

    return run


@pytest.fixture
def session(built: Path, hosts: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`session(tracks, first_pass, passes, frames, start, *until)`: starts a session of Sends."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command: list[str | Path] = [hosts / "send_session", built / "AirbandSend.clap", *map(str, arguments)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for host in running:
        with host:
            host.kill()


def read(path: Path) -> NDArray[np.float32]:
    samples, _ = sf.read(path, dtype="float32", always_2d=True)
    return np.asarray(samples.T)


def played(track: int, number: int, frames: int = PASS_FRAMES) -> NDArray[np.float32]:
    """What send_session.cpp plays on a track in one pass: (2, frames)."""
    n, channel = np.arange(frames, dtype=np.int64), np.arange(2, dtype=np.int64)[:, np.newaxis]
    value = (7919 * n + 104729 * track + 1299709 * number + 15485863 * channel) % 65536
    return (value.astype(np.float32) / np.float32(65536) - np.float32(0.5)).astype(np.float32)


def results_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.wav") if "(raw)" not in path.name)


def assert_session(folder: Path, tracks: int, passes: Sequence[int], start: int) -> None:
    """Every pass on every track came back: once, under its track's name, at its frame, to the sample.

    Its bext time reference and its iXML track name say so to any DAW."""
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
    session: Callable[..., subprocess.Popen[str]],
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
) -> None:
    """8 Sends, 200 takes of a loop; the engine is killed twice and the host once."""
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


def test_instances_end_at_once_though_the_engine_stands_still(
    start_engine: Callable[..., Any],
    session: Callable[..., subprocess.Popen[str]],
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = start_engine("--root", str(tmp_path))
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        host = session(1, 0, 2, PASS_FRAMES, 0, "delivered", 0)
        said = host.communicate(timeout=120)[0]
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    assert float(said.split()[-1]) < 2
    assert len(list((results / "waiting").glob("*.wav"))) == 2


def test_a_take_that_its_host_did_not_end_is_kept(
    session: Callable[..., subprocess.Popen[str]], results: Path, engine: Any, send: Host,
    monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil,
) -> None:  # fmt: skip
    host = session(1, 7, 1, 48000 * 600, 0, "stay")
    wait_until(lambda: any(p.stat().st_size > 400000 for p in results.glob("waiting/*.wav")), "a capture")
    host.kill()
    host.wait()
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    send(np.zeros((2, 512), np.float32), "--", "until", "Delivered=1")
    (path,) = results_in(results)
    delivered = read(path)
    np.testing.assert_array_equal(delivered, played(0, 7, delivered.shape[1]))
    assert "ended while it recorded" in path.with_suffix(".txt").read_text()


def test_one_sample_that_is_no_number_loses_no_take(send: Host, results: Path, running: None) -> None:
    noise = np.random.default_rng(1).standard_normal((2, 48000)).astype(np.float32)
    broken = noise.copy()
    broken[1, 12345], noise[1, 12345] = np.nan, 0
    send(broken, "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    (path,) = results_in(results)
    np.testing.assert_array_equal(read(path), noise)
    assert "frame 12345" in path.with_suffix(".txt").read_text()


@pytest.mark.parametrize(
    ("peak", "settings", "rate", "model", "why"),
    [
        (20.0, (), RATE, "null", "16"),
        (0.5, ("Cutoff=20000",), 32000, "null", "20000"),
        (0.5, (), RATE, "no-such-model", "no-such-model"),
    ],
    ids=["peak", "cut-off beyond the rate", "model"],
)
def test_what_fails_leaves_the_sound_and_the_reason(
    send: Host, results: Path, running: None, monkeypatch: pytest.MonkeyPatch,
    peak: float, settings: tuple[str, ...], rate: int, model: str, why: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("AIRBAND_MODEL", model)
    sound = np.random.default_rng(2).uniform(-1, 1, (2, 20000)).astype(np.float32)
    sound *= np.float32(peak)
    told = send(sound, "Armed=1", *settings, "--", "Armed=0", "until", "Takes failed=1", rate=rate)
    assert told["Takes failed"] == 1
    (raw,) = results.glob("*(raw).wav")
    np.testing.assert_array_equal(read(raw), sound)
    assert why in raw.with_suffix(".txt").read_text()
    assert not list(results.glob("waiting/*.wav"))


def test_a_full_folder_says_so(send: Host, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRBAND_SEND_WAITING_GB", "0.0001")
    sound = np.ones((2, 48000), np.float32)
    send(sound, "Armed=1", "--", "Armed=0")
    told = send(sound, "Armed=1", "--", "Armed=0", "until", "State=7")
    assert told["State"] == 7
    assert "AIRBAND_SEND_WAITING_GB" in (results / "Airband Send is full.txt").read_text()
    assert len(list(results.glob("waiting/*.wav"))) == 1


def test_a_take_ends_where_its_folder_is_full(
    send: Host, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is looked at whenever 32 MiB more are written: 87 s of stereo."""
    monkeypatch.setenv("AIRBAND_SEND_WAITING_GB", "0.001")
    sound = np.tile(np.arange(-24000, 24000, dtype=np.float32) / 65536, (2, 100))
    assert send(sound, "Armed=1")["State"] == 7
    (path,) = results.glob("waiting/*.json")
    take = json.loads(path.read_bytes())
    assert 0 <= take["frames"] - (32 << 20) // 8 < 8192
    assert "the folder took no more" in take["note"]
    np.testing.assert_array_equal(read(path.with_suffix(".wav")), sound[:, : take["frames"]])
    assert "AIRBAND_SEND_WAITING_GB" in (results / "Airband Send is full.txt").read_text()


def test_a_project_that_opens_armed_waits_for_its_transport(send: Host, results: Path, running: None) -> None:
    sound = np.full((2, 24000), 0.25, np.float32)
    told = send(sound, "restored", "Armed=1")
    assert told["State"] == 8
    assert told["Captured"] == 0
    send(sound, "restored", "rolling", "Armed=1", "Follow transport=1", "--", "until", "Delivered=1")
    (path,) = results.glob("*.take.json")
    assert json.loads(path.read_bytes())["transport_frame"] == 0


def test_a_take_says_where_it_stands_to_any_daw(send: Host, results: Path, running: None) -> None:
    """Its bext time reference is the transport's frame, also at the result's rate; iXML has the track."""
    sound = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 192000)).astype(np.float32)
    send(sound, "rolling", "Armed=1", "--", "Armed=0", "until", "Delivered=1", rate=192000)
    (path,) = results_in(results)
    assert sf.info(path).samplerate == 96000
    assert sf.info(path).frames == 96000
    chunks = path.read_bytes()
    assert b"bext" in chunks
    assert re.search(rb"<TIMESTAMP_SAMPLE_RATE>96000<", chunks)


def test_a_long_export_faster_than_the_clock_is_whole(send: Host, results: Path, running: None) -> None:
    sound = np.tile(np.arange(-30000, 30000, dtype=np.float32) / 65536, (2, 48))
    send(sound, "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    (path,) = results_in(results)
    np.testing.assert_array_equal(read(path), sound)


def test_a_take_that_a_stalled_disk_cuts_says_so_and_the_next_one_is_whole(
    send: Host, results: Path, running: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stands still for 16 s; 5.4 s fit into memory, and a host that runs ahead waits for 10 s."""
    shim = tmp_path / "stalled_disk.so"
    source = Path(__file__).parent / "plugin" / "stalled_disk.c"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-ldl", "-o", shim], check=True)
    for name, value in {"LD_PRELOAD": shim, "STALL_FOLDER": results / "waiting", "STALL_S": 16}.items():
        monkeypatch.setenv(name, str(value))
    sound = np.random.default_rng(9).uniform(-0.5, 0.5, (2, 20 * RATE)).astype(np.float32)
    send(sound, "Armed=1", "--", "until", "Delivered=1")
    monkeypatch.delenv("LD_PRELOAD")
    (cut,) = results_in(results)
    delivered = read(cut)
    assert 5 * RATE < delivered.shape[1] < sound.shape[1]
    np.testing.assert_array_equal(delivered, sound[:, : delivered.shape[1]])
    assert "sound came faster than the disk took it" in cut.with_suffix(".txt").read_text()
    for path in results.glob("waiting/*.json"):  # what followed: the host's silence
        assert json.loads(path.read_bytes())["note"] == ""


def test_idle_instances_cost_next_to_nothing(
    session: Callable[..., subprocess.Popen[str]], results: Path
) -> None:
    """24 more instances: CPU time and memory of a host that leaves them alone."""
    costs = []
    for tracks in (1, 25):
        host = session(tracks, 0, 0, 0, 0, "rest")
        assert host.stdout is not None
        assert host.stdout.readline() == "PLAYED\n"
        before, began = cpu_s(host.pid), time.monotonic()
        time.sleep(10)
        costs.append(((cpu_s(host.pid) - before) / (time.monotonic() - began), resident_mb(host.pid)))
        host.kill()
        host.wait()
    (one_share, one_mb), (share, mb) = costs
    assert share - one_share < 0.01
    assert (mb - one_mb) / 24 < 4


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) / 1000
