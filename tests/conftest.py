"""Fixtures for tests that need a live engine: real processes on temporary folders, ended with the test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As in the engine: threads must not spin while they wait. Read once, when NumPy and torch are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from bridge.wire.frames import decode, encode
from bridge.wire.home import Connection, Home, find_home, read_connection
from bridge.wire.messages import (
    VERSION,
    Audio,
    Cancelled,
    Chunk,
    Data,
    DeliverPcm,
    Done,
    EngineMessage,
    Error,
    Failed,
    Fetch,
    Grant,
    Hello,
    Message,
    Pcm,
    Progress,
    Submit,
    Watch,
    Welcome,
)
from bridge.wire.transfer import ArrayBytes, Sender
from bridge.wire.ulid import new_ulid
from presets.report import RenderReport, SourceReport
from presets.schema import make

# On a busy machine the speed of an example says nothing.
hypothesis.settings.register_profile("airband", deadline=None)
hypothesis.settings.load_profile("airband")

REPOSITORY = Path(__file__).parents[1]
# A script's background process ignores SIGINT; so would these tests and every process they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)  # under nohup: still ignored here, but not by children

PATIENCE_S = 120.0
"""Seconds that a test waits for an event that must come; long, for busy machines."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Polls until `condition` holds; fails the test after PATIENCE_S."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """All living descendants of process `pid`."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in table.stdout.splitlines()]
    found, parents = [], [pid]
    while parents:
        parent = parents.pop()
        for child, above, state in rows:
            if int(above) == parent and not state.startswith("Z"):
                found.append(int(child))
                parents.append(int(child))
    return found


def lives(pid: int) -> bool:
    """True while a process has not ended."""
    table = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(table.stdout.strip()) and not table.stdout.strip().startswith("Z")


@pytest.fixture(scope="session")
def report() -> RenderReport:
    """The report of a render."""
    return RenderReport(
        generated=True,
        cutoff_hz=4000.0,
        cutoff_method="auto",
        cutoff_reason="a cliff",
        model="draft",
        weights_digest="b" * 64,
        seed=7,
        stem="full",
        rate_hz=48000,
        channels=2,
        frames=100,
        peak=0.5,
        source=SourceReport(rate_hz=16000, frames=34, first_frame=0, end_frame=34, peak=0.5),
        source_digest="a" * 64,
        model_reason="no GPU",
        device="cpu",
    )


@dataclass
class LiveEngine:
    """An engine process of its own."""

    home: Home
    process: subprocess.Popen[str]
    log: Path

    @property
    def connection(self) -> Connection:
        found = read_connection(self.home)
        assert found is not None, self.log.read_text()
        return found

    @property
    def resident_bytes(self) -> int:
        """Its resident memory without its workers; 0 where the system has no /proc."""
        statm = Path(f"/proc/{self.process.pid}/statm")
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0

    @property
    def threads(self) -> int:
        """The number of its threads; 0 where the system has no /proc."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return len(os.listdir(tasks)) if tasks.exists() else 0

    @property
    def workers(self) -> list[int]:
        """Its rendering processes: each leads a process group of its own."""
        found = []
        for pid in descendants(self.process.pid):
            with suppress(ProcessLookupError):  # it ended after it was listed
                if os.getpgid(pid) == pid:
                    found.append(pid)
        return found

    def end(self) -> None:
        """Ends it and everything it started, whatever state it is in."""
        started = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(map(lives, started)), f"processes {started} of an engine that was killed")


def launch(state: Path, *options: str, program: Sequence[str] = ("-m", "engine")) -> LiveEngine:
    """Starts `python -m engine serve`, or another program, on a state folder and waits until it serves."""
    log = state.with_suffix(".log")
    command = [sys.executable, *program, "serve", "--state", str(state), "--device", "cpu", *options]
    with log.open("a") as out:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=out, stderr=out, text=True, start_new_session=True
        )
    engine = LiveEngine(find_home(state), process, log)
    try:
        wait_until(
            lambda: (
                process.poll() is not None
                or ((found := read_connection(engine.home)) is not None and found.pid == process.pid)
            ),
            "the engine's connection file",
        )
        assert process.poll() is None, log.read_text()
    except BaseException:
        engine.end()
        raise
    return engine


class Peer:
    """A bare client of the protocol, without Airband's own: one DEALER socket, one message at a time."""

    def __init__(self, connection: Connection, hello: bool = True) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        if connection.client is not None:
            self.socket.curve_serverkey = connection.server_key.encode()
            self.socket.curve_publickey = connection.client.public.encode()
            self.socket.curve_secretkey = connection.client.secret.encode()
        self.socket.connect(connection.endpoint)
        if hello:
            assert isinstance(self.ask(Hello(VERSION, "test")), Welcome)

    def close(self) -> None:
        self._context.destroy(linger=0)

    def say(self, message: Message, buffer: Any = None) -> None:
        self.socket.send_multipart(encode(message, buffer))

    def hear(self) -> tuple[EngineMessage, bytes]:
        assert self.socket.poll(int(1000 * PATIENCE_S)), "the engine says nothing"
        message, buffer = decode(self.socket.recv_multipart(), "engine")
        return message, bytes(buffer or b"")

    def ask(self, message: Message, buffer: Any = None) -> EngineMessage:
        self.say(message, buffer)
        return self.hear()[0]

    def submit(
        self,
        samples: NDArray[np.float32],
        rate: int = 48000,
        *,
        job: str | None = None,
        deliver: Any = None,
        **knobs: Any,
    ) -> str:
        """Submits and uploads samples; returns the job when it is queued."""
        job = job or new_ulid()
        channels, frames = samples.shape
        source = Pcm(Audio(rate, channels, frames))
        params = make(**{"model": "null", **knobs})
        answer = self.ask(Submit(job, source, deliver or DeliverPcm(), params))
        assert getattr(answer, "state", None) == "uploading", answer
        self.upload(job, samples)
        return job

    def upload(self, job: str, samples: NDArray[np.float32], offset: int = 0) -> None:
        """Sends the samples from `offset` on, as credit is granted."""
        sender = Sender(ArrayBytes(samples))
        sender.resume(offset)
        while True:
            message, _ = self.hear()
            if not isinstance(message, Grant):
                assert getattr(message, "state", None) == "queued", message
                return
            sender.grant(message.offset, message.bytes)
            while (piece := sender.next()) is not None:
                self.say(Chunk(job, piece.offset, piece.last, piece.digest), piece.buffer)

    def outcome(self, job: str) -> Done | Failed | Cancelled | Error:
        """Watches a job to its end."""
        self.say(Watch(job))
        while True:
            message, _ = self.hear()
            if isinstance(message, Done | Failed | Cancelled | Error) and message.job == job:
                return message

    def until_progress(self, job: str) -> Progress:
        """Watches a job until its render is under way."""
        self.say(Watch(job))
        while True:
            message, _ = self.hear()
            assert not isinstance(message, Done | Failed | Cancelled | Error), message
            if isinstance(message, Progress) and message.step:
                return message

    def fetch(self, job: str, stem: str = "full") -> bytes:
        """All bytes of a finished stem."""
        parts: list[bytes] = []
        while True:
            self.say(Fetch(job, stem, sum(map(len, parts)), 2**20))
            message, piece = self.hear()
            assert isinstance(message, Data), message
            parts.append(piece)
            if message.last:
                return b"".join(parts)


@pytest.fixture
def pinged() -> Callable[[LiveEngine], AbstractContextManager[dict[str, Any]]]:
    """`with pinged(engine) as figures`: times of another client's pings while the block ran."""

    @contextmanager
    def measured(engine: LiveEngine) -> Iterator[dict[str, Any]]:
        pinger = str(Path(__file__).parent / "faults" / "pinger.py")
        program = [sys.executable, pinger, engine.connection.endpoint]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            figures: dict[str, Any] = {}
            yield figures
            process.stdin.close()
            figures |= json.loads(process.stdout.read())

    return measured


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[[Callable[[], bool], str], None]:
    """`wait_until(condition, what)`: polls; fails the test after PATIENCE_S."""
    return wait_until


@pytest.fixture(scope="session", name="launch")
def _launch() -> Callable[..., LiveEngine]:
    """`launch(state, *options)`: an engine that the caller ends, for fixtures of wider scope than a test."""
    return launch


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[Callable[..., LiveEngine]]:
    """`start_engine(*options, state=...)`: starts an engine, any number of times; all end after the test."""
    running: list[LiveEngine] = []

    def start(*options: str, state: Path | None = None) -> LiveEngine:
        running.append(launch(state or tmp_path / "state", *options))
        return running[-1]

    yield start
    for engine in running:
        engine.end()
        shutil.rmtree(engine.home.runtime, ignore_errors=True)  # of an engine that was killed


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """One engine for all tests that only use it; it may open paths below the tests' own temporary folders."""
    folder = tmp_path_factory.getbasetemp()
    live = launch(tmp_path_factory.mktemp("engine") / "state", "--root", str(folder))
    yield live
    live.process.send_signal(signal.SIGTERM)
    try:
        assert live.process.wait(PATIENCE_S) == 0, live.log.read_text()
    finally:
        live.end()


@pytest.fixture
def connect() -> Iterator[Callable[..., Peer]]:
    """`connect(engine)`: peers that are closed after the test."""
    peers: list[Peer] = []

    def open_peer(engine: LiveEngine, hello: bool = True) -> Peer:
        peers.append(Peer(engine.connection, hello))
        return peers[-1]

    yield open_peer
    for peer in peers:
        peer.close()


@pytest.fixture
def peer(engine: LiveEngine, connect: Callable[..., Peer]) -> Peer:
    """A peer of the shared engine that has said hello."""
    return connect(engine)


@pytest.fixture(scope="session")
def dull() -> NDArray[np.float32]:
    """2 s of stereo noise at 48 kHz that ends at 4 kHz: (2, 96000) float32, peaks near 0.3."""
    from scipy.signal import butter, sosfiltfilt

    noise = 0.1 * np.random.default_rng(1).standard_normal((2, 96000))
    filtered: NDArray[np.float32] = sosfiltfilt(butter(16, 4000, fs=48000, output="sos"), noise).astype("f4")
    return filtered
