"""LocalRenderer: does in this process, without a socket, what a Client has an engine do.

Jobs, store, spool and queue are those of an engine; a thread replaces the worker process, and method calls
replace messages.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from queue import Empty, SimpleQueue

import presets
from bridge.client.job import Event
from bridge.client.renderer import Renderer
from bridge.wire.home import claim, find_home, prepare, remove_connection
from bridge.wire.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Chunk,
    Done,
    EngineMessage,
    Failed,
    Fetch,
    Grant,
    JobStatus,
    Model,
    Progress,
    State,
    Stem,
    Submit,
)
from bridge.wire.messages import Jobs as ListJobs
from bridge.wire.transfer import Bytes, Sender
from bridge.wire.ulid import new_ulid
from engine.serving.jobs import Jobs
from engine.serving.worker_messages import Ready, Task
from engine.state.spool import Spool
from engine.state.store import Store
from engine.state.syncer import sync
from engine.worker.model_cache import ModelCache
from engine.worker.process import Reporter, outcome
from presets.errors import BusyError, EngineError
from presets.limits import CHUNK_BYTES

DEVICE = "here"


class LocalRenderer(Renderer):
    """Renders in this process, as a context manager; see `bridge.client.renderer.Renderer` for its methods.

    Args:
        state: folder of jobs and results; by default a temporary one, deleted at the end.
        device: `auto`, `cpu`, `cuda:N` or `mps`.

    Raises:
        EngineError: an engine runs on the state folder.
        UsageError: this machine does not have the device.
    """

    local = True
    is_helper = False

    def __init__(self, state: Path | str | None = None, device: str = "cpu") -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._closed = False
        self._cancelled: set[str] = set()
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._watchers: dict[str, list[SimpleQueue[EngineMessage]]] = {}
        self._session = new_ulid()
        self._models = ModelCache(device)
        self.ready = Ready(self._models.device, self._models.listed)
        with ExitStack() as stack:
            if state is None:
                state = tempfile.mkdtemp(prefix="airband-")
                stack.callback(shutil.rmtree, state, ignore_errors=True)
            home = find_home(Path(state))
            prepare(home)
            stack.callback(claim(home).release)
            stack.callback(remove_connection, home)
            self._store = store = stack.enter_context(closing(Store(home.state / "jobs.sqlite")))
            self._spool = Spool(home.state / "spool")
            self._jobs = stack.enter_context(closing(Jobs(store, self._spool, {DEVICE: self}, self._tell)))
            self._resources = stack.pop_all()
        self._thread = threading.Thread(target=self._work, name="airband-local", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def models(self) -> tuple[Model, ...]:
        """See `Renderer.models`."""
        return self.ready.models

    @property
    def presets(self) -> tuple[str, ...]:
        """See `Renderer.presets`."""
        return presets.names()

    def watch(self, job: str, timeout_s: float | None = None) -> Iterator[Event]:
        """See `Renderer.watch`."""
        if timeout_s is not None and timeout_s > threading.TIMEOUT_MAX:
            timeout_s = None
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        news: SimpleQueue[EngineMessage] = SimpleQueue()
        with self._open():
            outcome, state = self._jobs.record(job).outcome, self._jobs.state(job)
            self._watchers.setdefault(job, []).append(news)
        try:
            yield state
            if outcome is not None:
                yield outcome
                return
            while True:
                left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
                event = news.get(timeout=left_s)
                assert isinstance(event, Progress | Done | Failed | Cancelled)
                yield event
                if not isinstance(event, Progress):
                    return
        except Empty:
            raise EngineError(
                f"job {job} has not ended after {timeout_s:g} s; it goes on: wait again, or cancel it"
            ) from None
        finally:
            with self._lock:
                self._watchers[job].remove(news)
                if not self._watchers[job]:
                    del self._watchers[job]

    def fetch(self, job: str, stem: Stem) -> Iterator[memoryview]:
        """See `Renderer.fetch`."""
        offset, last = 0, False
        while not last:
            with self._open():
                data, piece = self._jobs.read(Fetch(job, stem.name, offset, CHUNK_BYTES), CHUNK_BYTES)
            offset, last = offset + len(piece), data.last
            yield memoryview(piece)

    def _listed(self, asked: ListJobs) -> tuple[JobStatus, ...]:
        with self._open():
            return self._jobs.listed(asked)

    def status(self, job: str) -> JobStatus:
        """See `Renderer.status`."""
        with self._open():
            return self._jobs.status(job)

    def cancel(self, job: str) -> State:
        """See `Renderer.cancel`."""
        with self._open():
            return self._jobs.cancel(job).state

    def forget(self, job: str) -> None:
        """See `Renderer.forget`."""
        with self._open():
            self._jobs.forget(job)

    def ping(self) -> float:
        """See `Renderer.ping`; the time until the lock on the jobs is free."""
        began_s = time.monotonic()
        with self._open():
            return time.monotonic() - began_s

    def close(self) -> None:
        """Stops the running job and closes; jobs in a given state folder continue when it is opened again."""
        if self._pid != os.getpid():  # a forked child shares its parent's folders, but has no thread
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        self._tasks.put(None)
        self._thread.join()
        self._resources.close()

    def send(self, message: Task | Cancel) -> None:
        """See `engine.serving.worker_messages.JobWorker`."""
        if isinstance(message, Task):
            self._tasks.put(message)
        else:
            self._cancelled.add(message.job)

    def _open(self) -> threading.RLock:
        if self._pid != os.getpid():
            raise EngineError(f"this renderer belongs to process {self._pid}; make a new one after a fork")
        if self._closed:
            raise EngineError("this renderer is closed")
        return self._lock

    def _hand_over(self, submit: Submit, source: Bytes | None, *, is_new: bool) -> None:
        with self._open():
            try:
                self._take(submit, source)
            except BusyError:
                self._spool.make_room(source.nbytes if source else 0)
                self._take(submit, source)
            self._jobs.finish_uploads()
            self._jobs.dispatch()
            sync(self._store, self._spool)

    def _take(self, submit: Submit, source: Bytes | None) -> None:
        answers = self._jobs.submit(submit, self._session)
        if source is None:
            return
        sender = Sender(source)
        while any(isinstance(answer, Grant) for answer in answers):  # a job that has its source gets no grant
            for answer in answers:
                if isinstance(answer, Grant):
                    sender.grant(answer.offset, answer.bytes)
                elif isinstance(answer, Accepted) and answer.state == "uploading":
                    sender.resume(answer.offset)
            answers, is_sent = [], False
            while (piece := sender.next()) is not None:
                chunk = Chunk(submit.job, piece.offset, piece.last, piece.digest)
                answers += self._jobs.chunk(chunk, piece.buffer)
                is_sent = piece.last
            if not (answers or is_sent):  # credit follows the writing, so wait for that
                answers = self._jobs.credit_after_writing(submit.job)

    def _work(self) -> None:
        from threadpoolctl import threadpool_limits

        roots = (Path(Path.cwd().anchor),)  # all that this process, which is the caller's, may open
        while (task := self._tasks.get()) is not None:
            job = task.submit.job
            reporter = Reporter(job, self._is_off, self._heard)
            with threadpool_limits(1, "blas"):  # as in an engine's workers; more threads round differently
                ended = outcome(task, self._spool, self._models, roots, reporter.on_step)
            with self._lock:
                self._cancelled.discard(job)
                if self._closed:  # the job continues when the state folder is opened next
                    return
                self._jobs.runs.handle_worker(DEVICE, ended)
                sync(self._store, self._spool)
                self._jobs.dispatch()

    def _is_off(self, job: str) -> bool:
        return self._closed or job in self._cancelled

    def _heard(self, progress: Progress) -> None:
        with self._lock:
            self._jobs.runs.handle_worker(DEVICE, progress)

    def _tell(self, job: str, message: EngineMessage) -> None:
        for news in self._watchers.get(job, ()):
            news.put(message)
