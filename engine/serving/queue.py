"""The order of jobs: fair between clients, then by priority, then by age. No I/O, no clock of its own.

A client is one session. Between clients, the one that waited longest for a turn is next; among its jobs, the
highest priority comes first, and of these the oldest. A device may hold one job more than it runs, so that it
need not wait for the next. When its worker dies, a job returns to its old place; a second death ends it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

DEATHS_MAX = 2
"""A job ends at this number of worker deaths."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A waiting job; entries of one client compare in the order in which they run."""

    rank: int
    since_s: float
    serial: int
    job: str
    client: str
    is_small: bool = False
    deaths: int = 0


class Queue:
    """Decides which job runs next, and on which device.

    Args:
        devices: the devices that run jobs, one at a time each.
        now: the clock for ages, in seconds.
    """

    def __init__(self, devices: Sequence[str], now: Callable[[], float]) -> None:
        self._taken: dict[str, list[Entry]] = {device: [] for device in devices}
        """What each device runs, followed by what it holds ahead."""
        self._now = now
        self._waiting: dict[str, list[Entry]] = {}
        self._entries: dict[str, Entry] = {}
        self._serial = 0

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._entries) + len(self._held)

    def add(
        self,
        job: str,
        client: str,
        priority: int = 0,
        *,
        since_s: float | None = None,
        is_small: bool = False,
        deaths: int = 0,
    ) -> None:
        """Queues a job.

        Args:
            job: its name; nothing happens if it already waits or runs.
            client: whose turn it takes.
            priority: higher runs first among the client's own jobs.
            since_s: its age by the injected clock; by default now.
            is_small: whether devices that take only small jobs may run it.
            deaths: workers that have died on it so far.
        """
        if job in self._entries or self.device_of(job) is not None:
            return
        self._serial += 1
        since_s = self._now() if since_s is None else since_s
        self._insert(Entry(-priority, since_s, self._serial, job, client, is_small, deaths))

    def position(self, job: str) -> int:
        """The job's place among the next runs, from 1; 0 if it does not wait."""
        held = self._held
        if job in held:
            return 1 + held.index(job)
        entry = self._entries.get(job)
        if entry is None:
            return 0
        ahead = bisect_left(self._waiting[entry.client], entry)
        others, had_turns = 0, ahead + 1  # clients whose turn comes first run one more job before it
        for client, jobs in self._waiting.items():
            if client == entry.client:
                had_turns = ahead
            else:
                others += min(len(jobs), had_turns)
        return 1 + len(held) + ahead + others

    def take(self, device: str, ahead: bool = False, small_only: bool = False) -> str | None:
        """The job that `device` should run now; None if it is busy or nothing waits.

        Args:
            device: the device.
            ahead: it may be busy, provided it holds no job ahead yet.
            small_only: it takes only small jobs; a client whose next job is not small keeps its turn.
        """
        client = self._next_client(small_only)
        if len(self._taken[device]) > ahead or client is None:
            return None
        jobs = self._waiting.pop(client)
        entry = jobs.pop(0)
        if jobs:
            self._waiting[client] = jobs
        del self._entries[entry.job]
        self._taken[device].append(entry)
        return entry.job

    def finish(self, job: str) -> None:
        """Removes a job from the device that had it, which then runs the job it holds ahead."""
        for taken in self._taken.values():
            taken[:] = [entry for entry in taken if entry.job != job]

    def give_back(self, device: str) -> list[str]:
        """Queues the jobs that `device` holds ahead again, with their clients' turns next; returns them."""
        held = self._taken[device][1:]
        for entry in held:
            self._taken[device].remove(entry)
            self._insert(entry)
            self._waiting = {entry.client: self._waiting.pop(entry.client), **self._waiting}
        return [entry.job for entry in held]

    def drop(self, job: str) -> bool:
        """Removes a waiting job; False if it does not wait."""
        entry = self._entries.pop(job, None)
        if entry is None:
            return False
        jobs = self._waiting[entry.client]
        del jobs[bisect_left(jobs, entry)]
        if not jobs:
            del self._waiting[entry.client]
        return True

    def prioritise(self, job: str, priority: int) -> None:
        """Gives a waiting job another priority; does nothing for other jobs."""
        entry = self._entries.get(job)
        if entry is not None:
            waiting = self._waiting[entry.client]  # the client keeps its turn
            del waiting[bisect_left(waiting, entry)]
            self._insert(replace(entry, rank=-priority))

    def died(self, device: str) -> tuple[str, int] | None:
        """Returns the job of `device`, whose worker died, to its place, or ends it at DEATHS_MAX deaths.

        Returns:
            The job and its number of deaths so far, or None if the device was idle.
        """
        if not self._taken[device]:
            return None
        entry = self._taken[device].pop(0)
        deaths = entry.deaths + 1
        if deaths < DEATHS_MAX:
            self._insert(replace(entry, deaths=deaths))
        return entry.job, deaths

    def running(self, device: str) -> str | None:
        """The job that `device` runs."""
        return next((entry.job for entry in self._taken[device]), None)

    def device_of(self, job: str) -> str | None:
        """The device that runs `job`, or holds it ahead."""
        found = (device for device, taken in self._taken.items() for entry in taken if entry.job == job)
        return next(found, None)

    @property
    def small_waits(self) -> bool:
        """Whether some client's next job is small."""
        return self._next_client(small_only=True) is not None

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._entries and not any(self._taken.values())

    @property
    def _held(self) -> list[str]:
        """The jobs that devices hold ahead."""
        return [entry.job for entry in chain.from_iterable(taken[1:] for taken in self._taken.values())]

    def _next_client(self, small_only: bool) -> str | None:
        turns = (client for client, jobs in self._waiting.items() if jobs[0].is_small or not small_only)
        return next(turns, None)

    def _insert(self, entry: Entry) -> None:
        self._entries[entry.job] = entry
        insort(self._waiting.setdefault(entry.client, []), entry)
