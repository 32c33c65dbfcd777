"""The driver of a farm: gives clips to workers one by one, and reports how each of them ended.

When a worker is lost, its clip gets a second try elsewhere; a clip on which two workers were lost is reported
as failed, and the others go on. A lost worker is replaced: a new one starts when and where the cluster has
room, and nothing waits for it. Whoever kills the driver loses the clips in progress: the same command then
finds the finished ones by their sidecars, and continues.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from bridge.batch.manifest.rows import Row
from bridge.batch.plan import Item
from bridge.batch.run import Event, Order, Task
from bridge.client.model_choice import Choice, choose
from bridge.client.request import with_like
from engine.farm.worker import About, FarmWorker
from presets.errors import EngineError, RenderError, UsageError, WorkerCrashed

MOST_TRIES = 2
"""A clip is not tried again once so many workers were lost on it."""
STORE_BYTES = 80 * 2**20
"""Ray's shared memory on this machine, near its minimum, as no audio goes through it."""
KNOCK_S = 10.0
QUIET_S, LOST_S = 60.0, 900.0
"""Seconds without a worker after which the user is told, and after which the farm gives up."""


class Pool(NamedTuple):
    """The workers to request from the cluster.

    Attributes:
        address: of a Ray cluster, `auto` for the one this machine belongs to; None for this machine alone.
        workers: their number; None for as many as there is room for.
        gpus_each: GPUs per worker; None for one if the cluster has any.
    """

    address: str | None = None
    workers: int | None = None
    gpus_each: float | None = None


class Clip(NamedTuple):
    """A waiting or running render, and the number of workers lost on it."""

    item: Item
    row: Row
    losses: int = 0


def farm(pairs: Sequence[tuple[Item, Row]], pool: Pool, *, force: bool = False) -> Generator[Event]:
    """Renders a batch on Ray; close the iterator to cancel the rest.

    Args:
        pairs: the items, with absolute paths that every machine of the cluster sees, each with its row.
        pool: the workers.
        force: replace files that exist.

    Yields:
        One event per item, as it ends.

    Raises:
        UsageError: Ray is not installed.
        EngineError: there is no cluster, no room in it, or no worker starts.
        ModelError: the workers do not have a model.
    """
    if not pairs:
        return
    with _cluster(pool) as (ray, start):
        yield from _Farm(ray, start, force).run(deque(Clip(*pair) for pair in pairs))


class _Farm:
    """The workers of one batch.

    Args:
        ray: the module.
        start: starts all workers, or as many as its argument says.
        force: replace files that exist.
    """

    def __init__(self, ray: Any, start: Any, force: bool) -> None:
        self._ray, self._start, self._force = ray, start, force
        self._starting: dict[Any, Any] = {}
        self._flight: dict[Any, tuple[Any, Clip]] = {}
        self._choices: dict[str, Choice] = {}
        self._silent_s = 0.0

    def run(self, waiting: deque[Clip]) -> Generator[Event]:
        asked = {clip.row.preset.model for clip in waiting}
        for worker in self._start():
            self._greet(worker)
        idle: deque[Any] = deque()
        while waiting or self._flight:
            while waiting and idle:
                self._send(idle.popleft(), waiting.popleft())
            if not self._starting and not self._flight:
                raise EngineError("no worker is left that has the same models as the first one")
            ready, _ = self._ray.wait([*self._starting, *self._flight], timeout=QUIET_S)
            self._silent_s = 0.0 if ready or self._flight else self._silent_s + QUIET_S
            if self._silent_s:
                self._complain()
            for ref in ready:
                if ref in self._starting:
                    worker = self._starting.pop(ref)
                    if self._agrees(ref, asked):
                        idle.append(worker)
                    else:
                        self._ray.kill(worker)
                    continue
                worker, clip = self._flight.pop(ref)
                ended = self._ended(ref, clip)
                if ended is not None:
                    idle.append(worker)
                    yield ended
                    continue
                self._ray.kill(worker)
                self._greet(self._start(1)[0])
                if clip.losses + 1 < MOST_TRIES:
                    waiting.appendleft(clip._replace(losses=clip.losses + 1))
                else:
                    message = f"{clip.item.source}: {MOST_TRIES} workers were lost on it, so it is left out"
                    yield Event(clip.item, "failed", error=WorkerCrashed(message, str(clip.item.source)))

    def _greet(self, worker: Any) -> None:
        self._starting[worker.about.remote()] = worker

    def _send(self, worker: Any, clip: Clip) -> None:
        row = clip.row
        choice = self._choices[row.preset.model]
        order = Order(with_like(row.preset, local=True), row.preset_name, choice, self._force)
        self._flight[worker.render.remote(Task(clip.item, order))] = worker, clip

    def _ended(self, ref: Any, clip: Clip) -> Event | None:
        """The outcome of a clip; None if its worker was lost."""
        try:
            event: Event = self._ray.get(ref)
            return event
        except self._ray.exceptions.RayTaskError as error:
            reason = str(error.cause or error)
            return Event(clip.item, "failed", error=RenderError(f"{clip.item.source}: {reason}"))
        except self._ray.exceptions.RayError:
            return None

    def _agrees(self, ref: Any, asked: set[str]) -> bool:
        """Whether a worker that has started has the same models as the others."""
        try:
            about: About = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            if not self._starting and not self._flight:
                raise EngineError(f"no worker starts; the last one: {error}") from None
            _say(f"a worker does not start: {error}")
            return False
        choices = {model: choose(model, about.models) for model in asked}
        self._choices = self._choices or choices
        for model, choice in choices.items():
            ours, theirs = self._choices[model].model, choice.model
            if (ours.name, ours.digest) != (theirs.name, theirs.digest):
                _say(f"{about.host} is left out: its {theirs.name} differs from the others' {ours.name}")
                return False
        return True

    def _complain(self) -> None:
        if self._silent_s >= LOST_S:
            raise EngineError(
                f"no worker has started for {LOST_S:.0f} s; `ray status` shows what the cluster has room for"
            )
        _say(f"no worker for {self._silent_s:.0f} s; `ray status` shows what the cluster has room for")


@contextmanager
def _cluster(pool: Pool) -> Generator[tuple[Any, Any]]:
    """Ray, connected, and a function that starts workers; all are shut down at the end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UsageError("the farm needs Ray; pip install 'airband[farm]'", "farm") from None
    local: dict[str, Any] = {}
    if pool.address is None:
        local = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    try:
        _knock(pool.address or "")
        ray.init(address=pool.address or "local", logging_level="ERROR", log_to_driver=False, **local)
    except (OSError, ValueError, RuntimeError) as error:
        way_out = "`ray start --head` starts one; without --address this machine is used alone"
        raise EngineError(f"no Ray cluster at {pool.address}: {error}; {way_out}", "address") from None
    try:
        room = ray.cluster_resources()
        gpus_each = (1.0 if room.get("GPU") else 0.0) if pool.gpus_each is None else pool.gpus_each
        most = room.get("GPU", 0.0) / gpus_each if gpus_each else room.get("CPU", 0.0)
        count = min(int(most), pool.workers or int(most))
        if count < 1:
            raise EngineError(
                f"the cluster has no room for a worker of {gpus_each:g} GPUs", "gpus_per_worker"
            )
        actor: Any = ray.remote(num_cpus=1, num_gpus=gpus_each)(FarmWorker)
        device = "auto" if gpus_each else "cpu"
        yield ray, lambda number=count: [actor.remote(device) for _ in range(number)]
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError if nothing listens at host:port; Ray itself would keep trying for long."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "//" not in host:
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()


def _say(text: str) -> None:
    print(f"airband farm: {text}", file=sys.stderr, flush=True)
