"""The order of jobs: fair between clients, then by priority, then by age. No I/O, no clock of its own.

A client is whoever submits: one session. Between clients the turn goes to the one that waited longest for
one; among its jobs the highest priority, and of these the oldest, runs first. A device may hold one job more
than it runs, so that it need not wait for the next. A job whose worker died goes back to its old place once;
the second death ends it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

DEATHS_MAX = 2
"""A job ends with the worker's death number this many."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A job that waits; entries of one client compare in the order in which they run."""

    rank: int
    since_s: float
    serial: int
    job: str
    client: str
    is_small: bool = False
    deaths: int = 0


class Queue:
    """Which job runs next, and on which device.

    Args:
        devices: the devices jobs can be handed to; each runs one job at a time.
        now: the clock of ages, seconds.
    """

    def __init__(self, devices: Sequence[str], now: Callable[[], float]) -> None:
        self._taken: dict[str, list[Entry]] = {device: [] for device in devices}
        """What each device runs, and behind it what it holds ahead."""
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
            job: its name; one that waits or runs already is left where it is.
            client: whose turn it takes.
            priority: higher runs first among the client's own jobs.
            since_s: its age by the injected clock; now when not given.
            is_small: whether devices that take small jobs alone may have it.
            deaths: workers that have died on it so far.
        """
        if job in self._entries or self.device_of(job) is not None:
            return
        self._serial += 1
        since_s = self._now() if since_s is None else since_s
        self._insert(Entry(-priority, since_s, self._serial, job, client, is_small, deaths))

    def position(self, job: str) -> int:
        """The job's place in the order of the next runs, from 1; 0 when it does not wait."""
        held = self._held
        if job in held:
            return 1 + held.index(job)
        entry = self._entries.get(job)
        if entry is None:
            return 0
        ahead = bisect_left(self._waiting[entry.client], entry)
        others, had_turns = 0, ahead + 1  # those whose turn comes first run one more before it
        for client, jobs in self._waiting.items():
            if client == entry.client:
                had_turns = ahead
            else:
                others += min(len(jobs), had_turns)
        return 1 + len(held) + ahead + others

    def take(self, device: str, ahead: bool = False, small_only: bool = False) -> str | None:
        """The job that `device` should run now; None when it is busy or nothing waits.

        Args:
            device: which one.
            ahead: it may be busy, if it holds none yet for the time when it is not.
            small_only: it takes small jobs alone; a client whose next one is not keeps its turn.
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
        """The device that had this job has it no longer; what it holds ahead it runs now."""
        for taken in self._taken.values():
            taken[:] = [entry for entry in taken if entry.job != job]

    def give_back(self, device: str) -> list[str]:
        """What `device` holds ahead waits again, and its client's turn is the next; which jobs these are."""
        held = self._taken[device][1:]
        for entry in held:
            self._taken[device].remove(entry)
            self._insert(entry)
            self._waiting = {entry.client: self._waiting.pop(entry.client), **self._waiting}
        return [entry.job for entry in held]

    def drop(self, job: str) -> bool:
        """Takes a waiting job out; False when it does not wait."""
        entry = self._entries.pop(job, None)
        if entry is None:
            return False
        jobs = self._waiting[entry.client]
        del jobs[bisect_left(jobs, entry)]
        if not jobs:
            del self._waiting[entry.client]
        return True

    def prioritise(self, job: str, priority: int) -> None:
        """Gives a waiting job another priority; one that does not wait is left alone."""
        entry = self._entries.get(job)
        if entry is not None:
            waiting = self._waiting[entry.client]  # the client's turn stays what it is
            del waiting[bisect_left(waiting, entry)]
            self._insert(replace(entry, rank=-priority))

    def died(self, device: str) -> tuple[str, int] | None:
        """The worker of `device` died: its job goes back to its place, or ends at DEATHS_MAX deaths.

        Returns:
            The job and how many workers have died on it now, or None when the device was idle.
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
        """True when there is a client whose next job is small."""
        return self._next_client(small_only=True) is not None

    @property
    def idle(self) -> bool:
        """True when nothing waits and nothing runs."""
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
