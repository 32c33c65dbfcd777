"""A worker process: one device, its models warm, one job at a time.

The main thread renders. A second thread listens to the server: a cancel takes effect at the render's next
step, and the end of the pipe means that the server is gone; then the worker and its child processes exit at
once.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.loading import uncollected
from bridge.wire.bounds import bounded_field, bounded_text
from bridge.wire.messages import Cancel, Cancelled, Done, Failed, Progress
from engine.serving.worker_messages import (
    Beat,
    FromWorker,
    Grown,
    Next,
    Ready,
    Task,
    ToWorker,
    Unfit,
    WorkerOptions,
    receive,
    send,
)
from engine.worker.time_left import TimeLeft
from presets.errors import AirbandError, RenderError
from presets.errors import Cancelled as CancelledError

if TYPE_CHECKING:  # the server references this module's `main`, and should not load NumPy for that
    from engine.state.spool import Spool
    from engine.worker.model_cache import ModelCache
    from render.upscaler import Step, StepHook

PROGRESS_S = 0.05
"""The shortest time between two progress messages of a job."""

log = logging.getLogger("airband.worker")


class Inbox:
    """Messages from the server: tasks in order, and which jobs were cancelled.

    Args:
        pipe: the worker's end.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._writing = threading.Lock()
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def next(self) -> Task:
        """Waits for a task."""
        return self._tasks.get()

    def send(self, message: FromWorker) -> None:
        """Sends a message to the server; safe from any thread."""
        with self._writing:
            send(self._pipe, message)

    def is_cancelled(self, job: str) -> bool:
        """Whether the server cancelled this job."""
        return job in self._cancelled

    def _listen(self) -> None:
        while True:
            try:
                message = receive(self._pipe, ToWorker)
                if isinstance(message, Task):
                    self._cancelled.discard(message.submit.job)
                    self._tasks.put(message)
                elif isinstance(message, Cancel):
                    self._cancelled.add(message.job)
                else:
                    self.send(Beat())
            except (EOFError, OSError):
                leave()


def main(pipe: Connection, device: str, options: WorkerOptions) -> None:
    """The main function of a worker process: reports its models, then runs one task after the other.

    Args:
        pipe: to the server; its end means that the server is gone.
        device: `auto`, `cpu`, `cuda:N` or `mps`.
        options: shared by all workers of the engine.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    for number in (signal.SIGINT, signal.SIGTERM):  # only the server ends a worker
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    inbox = Inbox(pipe)

    with uncollected():
        from engine.state.spool import Spool
        from engine.worker.allocator import keep_freed_memory
        from engine.worker.model_cache import ModelCache

    keep_freed_memory()
    try:
        models = ModelCache(device, options.compiles)
        spool = Spool(options.spool, on_results=lambda nbytes: inbox.send(Grown(nbytes)))
        inbox.send(Ready(models.device, models.listed))
    except AirbandError as error:
        inbox.send(Unfit(error.code, bounded_text(error.message), bounded_field(error.field)))
        return
    with uncollected():
        import_module("engine.worker.run_job")  # loads while the first job is on its way
    while True:
        task = inbox.next()
        if inbox.is_cancelled(task.submit.job):  # during the previous render
            inbox.send(Cancelled(task.submit.job))
            continue
        reporter = Reporter(task.submit.job, inbox.is_cancelled, inbox.send)
        inbox.send(outcome(task, spool, models, options.roots, reporter.on_step, lambda: inbox.send(Next())))


def outcome(
    task: Task,
    spool: Spool,
    models: ModelCache,
    roots: Sequence[Path],
    on_step: StepHook,
    on_ending: Callable[[], None] = lambda: None,
) -> Done | Failed | Cancelled:
    """Runs a task; any error becomes its outcome, and nothing half-written is left."""
    from engine.worker.run_job import run_job

    job = task.submit.job
    try:
        return run_job(task, spool, models, roots, on_step, on_ending)
    except CancelledError:
        return Cancelled(job)
    except AirbandError as error:
        return Failed(job, error.code, bounded_text(error.message), bounded_field(error.field))
    except MemoryError:
        log.exception("job %s", job)
        return Failed(job, RenderError.code, "the worker ran out of memory; render a shorter selection")
    except Exception as error:
        log.exception("job %s", job)
        cause = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Failed(job, RenderError.code, bounded_text(f"{cause}; the engine's log has the rest"))
    finally:
        spool.drop_scratch(job)


class Reporter:
    """The `on_step` of one job: reports progress at intervals, and stops a cancelled job.

    Args:
        job: its name.
        is_cancelled: called at every step.
        tell: receives the progress.
    """

    def __init__(
        self, job: str, is_cancelled: Callable[[str], bool], tell: Callable[[Progress], None]
    ) -> None:
        self._job, self._is_cancelled, self._tell = job, is_cancelled, tell
        self._told_s = time.monotonic()
        self._time_left = TimeLeft()

    def on_step(self, step: Step) -> None:
        """See `render.upscaler.StepHook`; raises presets.errors.Cancelled."""
        if self._is_cancelled(self._job):
            raise CancelledError(f"job {self._job} was cancelled")
        now_s = time.monotonic()
        left_s = self._time_left.after(step, now_s)
        if now_s - self._told_s < PROGRESS_S:
            return
        self._told_s = now_s
        self._tell(Progress(self._job, step.stage, step.step, step.of, left_s))


def leave() -> None:
    """Kills this process and its child processes at once, whatever they are doing."""
    if hasattr(os, "killpg"):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
