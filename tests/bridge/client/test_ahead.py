"""Jobs are submitted ahead of the one that is followed, and none is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bridge.client.ahead import AHEAD, Ahead
from bridge.client.job import Job
from bridge.client.renderer import Renderer
from presets.errors import BusyError, EngineError, OutputError

WAIT_S = 20.0


class Ledger:
    """Stands in for a renderer: records which jobs were submitted, and which were cancelled.

    Attributes:
        others: names of other clients' unfinished jobs.
    """

    local = True

    def __init__(self) -> None:
        self.others: list[str] = []
        self.there: list[str] = []
        self.cancelled: set[str] = set()
        self.news = threading.Condition()

    def take(self, job: str) -> Job:
        with self.news:
            self.there.append(job)
            self.news.notify_all()
        return Job(self.renderer, job)

    def cancel(self, job: str) -> str:
        self.cancelled.add(job)
        return "cancelled"

    def jobs(self, limit: int, *, unfinished: bool) -> list[SimpleNamespace]:
        return [SimpleNamespace(job=job) for job in self.others][:limit]

    @property
    def renderer(self) -> Renderer:
        return cast(Renderer, self)

    def wait_for(self, count: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.there) >= count, WAIT_S)

    def ahead(self, count: int, hand_over: Callable[[int, str], Any]) -> Ahead[int, str]:
        return Ahead(self.renderer, list(range(count)), hand_over)


def test_so_many_are_there_while_the_first_is_followed() -> None:
    ledger = Ledger()
    with closing(ledger.ahead(AHEAD + 3, lambda task, job: ledger.take(job))) as ahead:
        for place, (task, started) in enumerate(ahead):
            assert isinstance(started, Job)
            ledger.wait_for(min(place + AHEAD, AHEAD + 3))
            assert len(ledger.there) <= place + AHEAD
            assert (task, started.id) == (place, ledger.there[place])
    assert not ledger.cancelled


def test_what_becomes_no_job_comes_in_its_turn() -> None:
    ledger = Ledger()
    tasks = ledger.ahead(5, lambda task, job: f"not {task}" if task % 2 else ledger.take(job))
    with closing(tasks) as ahead:
        told = [started if isinstance(started, str) else started.id for _, started in ahead]
    assert told == [ledger.there[0], "not 1", ledger.there[1], "not 3", ledger.there[2]]


def test_a_busy_engine_is_asked_again() -> None:
    ledger, refusals = Ledger(), [BusyError("full", retry_s=0.01)] * 3
    ledger.others = ["another's"]

    def hand_over(task: int, job: str) -> Job:
        if refusals:
            raise refusals.pop()
        return ledger.take(job)

    with closing(ledger.ahead(2, hand_over)) as ahead:
        kinds = [(task, type(started)) for task, started in ahead]
    assert kinds == [(0, BusyError), (0, Job), (1, Job)], "the wait is told once"
    assert len(ledger.there) == 2


def test_where_no_job_could_make_room_nobody_waits() -> None:
    ledger = Ledger()

    def hand_over(task: int, job: str) -> Job:
        if task == 1:
            raise BusyError("the disk is full", retry_s=0.01)
        return ledger.take(job)

    with closing(ledger.ahead(3, hand_over)) as ahead:
        told = dict(ahead)
    assert isinstance(told[1], OutputError)
    assert told[1].message == "the disk is full"
    assert [isinstance(told[task], Job) for task in (0, 2)] == [True, True]


def test_what_was_handed_over_is_cancelled_when_the_caller_lets_go() -> None:
    ledger = Ledger()
    with closing(ledger.ahead(AHEAD + 3, lambda task, job: ledger.take(job))) as ahead:
        followed = iter(ahead)
        next(followed), next(followed)
        ledger.wait_for(AHEAD + 1)
    assert ledger.cancelled == set(ledger.there[1:])
    assert len(ledger.there) == AHEAD + 1


def test_a_job_that_the_engine_takes_only_then_is_cancelled_too() -> None:
    ledger, slow = Ledger(), threading.Event()

    def hand_over(task: int, job: str) -> Job:
        if task == 1:
            slow.wait(WAIT_S)
            ledger.cancelled.clear()  # as an engine cannot cancel a job that it does not know yet
        return ledger.take(job)

    with closing(ledger.ahead(3, hand_over)) as ahead:
        next(iter(ahead))
        threading.Timer(0.2, slow.set).start()
    assert ledger.there[1] in ledger.cancelled
    assert len(ledger.there) == 2


def test_a_batch_that_is_called_off_does_not_wait_for_room() -> None:
    ledger = Ledger()
    ledger.others = ["another's"]

    def full(task: int, job: str) -> Job:
        with ledger.news:
            ledger.there.append(job)
            ledger.news.notify_all()
        raise BusyError("full", retry_s=WAIT_S)

    with closing(ledger.ahead(1, full)) as ahead:

        def follow() -> None:
            with suppress(BusyError):
                next(iter(ahead))

        threading.Thread(target=follow, daemon=True).start()
        ledger.wait_for(1)
    assert not ahead._thread.is_alive()
    assert set(ledger.there) <= ledger.cancelled


def test_an_engine_that_is_gone_ends_it() -> None:
    ledger = Ledger()

    def hand_over(task: int, job: str) -> Job:
        if task == 2:
            raise EngineError("gone")
        return ledger.take(job)

    told: list[int] = []
    with pytest.raises(EngineError, match="gone"), closing(ledger.ahead(4, hand_over)) as ahead:
        told += [task for task, _ in ahead]
    assert not told
    assert set(ledger.there) <= ledger.cancelled | {ledger.there[0], ledger.there[1]}
