"""Seeded schedules of work and faults: whatever is killed, stopped or damaged, each job ends once and
rightly.

AIRBAND_SCHEDULES=0-199 sets the seeds to run; a seed that fails does so again:

AIRBAND_SCHEDULES=17-17 python -m pytest tests/faults/test_schedules.py
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest

from bridge import Client
from bridge.client.job import Job
from bridge.wire.home import is_running
from bridge.wire.ulid import new_ulid
from presets.errors import Cancelled, EngineError, InputError, OutputError, WorkerCrashed

if TYPE_CHECKING:
    from tests.conftest import LiveEngine

Launch = Callable[..., "LiveEngine"]
RATE_HZ = 48000
JOBS = 12
FRAMES = (2_000, 60_000, 400_000)
OPTIONS = ("--quota", "0.5")
PATIENCE_S = 120.0
DISK_BYTES = 512 * 1024**2
"""Size of the disk that gets full: twice what an engine leaves free."""

T = TypeVar("T")


def sound(seed: int, frames: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Stereo noise, which the model `null` returns bit for bit, so that any other result is wrong."""
    return 0.1 * np.random.default_rng(seed).standard_normal((2, frames), dtype="f4")


@dataclass
class Order:
    """One job as its client knows it."""

    name: str
    seed: int
    frames: int
    cancelled: bool = False


@dataclass
class Schedule:
    """A seeded sequence of work and faults on one state folder; `seed` decides every random choice.

    Args:
        start: an engine on the state folder.
        state: that folder, alone on its disk if `disk_fills` may happen.
        clock: the file that says by how many seconds the engine's wall clock is off.
        seed: for every random choice.
        faults: those that may happen.
    """

    start: Callable[[], LiveEngine]
    state: Path
    clock: Path
    seed: int
    faults: tuple[Fault, ...]
    orders: list[Order] = field(default_factory=list)
    worker_kills: int = 0
    did_damage: bool = False
    disk_was_full: bool = False

    def run(self) -> None:
        """Submits jobs while faults happen, lets everything settle, and checks the invariants."""
        chance = random.Random(self.seed)
        engine = self.start()
        try:
            with ThreadPoolExecutor(1) as sender:
                for number in range(JOBS):
                    order = Order(new_ulid(), 1000 * self.seed + number, chance.choice(FRAMES))
                    self.orders.append(order)
                    sending = sender.submit(self._submit, order, chance.random() < 0.2)
                    if chance.random() < 0.4:
                        time.sleep(0.1 * chance.random())
                        engine = chance.choice(self.faults)(self, engine, chance)
                    sending.result()
                    if chance.random() < 0.15:
                        self._cancel(chance.choice(self.orders))
            if not is_running(engine.home):
                engine = self.start()
            self._ask(self._check)
            workers = engine.workers
            engine.process.send_signal(signal.SIGTERM)
            engine.process.wait(120)
            assert engine.process.returncode == 0, engine.log.read_text()[-2000:]
            assert not any(lives(pid) for pid in workers), "a worker outlived its engine"
            assert not list((self.state / "spool" / "scratch").iterdir()), "half-written files are left"
        finally:
            engine.end()

    def _ask(self, question: Callable[[Client], T]) -> T:
        """The answer of a client, which asks again while the engine is being replaced or its disk is full."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with Client.connect(state=self.state, start=False, timeout_s=60) as client:
                    return question(client)
            except (EngineError, OutputError) as error:
                is_expected = isinstance(error, EngineError) or self.disk_was_full
                if not is_expected or time.monotonic() > deadline_s:
                    raise
            time.sleep(0.1)

    def _submit(self, order: Order, twice: bool) -> None:
        samples = sound(order.seed, order.frames)
        for _ in range(1 + twice):
            self._ask(lambda client: client.submit((samples, RATE_HZ), model="null", job=order.name))

    def _cancel(self, order: Order) -> None:
        order.cancelled = self._ask(lambda client: client.cancel(order.name)) == "cancelled"

    def _check(self, client: Client) -> None:
        """Every job has ended once, and rightly: its result equals its source, or the damage is reported."""
        listed = [job.job for job in client.jobs(None)]
        assert sorted(listed) == sorted(order.name for order in self.orders), "a job was lost or doubled"
        for order in self.orders:
            try:
                audio = Job(client, order.name).wait(120).audio
            except Cancelled:
                assert order.cancelled
                continue
            except WorkerCrashed:
                assert self.worker_kills >= 2
                continue
            except InputError as damage:
                message = damage.message
                assert self.did_damage, message
                assert "damaged" in message or "cannot be read" in message
                continue
            except OutputError as full:
                message = full.message
                assert self.disk_was_full, message
                assert "make room" in message
                continue
            assert np.array_equal(audio, sound(order.seed, order.frames)), f"job {order.name} is wrong"


Fault = Callable[[Schedule, "LiveEngine", random.Random], "LiveEngine"]


def kill_engine(schedule: Schedule, engine: LiveEngine, _: random.Random) -> LiveEngine:
    """kill -9, then the next engine on the same folder."""
    engine.end()
    return schedule.start()


def stop_engine(schedule: Schedule, engine: LiveEngine, _: random.Random) -> LiveEngine:
    """A clean end, then the next engine."""
    engine.process.send_signal(signal.SIGTERM)
    engine.process.wait(120)
    return schedule.start()


def kill_worker(schedule: Schedule, engine: LiveEngine, chance: random.Random) -> LiveEngine:
    """kill -9 for the worker; a second one on the same job rightly fails it."""
    schedule.worker_kills += 1
    for pid in engine.workers[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(chance.random())
    return engine


def freeze(_: Schedule, engine: LiveEngine, chance: random.Random) -> LiveEngine:
    """Suspends the engine or its worker for a moment."""
    pid = chance.choice([engine.process.pid, *engine.workers])
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(chance.random())
        os.kill(pid, signal.SIGCONT)
    return engine


def wipe_runtime(_: Schedule, engine: LiveEngine, __: random.Random) -> LiveEngine:
    """A logout, or tmpfiles, removes the runtime folder."""
    shutil.rmtree(engine.home.runtime, ignore_errors=True)
    return engine


def damage_stem(schedule: Schedule, engine: LiveEngine, chance: random.Random) -> LiveEngine:
    """A finished stem is cut short, or some result loses a bit."""
    spool = schedule.state / "spool"
    files = [*(spool / "stems").glob("*"), *(spool / "results").glob("*/*.pcm")]
    if files:
        schedule.did_damage = True
        path = chance.choice(sorted(files))
        with suppress(OSError):
            os.truncate(path, path.stat().st_size // 2)
    return engine


def lose_connection_file(_: Schedule, engine: LiveEngine, __: random.Random) -> LiveEngine:
    """Deletes the connection file, as somebody who tidies up might."""
    engine.home.connection.unlink(missing_ok=True)
    return engine


def fill_disk(schedule: Schedule, engine: LiveEngine, chance: random.Random) -> LiveEngine:
    """Fills the whole disk, and frees it after a while."""
    schedule.disk_was_full = True
    ballast = schedule.state.parent / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(2**20)) == 2**20:
            pass
    time.sleep(2 * chance.random())
    ballast.unlink()
    return engine


def set_clock(schedule: Schedule, engine: LiveEngine, chance: random.Random) -> LiveEngine:
    """Sets the wall clock wrong by days, or right again."""
    told = schedule.clock.with_suffix(".new")
    told.write_text(str(86400 * chance.choice((-10, 0, 10))))
    told.replace(schedule.clock)  # atomically, as an engine may read it at any moment
    return engine


def upgrade(schedule: Schedule, engine: LiveEngine, _: random.Random) -> LiveEngine:
    """A clean end; converts the state folder to an older layout; then starts today's engine."""
    engine.process.send_signal(signal.SIGTERM)
    engine.process.wait(120)
    with closing(sqlite3.connect(schedule.state / "jobs.sqlite")) as database:
        database.execute("DROP INDEX jobs_by_digest")
        database.execute("DROP INDEX jobs_by_owner")
        database.execute("ALTER TABLE jobs DROP COLUMN owner")
        database.execute("PRAGMA user_version = 1")
    for note in (schedule.state / "spool" / "results").glob("*/*.json"):
        kept = json.loads(note.read_text())
        note.write_text(json.dumps(kept.get("report", kept)))  # one already in the older layout stays
    return schedule.start()


FAULTS: tuple[Fault, ...] = (
    kill_engine,
    stop_engine,
    kill_worker,
    freeze,
    wipe_runtime,
    damage_stem,
    lose_connection_file,
    set_clock,
    upgrade,
)


def lives(pid: int) -> bool:
    """True while a process has not ended."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(said.stdout.strip()) and not said.stdout.strip().startswith("Z")


def seeds() -> range:
    """Which schedules to run."""
    first, last = os.environ.get("AIRBAND_SCHEDULES", "0-1").split("-")
    return range(int(first), int(last) + 1)


@pytest.fixture
def small_disk(tmp_path: Path, wait_until: Callable[[Callable[[], bool], str], None]) -> Iterator[Path]:
    """An empty folder on a separate disk of DISK_BYTES."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "airband-test", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk needs the right to mount a tmpfs: {error}")
    yield folder
    # Python's resource tracker briefly outlives its engine, and holds its log open.
    unmount = ["umount", str(folder)]
    wait_until(
        lambda: subprocess.run(unmount, capture_output=True, check=False).returncode == 0,
        "a disk that nobody uses any more",
    )


@pytest.fixture
def make_schedule(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Schedule]:
    """`make_schedule(state, seed, faults)`, whose engines have a clock that can be set."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    monkeypatch.setenv("SHIFTED_CLOCK", str(clock))
    program = (str(Path(__file__).with_name("shifted_clock.py")),)

    def make(state: Path, seed: int, faults: tuple[Fault, ...]) -> Schedule:
        return Schedule(lambda: launch(state, *OPTIONS, program=program), state, clock, seed, faults)

    return make


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("seed", seeds())
def test_a_schedule_loses_nothing_and_leaves_nothing(
    seed: int, make_schedule: Callable[..., Schedule], tmp_path: Path
) -> None:
    make_schedule(tmp_path / "state", seed, FAULTS).run()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("seed", seeds()[::4])
def test_a_schedule_on_a_disk_that_fills_loses_nothing_and_leaves_nothing(
    seed: int, make_schedule: Callable[..., Schedule], small_disk: Path
) -> None:
    make_schedule(small_disk / "state", seed, (*FAULTS, fill_disk, fill_disk)).run()
