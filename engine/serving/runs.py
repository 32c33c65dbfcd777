"""The life of a job once its source is complete: it waits, a worker runs it, it ends.

The store holds each change of a job before anybody is told of it. If the disk has no room for a job's
outcome, it is stored at a later turn of the loop.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping

from bridge.wire.bounds import bounded_text
from bridge.wire.messages import Cancel, Cancelled, Done, EngineMessage, Failed, Progress
from engine.serving.job_status import log_line
from engine.serving.queue import DEATHS_MAX, Queue
from engine.serving.worker_messages import SMALL_MODELS, FromWorker, Grown, JobWorker, Next, Task
from engine.state.disk import write_errors_logged
from engine.state.incoming import Incoming
from engine.state.job_record import JobRecord, Outcome
from engine.state.spool import Spool
from engine.state.stems import kept_bytes
from engine.state.store import Store
from presets.errors import AirbandError, EngineError, WorkerCrashed

UNREADABLE = "another version of Airband wrote this job, or its row is damaged; submit it again"

log = logging.getLogger("airband.jobs")


class Runs:
    """The jobs of an engine that wait for a worker, run, and end.

    Attributes:
        closing: whether no more jobs are handed out.
        ended: how many jobs ended in which way since this engine started.
        render_s: how long their renders took, in seconds.

    Args:
        store, spool: hold the jobs and their files.
        incoming: their sources, and the room promised to them.
        workers: run the jobs, by device.
        tell: takes (job, message) for the sessions that watch the job.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        incoming: Incoming,
        workers: Mapping[str, JobWorker],
        tell: Callable[[str, EngineMessage], None],
    ) -> None:
        self._store, self._spool, self._incoming = store, spool, incoming
        self._workers, self._tell = workers, tell
        self._queue = Queue(list(workers), time.time)
        self._progress: dict[str, Progress] = {}
        self._outcomes: list[Outcome] = []
        """Outcomes of jobs that are not stored yet."""
        self._told_to_wait: set[str] = set()
        """The jobs among these for which a full disk was already logged."""
        self.closing = False
        self.ended: Counter[str] = Counter()
        self.render_s = 0.0

    def add(self, record: JobRecord) -> None:
        """Queues a job whose source is complete; fails it if its record cannot be read."""
        job, submit = record.job, record.asked
        if submit is None:
            self.note_end(Failed(job, EngineError.code, UNREADABLE))
            return
        is_small, since_s = submit.params.model in SMALL_MODELS, record.created_s
        self._queue.add(
            job, record.session, submit.priority, since_s=since_s, is_small=is_small, deaths=record.deaths
        )

    def position(self, job: str) -> int:
        """A job's place among the next runs, from 1; 0 if it does not wait."""
        return self._queue.position(job)

    def progress(self, job: str) -> Progress | None:
        """The progress of a running job."""
        return self._progress.get(job)

    def is_held(self, job: str) -> bool:
        """Whether a worker has the job, or is still ending it."""
        return self._queue.device_of(job) is not None

    def prioritise(self, job: str, priority: int) -> None:
        """Gives a waiting job another priority."""
        self._queue.prioritise(job, priority)

    def cancel(self, job: str) -> None:
        """Cancels a job that has not ended."""
        device = self._queue.device_of(job)
        self.end(Cancelled(job))
        if device is not None:
            self._workers[device].send(Cancel(job))

    def end(self, outcome: Outcome) -> None:
        """Stores a job's outcome, and releases what it held; OutputError if the disk has no room."""
        job = outcome.job
        record = self._store.record(job)
        digest = record.digest or self._incoming.uploads.digest(job)
        if isinstance(outcome, Done) and any(not stem.path for stem in outcome.stems):
            self._spool.named("stems")
        self._store.end(outcome)
        self.ended[type(outcome).__name__.lower()] += 1
        self.render_s += outcome.seconds if isinstance(outcome, Done) else 0.0
        log.info("%s", log_line(outcome, record))
        self._queue.drop(job)
        self._incoming.end(job)
        self._progress.pop(job, None)
        if isinstance(outcome, Done):
            self._spool.add(kept_bytes(outcome))
        else:
            self._spool.drop(job)
        if digest:
            self._incoming.files.release(digest, self._store.written)
        self._tell(job, outcome)

    def note_end(self, outcome: Outcome) -> None:
        """Like `end`, but at the next `dispatch`."""
        self._outcomes.append(outcome)

    def handle_worker(self, device: str, message: FromWorker | None) -> None:
        """Handles a message from the worker on `device`; None means that its process ended."""
        if message is None:
            self._worker_died(device)
        elif isinstance(message, Progress):
            if message.job in self._progress and message.job == self._queue.running(device):
                self._note(message)
        elif isinstance(message, Grown):
            self._spool.add(message.nbytes)
        elif isinstance(message, Next):
            self._hand_out(device, ahead=True)
        elif isinstance(message, Done | Failed | Cancelled):
            self._queue.finish(message.job)
            self.note_end(message)
            if held := self._queue.running(device):
                self._begin(held)
            self._hand_out(device)  # before storing the outcome, so that the worker need not wait for that
            self._settle()

    def dispatch(self) -> None:
        """Stores outcomes, and hands jobs to idle workers."""
        self._settle()
        for device in self._workers:
            self._hand_out(device)

    @property
    def running(self) -> bool:
        """Whether a worker has a job."""
        return any(self._queue.running(device) for device in self._workers)

    @property
    def small_waits(self) -> bool:
        """Whether a job waits that a helper could run."""
        return self._queue.small_waits

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return self._queue.idle

    def _hand_out(self, device: str, ahead: bool = False) -> None:
        worker = self._workers[device]
        is_open = worker.ready is not None and not self.closing
        if not is_open or (job := self._queue.take(device, ahead, small_only=worker.is_helper)) is None:
            return
        try:
            record = self._store.record(job)
            room_bytes = self._incoming.room.beside_source(record.submit)
            worker.send(Task(record.submit, record.digest, room_bytes))
        except AirbandError as error:
            self._queue.finish(job)
            self.note_end(Failed(job, error.code, bounded_text(error.message)))
            return
        if job == self._queue.running(device):
            self._begin(job)

    def _begin(self, job: str) -> None:
        with write_errors_logged("start", job):
            if self._store.is_unfinished(job):  # it may have been cancelled while its worker held it
                self._store.start(job)
                self._note(Progress(job, "start", 0, 1))

    def _note(self, progress: Progress) -> None:
        self._progress[progress.job] = progress
        self._tell(progress.job, progress)

    def _worker_died(self, device: str) -> None:
        for held in self._queue.give_back(device):
            if not self._store.is_unfinished(held):
                self._queue.drop(held)
        died = self._queue.died(device)
        if died is None:
            return
        job, deaths = died
        self._spool.drop_scratch(job)
        if not self._store.is_unfinished(job):
            self._queue.drop(job)
        elif deaths < DEATHS_MAX:
            with write_errors_logged("death of a worker", job):
                self._store.again(job, deaths)
            self._note(Progress(job, "again after a crash of the worker", 0, 1))
        else:
            text = f"the worker on {device} died {deaths} times on this job; the engine's log may say why"
            self.note_end(Failed(job, WorkerCrashed.code, text))
            self._settle()

    def _settle(self) -> None:
        for outcome in list(self._outcomes):
            job = outcome.job
            try:
                if self._store.is_unfinished(job):
                    self.end(outcome)
                else:
                    self._spool.drop(job)
                self._outcomes.remove(outcome)
                self._told_to_wait.discard(job)
            except AirbandError as error:
                if job not in self._told_to_wait:  # log this once, as it is retried ten times a second
                    self._told_to_wait.add(job)
                    log.error("end of job %s is not kept yet: %s", job, error)
                    self._note(Progress(job, "wait for room on the engine's disk", 0, 1))
