"""Submits the jobs of a batch from a thread, a few ahead of the job that the caller follows.

An engine answers a submit once the job is on its disk, which takes as long as the render of a short clip.
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
from presets.errors import AirbandError, BusyError, EngineError, OutputError

AHEAD = 8
"""How many jobs may be submitted and unfinished at a time: enough to keep an engine's workers busy."""
SLICE_S = 0.5
"""The longest single wait of the caller, in seconds: on Windows a waiting main thread ignores Ctrl-C."""
CALLED_OFF_S = 2.0
"""How long `close` waits for a submit that is under way, in seconds."""

T = TypeVar("T")
E = TypeVar("E")


class Ahead(Generic[T, E]):
    """Submits tasks in their order, as an iterable.

    Args:
        renderer: the tasks' renderer; it must be safe to call from any thread.
        tasks: the tasks.
        hand_over: submits a task as a job with the given name. Returns the job, or another outcome of the
            task if it needs no job. Called in a thread.
    """

    def __init__(
        self, renderer: Renderer, tasks: Sequence[T], hand_over: Callable[[T, str], Job | E]
    ) -> None:
        self._renderer, self._tasks, self._hand_over = renderer, tasks, hand_over
        self._room, self._called_off = threading.Semaphore(AHEAD), threading.Event()
        self._started: SimpleQueue[tuple[str, Job | E | OutputError] | BaseException] = SimpleQueue()
        self._unfinished: set[str] = set()
        """Names of jobs, from just before they are submitted until the caller is done with them."""
        self._thread = threading.Thread(target=self._work, name="airband-ahead", daemon=True)

    def __iter__(self) -> Iterator[tuple[T, Job | E | BusyError | OutputError]]:
        """Yields each task with its job once submitted; asking for the next means that this one is over.

        After a BusyError `hand_over` is called again. Where only jobs of others could make room, the task is
        first yielded with that error; where none could, with an OutputError in place of a job. Raises what
        else `hand_over` raised.
        """
        self._thread.start()
        for task in self._tasks:
            while isinstance(started := self._next(), BusyError):
                yield task, started
            if isinstance(started, BaseException):
                raise started
            yield task, started[1]
            self._unfinished.discard(started[0])
            self._room.release()

    def close(self) -> None:
        """Cancels all jobs that are not over."""
        self._called_off.set()
        self._room.release()
        with suppress(EngineError):  # if the engine is gone, do not wait for it job by job
            for job in list(self._unfinished):
                self._cancel(job)
        if self._thread.is_alive():
            self._thread.join(CALLED_OFF_S)

    def _next(self) -> tuple[str, Job | E | OutputError] | BaseException:
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
                started = self._submitted(task, job)
                if not isinstance(started, Job) or self._called_off.is_set():
                    self._cancel(job)  # a submit that failed half-way, or came too late
                self._started.put((job, started))
        except BaseException as error:
            self._started.put(error)

    def _submitted(self, task: T, job: str) -> Job | E | OutputError:
        is_told = False
        while True:
            try:
                return self._hand_over(task, job)
            except BusyError as busy:
                if self._called_off.is_set():
                    raise
                if self._unfinished == {job}:
                    if not self._others_work(job):
                        return OutputError(busy.message, "spool")
                    if not is_told:
                        self._started.put(busy)
                    is_told = True
                if self._called_off.wait(busy.retry_s):
                    raise

    def _others_work(self, job: str) -> bool:
        """Whether jobs other than `job` may be unfinished; an engine elsewhere shows only this user's."""
        if not self._renderer.local:
            return True
        return any(status.job != job for status in self._renderer.jobs(2, unfinished=True))

    def _cancel(self, job: str) -> None:
        try:
            self._renderer.cancel(job)
        except EngineError:
            raise
        except AirbandError:  # the engine does not know the job yet, or no longer
            pass
