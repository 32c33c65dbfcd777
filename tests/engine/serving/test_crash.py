"""Processes that die by SIGKILL: the job, the other jobs, the engine and the machine survive that."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.wire.messages import Accepted, Cancel, Done, Failed, Listing, Ping, Pong, Progress, Status

if TYPE_CHECKING:
    from tests.conftest import LiveEngine, Peer

Samples = NDArray[np.float32]
WaitUntil = Callable[[Callable[[], bool], str], None]
LEAVE_S = 2.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and process groups are POSIX")


@pytest.fixture(scope="module")
def long_clip() -> Samples:
    """A minute of stereo noise, for which `draft` needs seconds on any current machine."""
    return 0.1 * np.random.default_rng(6).standard_normal((2, 48000 * 60), dtype="f4")


@pytest.fixture(scope="module")
def victim(
    launch: Callable[..., LiveEngine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveEngine]:
    """The engine whose workers are killed; the last test kills the engine itself."""
    live = launch(tmp_path_factory.mktemp("victim") / "state")
    yield live
    live.end()


def state_of(peer: Peer, job: str) -> str:
    while True:
        message = peer.ask(Status(job))
        while not isinstance(message, Listing):
            message = peer.hear()[0]
        return message.jobs[0].state


def gone(pids: list[int]) -> bool:
    """Whether none of these processes lives; a zombie counts as dead."""
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text() if sys.platform == "linux" else ""
            if stat.rpartition(")")[2].split()[:1] != ["Z"]:
                os.kill(pid, 0)
                return False
        except (FileNotFoundError, ProcessLookupError):
            continue
    return True


def test_a_job_whose_worker_is_killed_finishes_on_the_second_try(
    victim: LiveEngine, connect: Callable[..., Peer]
) -> None:
    live, peer = victim, connect(victim)
    clip = 0.1 * np.random.default_rng(7).standard_normal((2, 48000 * 6), dtype="f4")
    job = peer.submit(clip, model="draft", cutoff=4000)
    peer.until_progress(job)
    [worker] = live.workers
    os.kill(worker, signal.SIGKILL)
    done = peer.outcome(job)
    assert isinstance(done, Done)
    [successor] = live.workers
    assert successor != worker
    assert len(peer.fetch(job)) == clip.nbytes
    assert not list((live.home.state / "spool" / "scratch").iterdir()), "the dead worker's files are gone"


def test_the_second_death_fails_the_job_and_the_engine_lives(
    victim: LiveEngine, connect: Callable[..., Peer], long_clip: Samples
) -> None:
    live, peer = victim, connect(victim)
    doomed = peer.submit(long_clip, model="draft", cutoff=4000)
    healthy = peer.submit(np.ascontiguousarray(long_clip[:, :4800]))
    peer.until_progress(doomed)
    os.kill(live.workers[0], signal.SIGKILL)
    while not (isinstance(message := peer.hear()[0], Progress) and message.step == 0):
        pass  # messages of the first worker, up to the job's restart
    peer.until_progress(doomed)
    os.kill(live.workers[0], signal.SIGKILL)
    failed = peer.outcome(doomed)
    assert isinstance(failed, Failed)
    assert failed.code == "worker_crashed"
    assert isinstance(peer.outcome(healthy), Done)
    while peer.socket.poll(0):
        peer.hear()
    assert peer.ask(Ping(3.0)) == Pong(3.0)


def test_a_helper_comes_where_jobs_wait_and_its_death_costs_its_job_a_try(
    start_engine: Callable[..., LiveEngine],
    connect: Callable[..., Peer],
    long_clip: Samples,
    wait_until: WaitUntil,
) -> None:
    live = start_engine("--workers", "2")
    peer = connect(live)
    [worker] = live.workers
    jobs = [peer.submit(long_clip, model="draft", cutoff=4000, seed=seed) for seed in range(3)]

    def running() -> set[str]:
        return {job for job in jobs if state_of(peer, job) == "running"}

    wait_until(lambda: len(running()) == 2, "two jobs at a time")
    both = running()
    [helper] = set(live.workers) - {worker}
    os.kill(helper, signal.SIGKILL)
    for job in set(jobs) - both:
        peer.ask(Cancel(job))
    assert {job: type(peer.outcome(job)) for job in both} == dict.fromkeys(both, Done)
    assert worker in live.workers


def test_a_killed_engine_leaves_no_process_and_the_next_one_goes_on(
    victim: LiveEngine,
    start_engine: Callable[..., LiveEngine],
    connect: Callable[..., Peer],
    wait_until: WaitUntil,
    dull: Samples,
    long_clip: Samples,
) -> None:
    live, peer = victim, connect(victim)
    finished = peer.submit(dull)
    assert isinstance(peer.outcome(finished), Done)
    running = peer.submit(np.ascontiguousarray(long_clip[:, : 48000 * 6]), model="draft", cutoff=4000)
    queued, cancelled = peer.submit(dull, seed=2), peer.submit(dull, seed=3)
    assert peer.ask(Cancel(cancelled)) == Accepted(cancelled, "cancelled")
    peer.until_progress(running)
    family = [live.process.pid, *live.workers]
    live.process.kill()
    live.process.wait()
    killed_s = time.monotonic()
    wait_until(lambda: gone(family), "the worker's end")
    assert time.monotonic() - killed_s < LEAVE_S + 1.0
    assert live.home.connection.exists(), "a killed engine cannot tidy up: its connection file is stale"

    live = start_engine(state=live.home.state)
    peer = connect(live)
    assert [state_of(peer, job) for job in (finished, cancelled)] == ["done", "cancelled"]
    assert peer.fetch(finished) == dull.tobytes()
    for job in (queued, running):
        assert isinstance(peer.outcome(job), Done)
    assert len(peer.fetch(running)) == 2 * 48000 * 6 * 4
    assert not list((live.home.state / "spool" / "scratch").iterdir())
    assert not list((live.home.state / "spool" / "sources").iterdir()), "sources go with their last job"
