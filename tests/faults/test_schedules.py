"""Seeded schedules of work and harm: whatever is killed, stopped or damaged, each job ends once and right.

AIRBAND_SCHEDULES=0-199 says which seeds are run; a seed that fails, fails again:

    AIRBAND_SCHEDULES=17-17 python -m pytest tests/faults/test_schedules.py
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bridge import Client
from bridge.client.job import Job
from bridge.wire.home import is_running
from bridge.wire.ulid import new_ulid
from presets.errors import Cancelled, InputError, WorkerCrashed

if TYPE_CHECKING:
    from tests.conftest import LiveEngine

Launch = Callable[..., "LiveEngine"]
RATE_HZ = 48000
JOBS = 12
FRAMES = (2_000, 60_000, 400_000)
OPTIONS = ("--quota", "0.5")


def sound(seed: int, frames: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Stereo noise: the model `null` gives it back bit for bit, so that any other answer is a wrong one."""
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
    """A seeded sequence of work and harm on one state folder; every random choice comes from `seed`."""

    launch: Launch
    state: Path
    seed: int
    orders: list[Order] = field(default_factory=list)
    worker_kills: int = 0

    def run(self) -> None:
        """Submits jobs while faults happen, lets everything settle, and checks the invariants."""
        chance = random.Random(self.seed)
        engine = self.launch(self.state, *OPTIONS)
        try:
            for number in range(JOBS):
                order = Order(new_ulid(), 1000 * self.seed + number, chance.choice(FRAMES))
                self.orders.append(order)
                sending = threading.Thread(target=self._submit, args=(order, chance.random() < 0.2))
                sending.start()
                if chance.random() < 0.4:
                    time.sleep(0.1 * chance.random())
                    engine = chance.choice(FAULTS)(self, engine, chance)
                sending.join()
                if chance.random() < 0.15:
                    self._cancel(chance.choice(self.orders))
            if not is_running(engine.home):
                engine = self.launch(self.state, *OPTIONS)
            self._check()
            workers = engine.workers
            engine.process.send_signal(signal.SIGTERM)
            engine.process.wait(120)
            assert engine.process.returncode == 0, engine.log.read_text()[-2000:]
            assert not any(lives(pid) for pid in workers), "a worker outlived its engine"
            assert not list((self.state / "spool" / "scratch").iterdir()), "half-written files are left"
        finally:
            engine.end()

    def _submit(self, order: Order, twice: bool) -> None:
        samples = sound(order.seed, order.frames)
        with Client.connect(state=self.state, start=False, timeout_s=60) as client:
            for _ in range(1 + twice):
                client.submit((samples, RATE_HZ), model="null", job=order.name)

    def _cancel(self, order: Order) -> None:
        with Client.connect(state=self.state, start=False, timeout_s=60) as client:
            order.cancelled = client.cancel(order.name) == "cancelled"

    def _check(self) -> None:
        """Every job has ended once, as it should: what came back is what was sent, or its damage is told."""
        with Client.connect(state=self.state, start=False, timeout_s=60) as client:
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
                    assert "damaged" in message or "cannot be read" in message
                    continue
                assert np.array_equal(audio, sound(order.seed, order.frames)), f"job {order.name} is wrong"


def kill_engine(schedule: Schedule, engine: LiveEngine, _: random.Random) -> LiveEngine:
    """kill -9, and the next engine on the same folder."""
    engine.end()
    return schedule.launch(schedule.state, *OPTIONS)


def stop_engine(schedule: Schedule, engine: LiveEngine, _: random.Random) -> LiveEngine:
    """A clean end, and the next engine."""
    engine.process.send_signal(signal.SIGTERM)
    engine.process.wait(120)
    return schedule.launch(schedule.state, *OPTIONS)


def kill_worker(schedule: Schedule, engine: LiveEngine, chance: random.Random) -> LiveEngine:
    """kill -9 for the worker; the second one on one job rightly fails it."""
    schedule.worker_kills += 1
    for pid in engine.workers[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(chance.random())
    return engine


def freeze(_: Schedule, engine: LiveEngine, chance: random.Random) -> LiveEngine:
    """The engine, or its worker, stands still for a moment."""
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
    files = [*(spool / "stems").glob("*"), *(spool / "results").glob("*.pcm")]
    if files:
        path = chance.choice(sorted(files))
        with suppress(OSError):
            os.truncate(path, path.stat().st_size // 2)
    return engine


def lose_connection_file(_: Schedule, engine: LiveEngine, __: random.Random) -> LiveEngine:
    """Somebody tidies up the state folder."""
    engine.home.connection.unlink(missing_ok=True)
    return engine


FAULTS = (kill_engine, stop_engine, kill_worker, freeze, wipe_runtime, damage_stem, lose_connection_file)


def lives(pid: int) -> bool:
    """True while a process has not ended."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(said.stdout.strip()) and not said.stdout.strip().startswith("Z")


def seeds() -> range:
    """Which schedules to run."""
    first, last = os.environ.get("AIRBAND_SCHEDULES", "0-1").split("-")
    return range(int(first), int(last) + 1)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("seed", seeds())
def test_a_schedule_loses_nothing_and_leaves_nothing(seed: int, launch: Launch, tmp_path: Path) -> None:
    Schedule(launch, tmp_path / "state", seed).run()
