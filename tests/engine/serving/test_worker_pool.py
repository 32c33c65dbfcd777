"""The worker processes as the server sees them: signs of life, and pauses between deaths."""

from __future__ import annotations

import socket
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from bridge.wire.messages import DeliverPcm, Submit
from bridge.wire.messages import Path as Path_
from engine.serving import worker_pool
from engine.serving.worker_messages import Beat, Ready, Task, ToWorker, WorkerOptions, receive, send
from presets.schema import make


def test_a_worker_that_answers_nothing_is_found_out_and_one_that_answers_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_pool, "BEAT_S", 0.0)
    monkeypatch.setattr(worker_pool, "SILENCE_S", 0.0)
    worker = worker_pool.Worker("cpu", lambda _: None)  # type: ignore[arg-type, return-value]
    assert not worker.is_silent(), "one that does not run owes nothing"
    ours, theirs = socket.socketpair()
    worker.pipe = Connection(ours.detach())
    far_end = Connection(theirs.detach())
    monkeypatch.setattr(worker_pool, "BEAT_S", 1e-9)
    monkeypatch.setattr(worker_pool, "SILENCE_S", 2.5e-9)
    for _ in range(5):
        assert not worker.is_silent()
        assert isinstance(receive(far_end, ToWorker), Beat)
        send(far_end, Beat())
        assert isinstance(worker.receive(), Beat)
    assert [worker.is_silent() for _ in range(3)] == [False, False, True]
    worker.bury()
    assert worker.pipe is None
    far_end.close()


def waited(pool: worker_pool.WorkerPool, small_waits: bool) -> list[str]:
    """Which workers are needed after jobs waited, or not, for a while."""
    for _ in range(2):
        pool.fit(small_waits)
    return [worker.device for worker in pool.needed]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> worker_pool.WorkerPool:
    """A pool of a worker and two helpers, none of which is ever started, without waiting times."""
    monkeypatch.setattr(worker_pool, "HELP_AFTER_S", 0.0)
    monkeypatch.setattr(worker_pool, "HELPER_IDLE_S", -1.0)
    pool = worker_pool.WorkerPool(["auto"], lambda *_: None, WorkerOptions(Path("spool")), helpers=2)
    pool.workers["auto"].ready = Ready("cpu", ())
    return pool


def test_helpers_come_one_by_one_while_small_jobs_wait_and_leave_when_they_are_idle(
    pool: worker_pool.WorkerPool,
) -> None:
    _, first, second = pool.workers
    task = Task(Submit("job", Path_("clip.wav"), DeliverPcm(), make()), "", 0)
    assert waited(pool, False) == ["auto"]
    assert waited(pool, True) == ["auto", first]
    assert waited(pool, True) == ["auto", first], "the first one is not there yet"
    pool.workers[first].ready = Ready("cpu", ())
    pool.workers[first].send(task)
    assert waited(pool, True) == ["auto", first, second]
    pool.workers[second].ready = Ready("cpu", ())
    assert waited(pool, False) == ["auto", first]
    assert pool.workers[second].ready is None
    pool.workers[first].tasks = 0
    assert waited(pool, False) == ["auto"]


def test_a_sign_of_life_is_no_work_a_helper_that_gives_it_leaves_all_the_same(
    pool: worker_pool.WorkerPool,
) -> None:
    _, first, _ = pool.workers
    ours, theirs = socket.socketpair()
    helper, far_end = pool.workers[first], Connection(theirs.detach())
    helper.pipe = Connection(ours.detach())
    send(far_end, Ready("cpu", ()))
    helper.receive()
    came_s = helper.idle_since_s
    assert came_s > 0
    send(far_end, Beat())
    helper.receive()
    assert helper.idle_since_s == came_s
    helper.bury()
    far_end.close()


def test_nobody_helps_a_gpu_or_before_the_first_worker_is_there(pool: worker_pool.WorkerPool) -> None:
    pool.workers["auto"].ready = None
    assert waited(pool, True) == ["auto"]
    pool.workers["auto"].ready = Ready("cuda:0", ())
    assert waited(pool, True) == ["auto"]


def test_a_wait_that_ended_does_not_count(
    pool: worker_pool.WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "HELP_AFTER_S", 3600.0)
    assert waited(pool, True) == ["auto"]
    pool.fit(False)
    monkeypatch.setattr(worker_pool, "HELP_AFTER_S", 0.0001)
    pool.fit(True)
    assert [worker.device for worker in pool.needed] == ["auto"]
