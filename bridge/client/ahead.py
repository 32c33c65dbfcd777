"""Jobs of a batch handed over by a thread, a few ahead of the one that is followed.

An engine answers once a job is on its disk, and that takes as long as the render of a short clip.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from bridge.client.job import Job
from bridge.client.renderer import Renderer
from bridge.wire.ulid import new_ulid
from presets.errors import AirbandError, BusyError, EngineError

AHEAD = 8
"""Jobs handed over before the first of them is over: enough to keep an engine of several workers busy."""
SLICE_S = 0.5
"""The longest the caller sleeps at a stretch: on Windows a sleeping main thread does not see Ctrl-C."""
CALLED_OFF_S = 2.0
"""How long the hand-over that is under way may still take when the batch is called off."""

T = TypeVar("T")
E = TypeVar("E")


class Ahead(Generic[T, E]):
    """Hands tasks over in their order.

    Args:
        renderer: any thread may call it.
        tasks: what is to be done.
        hand_over: hands a task over as the job of a name; gives the job, or what became of the task without
            one. Called in a thread.
    """

    def __init__(
        self, renderer: Renderer, tasks: Sequence[T], hand_over: Callable[[T, str], Job | E]
    ) -> None:
        self._renderer, self._tasks, self._hand_over = renderer, tasks, hand_over
        self._room, self._called_off = threading.Semaphore(AHEAD), threading.Event()
        self._started: SimpleQueue[tuple[str, Job | E] | BaseException] = SimpleQueue()
        self._unfinished: set[str] = set()
        """Jobs by name, from just before they are handed over until they are over."""
        self._thread = threading.Thread(target=self._work, name="airband-ahead", daemon=True)

    def __iter__(self) -> Iterator[tuple[T, Job | E]]:
        """Each task once it is handed over; it is over when the next is asked for.

        Raises what `hand_over` raised, but for BusyError, upon which it is called again.
        """
        self._thread.start()
        for task in self._tasks:
            started = self._next()
            if isinstance(started, BaseException):
                raise started
            yield task, started[1]
            self._unfinished.discard(started[0])
            self._room.release()

    def close(self) -> None:
        """Cancels what is not over."""
        self._called_off.set()
        self._room.release()
        with suppress(EngineError):  # one that is gone is not waited for job by job
            for job in list(self._unfinished):
                self._cancel(job)
        if self._thread.is_alive():
            self._thread.join(CALLED_OFF_S)

    def _next(self) -> tuple[str, Job | E] | BaseException:
        while True:
            with suppress(Empty):
                return self._started.get(timeout=SLICE_S)

    def _work(self) -> None:
        try:
            for task in self._tasks:
                self._room.acquire()
                if self._called_off.is_set():
                    return
                job = new_ulid()
                self._unfinished.add(job)
                started = self._taken(task, job)
                if not isinstance(started, Job) or self._called_off.is_set():
                    self._cancel(job)  # a hand-over that failed half-way, or came too late
                self._started.put((job, started))
        except BaseException as error:
            self._started.put(error)

    def _taken(self, task: T, job: str) -> Job | E:
        while True:
            try:
                return self._hand_over(task, job)
            except BusyError as busy:
                if self._called_off.wait(busy.retry_s):
                    raise

    def _cancel(self, job: str) -> None:
        try:
            self._renderer.cancel(job)
        except EngineError:
            raise
        except AirbandError:  # the engine does not know it yet, or any more
            pass
