"""A worker process: one device, its models warm, one job at a time.

The main thread renders. A second one listens to the server: a cancel reaches the render at its next step, and
the end of the pipe means that the server is gone, whereupon the worker and all it started leave at once.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from bridge.protocol import Cancelled, Done, Failed, Progress
from engine.tasks import Ready, Task, ToWorker, Unfit, receive, send
from presets.errors import AirbandError, RenderError
from presets.errors import Cancelled as CancelledError
from render.upscaler import Step

PROGRESS_S = 0.05
"""Progress of a job is told this often at most."""
MESSAGE_CHARS = 4096

log = logging.getLogger("airband.worker")


class Inbox:
    """What the server has sent: tasks in order, and which jobs were cancelled.

    Args:
        pipe: the worker's end.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def next(self) -> Task:
        """Waits for a task."""
        return self._tasks.get()

    def is_cancelled(self, job: str) -> bool:
        """Whether the server called this job off."""
        return job in self._cancelled

    def _listen(self) -> None:
        while True:
            try:
                message = receive(self._pipe, ToWorker)
            except (EOFError, OSError):
                leave()
            if isinstance(message, Task):
                self._cancelled.discard(message.submit.job)
                self._tasks.put(message)
            else:
                self._cancelled.add(message.job)


def main(pipe: Connection, device: str, spool: Path, roots: Sequence[Path]) -> None:
    """A worker's life: get ready, then do what comes, until the server is gone.

    Args:
        pipe: to the server.
        device: `auto`, `cpu`, `cuda:N` or `mps`.
        spool: the spool's folder.
        roots: folders below which jobs may name paths.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    for number in (signal.SIGINT, signal.SIGTERM):  # the server decides when a worker ends
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    inbox = Inbox(pipe)

    from engine.perform import perform
    from engine.shelf import Shelf
    from engine.spool import Spool

    try:
        shelf, files = Shelf(device), Spool(spool)
        send(pipe, Ready(shelf.device, shelf.models))
    except AirbandError as error:
        send(pipe, Unfit(error.code, error.message, error.field))
        return
    while True:
        task = inbox.next()
        job = task.submit.job
        reporter = Reporter(pipe, inbox, job)
        try:
            outcome: Done | Failed | Cancelled = perform(
                task.submit, task.digest, files, shelf, roots, reporter.on_step
            )
        except CancelledError:
            outcome = Cancelled(job)
        except AirbandError as error:
            outcome = failed(job, error.code, error.message, error.field)
        except MemoryError:
            log.exception("job %s", job)
            outcome = failed(
                job, RenderError.code, "the worker ran out of memory; render a shorter selection"
            )
        except Exception as error:
            log.exception("job %s", job)
            cause = str(error).partition("\n")[0]
            outcome = failed(
                job, RenderError.code, f"{type(error).__name__}: {cause}; the engine's log has the rest"
            )
        files.drop_scratch(job)
        send(pipe, outcome)


class Reporter:
    """The `on_step` of one job: tells progress now and then, and stops a job that was cancelled."""

    def __init__(self, pipe: Connection, inbox: Inbox, job: str) -> None:
        self._pipe, self._inbox, self._job = pipe, inbox, job
        self._began_s = time.monotonic()
        self._told_s = 0.0

    def on_step(self, step: Step) -> None:
        """See `render.upscaler.StepHook`; raises presets.errors.Cancelled."""
        if self._inbox.is_cancelled(self._job):
            raise CancelledError(f"job {self._job} was cancelled")
        now_s = time.monotonic()
        if now_s - self._told_s < PROGRESS_S:
            return
        self._told_s = now_s
        eta_s = (now_s - self._began_s) * (step.of - step.step) / step.step if step.step else None
        send(self._pipe, Progress(self._job, step.stage, step.step, step.of, eta_s))


def failed(job: str, code: str, message: str, field: str | None = None) -> Failed:
    """A failure with its message cut to what the wire takes."""
    return Failed(job, code, message[:MESSAGE_CHARS], field)


def leave() -> None:
    """Ends this process and all it started, now, whatever they are at."""
    if hasattr(os, "killpg"):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
