"""The worker processes as the server sees them: one per device, restarted when it dies.

On a processor, helpers join its worker while small jobs wait, since a short clip uses only one core. Helpers
take only small jobs, and exit when there have been none for a while.

A worker is spawned, never forked, and leads a process group of its own: a terminal's Ctrl-C does not reach
    it, and its
child processes die with it. It learns that the server is gone from the end of its pipe.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import msgspec

from bridge.wire.messages import Cancel, Cancelled, Done, Failed
from engine.serving.worker_messages import Beat, FromWorker, Ready, Task, Unfit, WorkerOptions, receive, send

PROCESSOR = "cpu"
RESTART_S = 0.5
"""The pause after a death, in seconds; it doubles with each worker that never got ready, up to the cap."""
RESTART_CAP_S = 30.0

BEAT_S = 5.0
"""How often a worker is asked for a sign of life, in seconds."""
SILENCE_S = 60.0
"""A worker that has left questions unanswered for so many seconds is stopped or stuck, and is killed. A
thread of its own answers, so that neither a long render step nor a busy machine comes near this limit."""

HELPERS_MAX = 3
"""The most helpers; there is one for each core beyond the first. Each holds 70 to 170 MB."""
HELP_AFTER_S = 1.0
"""How long small jobs must wait before the next helper is started, which takes some seconds."""
HELPER_IDLE_S = 60.0
"""A helper exits after so many seconds without a job."""

WorkerMain = Callable[[Connection, str, WorkerOptions], None]
"""The function that a worker runs: takes its pipe, its device, and the options of all workers."""


class Worker:
    """The process for one device.

    Args:
        device: the device, or for a helper the processor and a number.
        start: spawns the process.
        is_helper: whether it is a helper.

    Attributes:
        needed: whether a process should run; initially False for a helper.
        tasks: how many jobs it has.
        idle_since_s: when it got ready or last ended a job (monotonic clock).
        pipe: to be polled; None while no process runs.
        ready: the worker's message when it got ready.
        unfit: its message if it could not.
    """

    def __init__(
        self, device: str, start: Callable[[Connection], SpawnProcess], is_helper: bool = False
    ) -> None:
        self.device, self.is_helper = device, is_helper
        self.needed = not is_helper
        self.tasks = 0
        self.idle_since_s = 0.0
        self.pipe: Connection | None = None
        self.ready: Ready | None = None
        self.unfit: Unfit | None = None
        self.failures = 0
        self.restart_s = 0.0
        self._start = start
        self._process: SpawnProcess | None = None
        self._asked_s = 0.0
        self._unanswered = 0

    def start(self) -> None:
        """Spawns the process."""
        # A socket pair instead of a pipe, because zmq.Poller accepts it on every system.
        ours, theirs = socket.socketpair()
        with Connection(theirs.detach()) as far_end:
            self._process = self._start(far_end)
        self.pipe, self.ready = Connection(ours.detach()), None
        self._asked_s, self._unanswered = time.monotonic(), 0

    def receive(self) -> FromWorker | None:
        """The next message; None if the process has ended, after cleaning up."""
        assert self.pipe is not None
        try:
            message: FromWorker = receive(self.pipe, FromWorker)
        except (EOFError, OSError, msgspec.DecodeError):
            self.bury()
            return None
        self._unanswered = 0
        if isinstance(message, Ready):
            self.ready, self.idle_since_s = message, time.monotonic()
        elif isinstance(message, Unfit):
            self.unfit = message
        elif isinstance(message, Done | Failed | Cancelled):
            self.tasks, self.idle_since_s = self.tasks - 1, time.monotonic()
        return message

    def is_silent(self) -> bool:
        """True if it has answered nothing for SILENCE_S; asks for a sign of life every BEAT_S.

        It counts questions, not seconds, so that an engine that was itself suspended does not blame its
        workers.
        """
        if self.pipe is None or time.monotonic() - self._asked_s < BEAT_S:
            return False
        self._asked_s = time.monotonic()
        self._unanswered += 1
        self.send(Beat())
        return self._unanswered * BEAT_S > SILENCE_S

    def bury(self) -> None:
        """Kills the remains of a process that died or must, and lets the next one start after a pause."""
        self.failures = 0 if self.ready else self.failures + 1
        self.kill()
        self.restart_s = time.monotonic() + min(RESTART_CAP_S, RESTART_S * 2**self.failures)

    def send(self, message: Task | Cancel | Beat) -> None:
        """Sends a message; if the process has ended, the next `receive` finds out."""
        self.tasks += isinstance(message, Task)
        if self.pipe is not None:
            with suppress(OSError):
                send(self.pipe, message)

    def kill(self) -> None:
        """Kills the process and its children, and waits for it."""
        process, self._process = self._process, None
        if process is not None and process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
            process.kill()
            process.join()
            process.close()
        if self.pipe is not None:
            self.pipe.close()
        self.pipe = self.ready = None
        self.tasks = 0


class WorkerPool:
    """All workers of an engine; `workers` has them by name.

    Args:
        devices: one worker each.
        main: the function that a worker process runs.
        options: passed to each.
        helpers: how many helpers may join the worker of a processor.
    """

    def __init__(
        self, devices: Sequence[str], main: WorkerMain, options: WorkerOptions, helpers: int = 0
    ) -> None:
        context = multiprocessing.get_context("spawn")

        def starter(device: str) -> Callable[[Connection], SpawnProcess]:
            def start(far_end: Connection) -> SpawnProcess:
                process = context.Process(
                    target=main, args=(far_end, device, options), name=f"airband-{device}"
                )
                process.start()
                return process

            return start

        self.workers = {device: Worker(device, starter(device)) for device in devices}
        for number in range(1, helpers + 1):
            name = f"{PROCESSOR}, helper {number}"
            self.workers[name] = Worker(name, starter(PROCESSOR), is_helper=True)
        self._waits_since_s: float | None = None

    def __iter__(self) -> Iterator[Worker]:
        return iter(self.workers.values())

    @property
    def needed(self) -> list[Worker]:
        """Workers whose process should run."""
        return [worker for worker in self if worker.needed]

    def start_due(self) -> None:
        """Starts every needed worker that does not run and whose pause is over."""
        for worker in self.needed:
            if worker.pipe is None and time.monotonic() >= worker.restart_s:
                worker.start()

    def fit(self, small_waits: bool) -> None:
        """Calls for another helper, or dismisses idle ones; to be called regularly.

        Args:
            small_waits: whether a job waits that a helper could run.
        """
        now_s = time.monotonic()
        helpers = [worker for worker in self if worker.is_helper]
        for helper in helpers:
            if helper.ready and not helper.tasks and now_s - helper.idle_since_s > HELPER_IDLE_S:
                helper.needed = False
                helper.kill()
        if not small_waits or any(worker.ready is None for worker in self.needed):
            self._waits_since_s = None
            return
        self._waits_since_s = self._waits_since_s or now_s
        on_processor = any(worker.ready and worker.ready.device == PROCESSOR for worker in self.needed)
        if on_processor and now_s - self._waits_since_s >= HELP_AFTER_S:
            for helper in [helper for helper in helpers if not helper.needed][:1]:
                helper.needed = True
            self._waits_since_s = None

    def kill(self) -> None:
        """Kills all workers."""
        for worker in self:
            worker.kill()


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
