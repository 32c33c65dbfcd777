"""The queue's promises: fair between clients, priority, age, cancel, one more try."""

from __future__ import annotations

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.serving.queue import DEATHS_MAX, Queue


def ticking() -> Queue:
    clock = count()
    return Queue(["cpu"], lambda: float(next(clock)))


def drain(queue: Queue, device: str = "cpu") -> list[str]:
    order = []
    while (job := queue.take(device)) is not None:
        order.append(job)
        queue.finish(job)
    return order


def test_clients_take_turns_whatever_their_number_of_jobs_and_priority() -> None:
    queue = ticking()
    for job in ("a1", "a2", "a3", "a4"):
        queue.add(job, "a", priority=9)
    queue.add("b1", "b", priority=-9)
    queue.add("c1", "c")
    assert drain(queue) == ["a1", "b1", "c1", "a2", "a3", "a4"]


def test_a_device_for_small_jobs_passes_over_clients_whose_next_one_is_not() -> None:
    queue = Queue(["cpu", "helper"], lambda: 0.0)
    queue.add("a1", "a")
    assert not queue.small_waits
    assert queue.take("helper", small_only=True) is None
    queue.add("b1", "b", is_small=True)
    queue.add("a2", "a", is_small=True)
    assert queue.small_waits
    assert queue.take("helper", small_only=True) == "b1"
    assert not queue.small_waits, "a2 comes after a1"
    assert [queue.take("cpu"), queue.finish("b1"), queue.take("helper", small_only=True)] == [
        "a1",
        None,
        "a2",
    ]


def test_priority_goes_before_age_and_age_before_arrival() -> None:
    queue = ticking()
    queue.add("old", "a")
    queue.add("new", "a")
    queue.add("urgent", "a", priority=1)
    queue.add("older", "a", since_s=-5.0)
    assert drain(queue) == ["urgent", "older", "old", "new"]


def test_a_job_that_waits_moves_with_its_priority_and_keeps_its_age() -> None:
    queue = ticking()
    for job in ("first", "second", "third"):
        queue.add(job, "a")
    queue.add("other", "b")
    queue.prioritise("third", 4)
    assert (queue.position("third"), queue.position("first")) == (1, 3)
    queue.prioritise("third", 0)
    assert queue.position("third") == 4
    queue.prioritise("third", 4)
    queue.prioritise("unknown", 9)
    assert drain(queue) == ["third", "other", "first", "second"]


def test_a_busy_device_takes_nothing_and_two_devices_share_the_queue() -> None:
    clock = count()
    queue = Queue(["cuda:0", "cuda:1"], lambda: float(next(clock)))
    for job in "xyz":
        queue.add(job, "a")
    assert (queue.take("cuda:0"), queue.take("cuda:0"), queue.take("cuda:1")) == ("x", None, "y")
    assert queue.device_of("y") == "cuda:1"
    queue.finish("y")
    assert (queue.take("cuda:1"), queue.idle) == ("z", False)


def test_a_job_gets_one_more_try_in_its_old_place() -> None:
    queue = ticking()
    for job in "xyz":
        queue.add(job, "a")
    assert queue.take("cpu") == "x"
    assert queue.died("cpu") == ("x", 1)
    assert (queue.position("x"), queue.take("cpu")) == (1, "x")
    assert queue.died("cpu") == ("x", DEATHS_MAX)
    assert (queue.position("x"), drain(queue)) == (0, ["y", "z"])
    assert queue.died("cpu") is None


def test_a_device_holds_one_job_ahead_which_is_the_next_to_run() -> None:
    queue = ticking()
    for job in ("a1", "a2", "a3"):
        queue.add(job, "a")
    queue.add("b1", "b")
    assert [queue.take("cpu"), queue.take("cpu", ahead=True), queue.take("cpu", ahead=True)] == [
        "a1",
        "b1",
        None,
    ]
    assert (queue.running("cpu"), queue.device_of("b1"), len(queue)) == ("a1", "cpu", 3)
    assert [queue.position(job) for job in ("a1", "b1", "a2", "a3")] == [0, 1, 2, 3]
    assert not queue.drop("b1"), "its worker has it"
    queue.finish("a1")
    assert (queue.running("cpu"), queue.take("cpu"), queue.position("a2")) == ("b1", None, 1)


def test_a_device_that_dies_gives_back_what_it_held_ahead_and_it_is_the_next() -> None:
    queue = ticking()
    for job in ("a1", "b1", "c1"):
        queue.add(job, job[0])
    queue.take("cpu")
    queue.take("cpu", ahead=True)
    assert queue.give_back("cpu") == ["b1"]
    assert queue.died("cpu") == ("a1", 1)
    assert queue.died("cpu") is None
    assert drain(queue) == ["b1", "c1", "a1"]
    assert queue.idle


def test_deaths_before_a_restart_count() -> None:
    queue = ticking()
    queue.add("x", "a", deaths=1)
    queue.take("cpu")
    assert queue.died("cpu") == ("x", 2)
    assert queue.idle


def test_a_job_added_twice_runs_once() -> None:
    queue = ticking()
    queue.add("x", "a")
    queue.add("x", "b")
    assert queue.take("cpu") == "x"
    queue.add("x", "a")
    assert len(queue) == 0


class Sequences(RuleBasedStateMachine):
    """Any sequence of calls, compared with a naive implementation of the rule in queue.py."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = count()
        self.queue = Queue(["cpu"], lambda: float(next(self.clock)))
        self.turns: list[str] = []
        self.jobs: list[tuple[str, str, int, int]] = []  # job, client, priority, deaths; in order of age
        self.aged: dict[str, int] = {}
        self.taken: list[tuple[str, str, int, int]] = []

    def wait(self, entry: tuple[str, str, int, int]) -> None:
        self.jobs.append(entry)
        if entry[1] not in self.turns:
            self.turns.append(entry[1])

    def order(self) -> list[tuple[str, str, int, int]]:
        left, turns, order = list(self.jobs), list(self.turns), []
        while left:
            client = turns.pop(0)
            own = [entry for entry in left if entry[1] == client]
            first = min(own, key=lambda entry: (-entry[2], self.aged[entry[0]]))
            left.remove(first)
            order.append(first)
            if len(own) > 1:
                turns.append(client)
        return order

    @rule(client=st.sampled_from("abc"), priority=st.integers(-9, 9))
    def add(self, client: str, priority: int) -> None:
        job = f"job{len(self.aged)}"
        self.aged[job] = len(self.aged)
        self.queue.add(job, client, priority)
        self.wait((job, client, priority, 0))

    @rule(data=st.data(), priority=st.integers(-9, 9))
    def prioritise(self, data: st.DataObject, priority: int) -> None:
        if self.jobs:
            place = data.draw(st.integers(0, len(self.jobs) - 1))
            job, client, _, deaths = self.jobs[place]
            self.queue.prioritise(job, priority)
            self.jobs[place] = (job, client, priority, deaths)

    @rule(ahead=st.booleans())
    def take(self, ahead: bool) -> None:
        expected = self.order()[0] if self.jobs and len(self.taken) < 1 + ahead else None
        assert self.queue.take("cpu", ahead) == (expected and expected[0])
        if expected is not None:
            self.taken.append(expected)
            self.jobs.remove(expected)
            self.turns.remove(expected[1])
            if any(entry[1] == expected[1] for entry in self.jobs):
                self.turns.append(expected[1])

    @rule()
    def finish(self) -> None:
        if self.taken:
            self.queue.finish(self.taken.pop(0)[0])

    @rule()
    def die(self) -> None:
        assert self.queue.give_back("cpu") == [entry[0] for entry in self.taken[1:]]
        for entry in self.taken[1:]:
            self.jobs.append(entry)
            self.turns = [entry[1], *(client for client in self.turns if client != entry[1])]
        died = self.queue.died("cpu")
        if not self.taken:
            assert died is None
            return
        entry, self.taken = self.taken[0], []
        deaths = entry[3] + 1
        assert died == (entry[0], deaths)
        if deaths < DEATHS_MAX:
            self.wait((*entry[:3], deaths))

    @rule(which=st.integers(0, 20))
    def drop(self, which: int) -> None:
        if which >= len(self.jobs):
            assert not self.queue.drop("never seen")
            return
        entry = self.jobs.pop(which)
        assert self.queue.drop(entry[0])
        if not any(left[1] == entry[1] for left in self.jobs):
            self.turns.remove(entry[1])

    @invariant()
    def every_position_is_the_place_in_the_order(self) -> None:
        waiting = [*self.taken[1:], *self.order()]
        assert len(self.queue) == len(waiting)
        assert [self.queue.position(entry[0]) for entry in waiting] == list(range(1, len(waiting) + 1))
        assert self.queue.idle == (not self.jobs and not self.taken)


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
