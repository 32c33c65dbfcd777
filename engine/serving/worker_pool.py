"""The worker processes as the server sees them: one per device, started anew when it dies.

Where the device is a processor, helpers come beside its worker while small jobs wait: a short clip keeps one
core busy. They take the small jobs alone, and leave when there have been none for a while.

A worker is spawned, never forked, and leads a process group of its own: a terminal's Ctrl-C does not reach
it, and whatever it started dies with it. It knows that the server is gone by the end of its pipe.
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
"""The pause after a death; it doubles with each worker that never got ready, up to the cap."""
RESTART_CAP_S = 30.0

BEAT_S = 5.0
"""How often a worker is asked for a sign of life."""
SILENCE_S = 60.0
"""A worker that leaves so many seconds of questions unanswered is stopped or stuck, and is killed. A thread
of its own answers, so that neither a long step of a render nor a busy machine comes near this."""

HELPERS_MAX = 3
"""As many helpers as there are cores beside the first, up to this: each holds 70 to 170 MB."""
HELP_AFTER_S = 1.0
"""How long small jobs have waited when the next helper starts, which takes some seconds."""
HELPER_IDLE_S = 60.0
"""After how long without a job a helper leaves."""

WorkerMain = Callable[[Connection, str, WorkerOptions], None]
"""The function a worker runs: its pipe, its device, and what all workers are started with."""


class Worker:
    """One device's process.

    Args:
        device: its name: a device, or for a helper the processor and a number.
        start: spawns the process.
        is_helper: whether it is one.

    Attributes:
        needed: whether a process is to run; a helper is at first not needed.
        tasks: how many it has.
        idle_since_s: when it came up or last ended one (monotonic clock).
        pipe: what to poll; None while no process runs.
        ready: what the worker said when it came up.
        unfit: what it said when it could not.
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
        # A pair of sockets, not a pipe: zmq.Poller takes them on every system.
        ours, theirs = socket.socketpair()
        with Connection(theirs.detach()) as far_end:
            self._process = self._start(far_end)
        self.pipe, self.ready = Connection(ours.detach()), None
        self._asked_s, self._unanswered = time.monotonic(), 0

    def receive(self) -> FromWorker | None:
        """The next message; None when the process has ended, which is then cleaned up after."""
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
        """True when it has answered nothing for SILENCE_S; asks for a sign of life every BEAT_S.

        Questions are counted, not seconds: an engine that was itself stopped for a while blames nobody.
        """
        if self.pipe is None or time.monotonic() - self._asked_s < BEAT_S:
            return False
        self._asked_s = time.monotonic()
        self._unanswered += 1
        self.send(Beat())
        return self._unanswered * BEAT_S > SILENCE_S

    def bury(self) -> None:
        """Ends what is left of a process that died or must, and lets the next one start after a pause."""
        self.failures = 0 if self.ready else self.failures + 1
        self.kill()
        self.restart_s = time.monotonic() + min(RESTART_CAP_S, RESTART_S * 2**self.failures)

    def send(self, message: Task | Cancel | Beat) -> None:
        """Sends a message; that the process has ended is found out by the next `receive`."""
        self.tasks += isinstance(message, Task)
        if self.pipe is not None:
            with suppress(OSError):
                send(self.pipe, message)

    def kill(self) -> None:
        """Ends the process and all it started, and waits for it."""
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
        main: what a worker process runs.
        options: handed to each.
        helpers: how many may come beside the worker of a processor.
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
        """Those whose process is to run."""
        return [worker for worker in self if worker.needed]

    def start_due(self) -> None:
        """Starts every needed worker that does not run and whose pause is over."""
        for worker in self.needed:
            if worker.pipe is None and time.monotonic() >= worker.restart_s:
                worker.start()

    def fit(self, small_waits: bool) -> None:
        """Calls for another helper, or lets helpers go; to be called now and then.

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
        """Ends them all."""
        for worker in self:
            worker.kill()


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
