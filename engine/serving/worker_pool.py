"""The worker processes as the server sees them: one per device, started anew when it dies.

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

from bridge.wire.messages import Cancel
from engine.serving.worker_messages import Beat, FromWorker, Ready, Task, Unfit, WorkerOptions, receive, send

RESTART_S = 0.5
"""The pause after a death; it doubles with each worker that never got ready, up to the cap."""
RESTART_CAP_S = 30.0

BEAT_S = 5.0
"""How often a worker is asked for a sign of life."""
SILENCE_S = 60.0
"""A worker that leaves so many seconds of questions unanswered is stopped or stuck, and is killed. A thread
of its own answers, so that neither a long step of a render nor a busy machine comes near this."""

WorkerMain = Callable[[Connection, str, WorkerOptions], None]
"""The function a worker runs: its pipe, its device, and what all workers are started with."""


class Worker:
    """One device's process.

    Attributes:
        pipe: what to poll; None while no process runs.
        ready: what the worker said when it came up.
        unfit: what it said when it could not.
    """

    def __init__(self, device: str, start: Callable[[Connection], SpawnProcess]) -> None:
        self.device = device
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
            self.ready = message
        elif isinstance(message, Unfit):
            self.unfit = message
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


class WorkerPool:
    """All workers of an engine; `workers` has them by device.

    Args:
        devices: one worker each.
        main: what a worker process runs.
        options: handed to each.
    """

    def __init__(self, devices: Sequence[str], main: WorkerMain, options: WorkerOptions) -> None:
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

    def __iter__(self) -> Iterator[Worker]:
        return iter(self.workers.values())

    def start_due(self) -> None:
        """Starts every worker that does not run and whose pause is over."""
        for worker in self:
            if worker.pipe is None and time.monotonic() >= worker.restart_s:
                worker.start()

    def kill(self) -> None:
        """Ends them all."""
        for worker in self:
            worker.kill()
