"""Very many jobs and very many bytes at once: none is lost, doubled or wrong; no client waits for the others.

pytest -m slow -s tests/faults/test_load.py

prints its measurements. An engine's speed depends on the machine, so nothing is asserted about it; about
time, only that an engine under load still answers pings.

The engine's rate is compared with that of a worker alone: the same jobs, each handed over while the one
before it ends, as the engine does, but by a loop without a store and clients that only waits for the worker.
This is measured just before and just after, since clocks drift. The engine's rate counts from the arrival of
the last source: until then the clients hash and send, on processors shared by all.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from bridge.wire.frames import decode, encode
from bridge.wire.messages import (
    VERSION,
    Accepted,
    Audio,
    Cancel,
    Cancelled,
    Chunk,
    DeliverPcm,
    Done,
    EngineMessage,
    Grant,
    Hello,
    Message,
    Pcm,
    Progress,
    Submit,
    Watch,
    Welcome,
)
from bridge.wire.transfer import ArrayBytes, Sender, hasher
from bridge.wire.ulid import new_ulid
from engine.serving.memory import SPARE_BYTES
from engine.serving.worker_messages import Next, Task, WorkerOptions
from engine.serving.worker_pool import WorkerPool
from engine.state.spool import Spool
from engine.worker import process
from presets.limits import CREDIT_BYTES
from presets.schema import make

if TYPE_CHECKING:
    from tests.conftest import LiveEngine

Samples = NDArray[np.float32]
Pinged = Callable[["LiveEngine"], AbstractContextManager[dict[str, Any]]]
RATE_HZ = 48000
CLIENTS = 64
PATIENCE_S = 120.0
ANSWER_S = 10.0
"""Generous, since the clients and the writing threads use all processors for seconds."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@dataclass
class Order:
    """A job as its client knows it; `queued` and `ended` count all clients' jobs that had ended by then."""

    digest: str
    queued: int = 0
    ended: int = -1


class Caller:
    """One client: sends its clips one after the other as fast as it may, and watches all of them.

    Args:
        context, endpoint: to reach the engine.
        clips: the clips to send.
        ends: counts all clients' jobs that have ended.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        clips: Iterator[Samples],
        ends: Counter[str],
    ) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.orders: dict[str, Order] = {}
        self.is_sending = True
        self._clips, self._ends = clips, ends
        self._job, self._sender = "", Sender(ArrayBytes(np.zeros(1)))
        self.say(Hello(VERSION, "load"))

    def say(self, message: Message, buffer: Any = None) -> None:
        self.socket.send_multipart(encode(message, buffer))

    def hear(self) -> None:
        """Reads one message, and does what is due."""
        message: EngineMessage = decode(self.socket.recv_multipart(), "engine")[0]
        match message:
            case Welcome():
                self._send_next()
            case Accepted(job, "uploading") if job == self._job:
                pass
            case Grant(job, offset, nbytes):
                self._sender.grant(offset, nbytes)
                while (piece := self._sender.next()) is not None:
                    self.say(Chunk(job, piece.offset, piece.last, piece.digest), piece.buffer)
            case Accepted(job, "queued") if job == self._job:
                self.orders[job].queued = self._ends.total()
                self.say(Watch(job))
                self._send_next()
            case Accepted() | Progress():
                pass
            case Done(job, (stem,)):
                assert stem.digest == self.orders[job].digest, f"job {job} is wrong"
                self._end(job, "done")
            case Cancelled(job):
                self._end(job, "cancelled")
            case _:
                raise AssertionError(message)

    def _send_next(self) -> None:
        clip = next(self._clips, None)
        self._job = ""
        if clip is None:
            self.is_sending = False
            return
        digest = hasher()
        digest.update(clip)
        self._job, self._sender = new_ulid(), Sender(ArrayBytes(clip))
        self.orders[self._job] = Order(digest.hexdigest())
        self.say(Submit(self._job, Pcm(Audio(RATE_HZ, *clip.shape)), DeliverPcm(), make(model="null")))

    def _end(self, job: str, how: str) -> None:
        assert self.orders[job].ended < 0, f"job {job} ended twice"
        self.orders[job].ended = self._ends.total()
        self._ends[how] += 1


class Crowd:
    """All clients of one engine, in one process; those with messages are served in turn."""

    def __init__(self, engine: LiveEngine, clips: Callable[[int], Iterator[Samples]]) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self.ends: Counter[str] = Counter()
        endpoint = engine.connection.endpoint
        self.callers = [Caller(self._context, endpoint, clips(k), self.ends) for k in range(CLIENTS)]
        self._by_socket = {caller.socket: caller for caller in self.callers}
        for socket in self._by_socket:
            self._poller.register(socket, zmq.POLLIN)

    def until(self, condition: Callable[[], bool]) -> None:
        """Runs until the condition holds."""
        while not condition():
            ready = self._poller.poll(int(1000 * PATIENCE_S))
            assert ready, "the engine says nothing"
            for socket, _ in ready:
                self._by_socket[socket].hear()

    def close(self) -> None:
        self._context.destroy(linger=0)


@contextmanager
def crowd(engine: LiveEngine, clips: Callable[[int], Iterator[Samples]]) -> Iterator[Crowd]:
    people = Crowd(engine, clips)
    try:
        yield people
    finally:
        people.close()


def noise_of(chance: np.random.Generator, shape: tuple[int, ...]) -> Samples:
    """Noise without a negative zero, which a render would turn into a positive one by adding nothing."""
    return 0.1 * chance.standard_normal(shape, dtype="f4") + np.float32(0)


def jobs_per_s_of_a_worker_alone(folder: Path, clips: Iterator[Samples], warm_up: int) -> float:
    """Jobs per second of a worker that always has the next one at hand, see the top of this file.

    Args:
        folder: for its spool.
        clips: one per job.
        warm_up: the number of first jobs, which do not count.
    """
    spool = Spool(folder)
    tasks = []
    for clip in clips:
        digest = hasher()
        digest.update(clip)
        spool.source(digest.hexdigest()).write_bytes(clip)
        submit = Submit(new_ulid(), Pcm(Audio(RATE_HZ, *clip.shape)), DeliverPcm(), make(model="null"))
        tasks.append(Task(submit, digest.hexdigest(), 10**9))
    pool = WorkerPool(["cpu"], process.main, WorkerOptions(folder))
    pool.start_due()
    (worker,) = pool
    try:
        while worker.ready is None:
            worker.receive()
        waiting = iter(tasks)
        ended_s: list[float] = []
        worker.send(next(waiting))
        while len(ended_s) < len(tasks):
            message = worker.receive()
            if isinstance(message, Next) and (task := next(waiting, None)) is not None:
                worker.send(task)
            elif isinstance(message, Done):
                ended_s.append(time.monotonic())
            else:
                assert isinstance(message, Next | Progress), message
    finally:
        pool.kill()
    return (len(tasks) - warm_up) / (ended_s[-1] - ended_s[warm_up - 1])


def shares_waited(caller: Caller) -> float:
    """The longest wait of a client for one of its queued jobs: 1 if each other client had one job done."""
    waits, before = [], 0
    for order in sorted(caller.orders.values(), key=lambda order: order.ended):
        waits.append(order.ended - max(before, order.queued))
        before = order.ended
    return max(waits) / CLIENTS


def test_ten_thousand_jobs_of_64_clients_end_once_and_right_and_in_turn(
    start_engine: Callable[..., LiveEngine], pinged: Pinged, tmp_path: Path
) -> None:
    jobs, frames, alone = 160, 2000, 600

    def clips(client: int, count: int = jobs) -> Iterator[Samples]:
        chance = np.random.default_rng(client)
        return (noise_of(chance, (2, frames)) for _ in range(count))

    alone_per_s = [jobs_per_s_of_a_worker_alone(tmp_path / "before", clips(CLIENTS, alone), alone // 6)]
    live = start_engine()
    base_bytes = live.resident_bytes
    began_s = time.monotonic()
    with crowd(live, clips) as people:
        with pinged(live) as figures:
            people.until(lambda: not any(caller.is_sending for caller in people.callers))
            uploaded_s, uploaded = time.monotonic() - began_s, people.ends.total()
            people.until(lambda: people.ends.total() == CLIENTS * jobs)
        took_s = time.monotonic() - began_s
        assert people.ends == {"done": CLIENTS * jobs}
        assert [len(caller.orders) for caller in people.callers] == [jobs] * CLIENTS
        shares = max(map(shares_waited, people.callers))
    grown_bytes = live.resident_bytes - base_bytes
    alone_per_s.append(jobs_per_s_of_a_worker_alone(tmp_path / "after", clips(CLIENTS, alone), alone // 6))
    after_uploads_per_s = (CLIENTS * jobs - uploaded) / (took_s - uploaded_s)
    figures |= {
        "jobs_per_s": round(CLIENTS * jobs / took_s, 1),
        "jobs_per_s_after_uploads": round(after_uploads_per_s, 1),
        "jobs_per_s_of_the_worker_alone": [round(per_s, 1) for per_s in alone_per_s],
        "after_uploads_of_the_worker_alone": round(2 * after_uploads_per_s / sum(alone_per_s), 2),
        "uploads_per_s": round(CLIENTS * jobs / uploaded_s, 1),
        "longest_wait_in_shares": round(shares, 2),
        "grown_by_mb": round(grown_bytes / 2**20, 1),
    }
    print(json.dumps(figures))
    assert shares < 2
    assert figures["ping_ms"]["p99"] < 1000 * ANSWER_S
    assert grown_bytes < 2 * SPARE_BYTES


def test_two_gigabytes_in_flight_cost_bounded_memory_and_arrive(
    start_engine: Callable[..., LiveEngine], pinged: Pinged
) -> None:
    frames = 4 * 2**20  # 32 MiB of stereo for each of 64 clients
    needed_bytes = 3 * CLIENTS * 8 * frames + 2**30
    live = start_engine()
    if shutil.disk_usage(live.home.state).free < needed_bytes:
        pytest.skip(f"needs {needed_bytes} bytes of disk")
    noise = noise_of(np.random.default_rng(0), (2 * frames + 1000 * CLIENTS,))

    def clips(client: int) -> Iterator[Samples]:
        return iter([noise[1000 * client : 1000 * client + 2 * frames].reshape(2, frames)])

    base_bytes, largest_bytes, most = live.resident_bytes, 0, 0
    began_s = time.monotonic()
    with crowd(live, clips) as people, pinged(live) as figures:

        def is_sent() -> bool:
            nonlocal largest_bytes, most
            largest_bytes = max(largest_bytes, live.resident_bytes)
            sending = sum(caller.is_sending for caller in people.callers)
            most = max(most, sending)
            return not sending

        people.until(is_sent)
        sent_s = time.monotonic() - began_s
        for caller in people.callers[8:]:
            for job in caller.orders:
                caller.say(Cancel(job))
        people.until(lambda: people.ends.total() == CLIENTS)
    figures |= {
        "gb": round(CLIENTS * 8 * frames / 1e9, 2),
        "mb_per_s": round(CLIENTS * 8 * frames / sent_s / 1e6),
        "grown_by_mb": round((largest_bytes - base_bytes) / 2**20, 1),
        "ends": dict(people.ends),
    }
    print(json.dumps(figures))
    assert most == CLIENTS, "all of them were under way at once"
    assert people.ends["done"] >= 8
    assert largest_bytes - base_bytes < 2 * SPARE_BYTES + CREDIT_BYTES * CLIENTS
    assert "dropped" not in live.log.read_text(), "no connection was in the way"
    assert figures["ping_ms"]["p99"] < 1000 * ANSWER_S
    wait_s = time.monotonic() + PATIENCE_S
    while any((live.home.state / "spool" / "sources").iterdir()):
        assert time.monotonic() < wait_s, "sources of ended jobs are left"
        time.sleep(0.1)
