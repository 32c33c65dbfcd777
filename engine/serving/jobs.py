"""The life of a job in the engine: submitted, uploaded, queued, run, ended, fetched, forgotten.

No sockets: sessions call in with what clients asked, the server with what workers said, and `tell` carries
news to whoever watches. What a reply says is in the store when it is returned, and on the disk once
`Store.synced` has reached what `written` was then.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from bridge.wire.bounds import bounded_text
from bridge.wire.messages import (
    FINAL,
    Accepted,
    Cancel,
    Cancelled,
    Chunk,
    Data,
    Done,
    EngineMessage,
    Failed,
    Fetch,
    Grant,
    JobStatus,
    Path,
    Progress,
    Submit,
)
from bridge.wire.messages import (
    Jobs as ListJobs,
)
from engine.serving.job_status import fit_header, log_line, status_line
from engine.serving.queue import DEATHS_MAX, Queue
from engine.serving.stems import kept_bytes, read_piece
from engine.serving.worker_messages import SMALL_MODELS, FromWorker, JobWorker, Next, Task
from engine.state.disk import write_errors_logged
from engine.state.incoming import Incoming
from engine.state.same_job import is_same
from engine.state.spool import Spool
from engine.state.store import JobRecord, Outcome, Store
from presets.errors import (
    AirbandError,
    BusyError,
    EngineError,
    OutputError,
    StoreFullError,
    UsageError,
    WireError,
    WorkerCrashed,
)

log = logging.getLogger("airband.jobs")

JOBS_MAX = 10_000
"""Jobs that may upload, wait or run at a time."""
UPLOAD_SILENCE_S = 60.0
"""An upload that was silent for so long keeps the room of what came, and loses that of the rest."""
QUEUE_UPLOADED_S = 0.002
"""For how long a turn of the loop queues what was uploaded."""
UNREADABLE = "another version of Airband wrote this job, or its row is damaged; submit it again"


class Jobs:
    """All jobs of one engine.

    Args:
        store, spool: where they are kept; what an earlier engine left in them goes on.
        workers: who runs them, by device.
        tell: takes (job, message) for the sessions that watch the job or send its source.
        wake: called from a thread when `dispatch` has something to do.

    Where a method takes an `owner`, None may see and do everything; a key only what it submitted itself, and
    jobs of others are to it as if they did not exist.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        workers: Mapping[str, JobWorker],
        tell: Callable[[str, EngineMessage], None],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._spool, self._workers, self._tell = store, spool, workers, tell
        self._queue = Queue(list(workers), time.time)
        self._wake = wake
        self._incoming = Incoming(spool, wake)
        self._progress: dict[str, Progress] = {}
        self._ended: list[Outcome] = []
        self.ended: Counter[str] = Counter()
        """How many ended in which way since this engine started."""
        self.render_s = 0.0
        self.closing = False
        store.requeue_running()
        for record in store.in_state("queued"):
            if record.asked is None:
                self._ended.append(Failed(record.job, EngineError.code, UNREADABLE))
            else:
                self._incoming.room.set_aside(record.asked)
                self._enqueue(record)
        for record in store.in_state("uploading"):
            if record.asked is not None:
                self._incoming.room.set_aside(record.asked)
        spool.tidy(store.needs, lambda job: store.get(job) is not None)

    # What clients ask

    def submit(self, submit: Submit, session: str, owner: str | None = None) -> list[EngineMessage]:
        """Takes a job, or says where a known one stands.

        Raises:
            UsageError: the name is that of another job.
            BusyError: no room for it now.
            OutputError: no room ever, or the state folder cannot be written.
        """
        record = self._store.get(submit.job)
        if record is None:
            try:
                record = self._add(submit, session, owner)
            except StoreFullError as error:
                raise BusyError(error.message) from None
        elif not is_same(record.submit, submit) or not record.is_of(owner):
            raise UsageError(f"the name {submit.job} is that of another job; give this one a new name", "job")
        if record.state != "uploading" or isinstance(record.submit.source, Path):
            return [self.stands(record)]
        return [*self._incoming.go_on(record.submit)]

    def _add(self, submit: Submit, session: str, owner: str | None) -> JobRecord:
        if self._store.unfinished() >= JOBS_MAX:
            raise BusyError(f"{JOBS_MAX} jobs are unfinished, the most this engine takes", retry_s=5.0)
        if self._queue.device_of(submit.job) is not None:
            raise BusyError(f"a worker is still ending the forgotten job {submit.job}", retry_s=0.5)
        if isinstance(submit.source, Path):
            record = self._store.add(submit, session, "queued", owner or "")
            self._enqueue(record)
            return record
        self._incoming.begin(submit)
        try:
            return self._store.add(submit, session, "uploading", owner or "")
        except AirbandError:
            self._incoming.end(submit.job)
            raise

    def chunk(self, chunk: Chunk, buffer: memoryview, owner: str | None = None) -> list[EngineMessage]:
        """Takes a piece of a source; once all of it is checked and on the disk, `dispatch` queues the job.

        Raises:
            WireError: no upload of that name, a piece out of turn, or (the job has then failed) an end that
                is none.
            BusyError: it was silent for long, and there is no room now for the rest of it.
            OutputError: no room on the disk for an earlier piece; the job has failed.
        """
        if chunk.job not in self._incoming.uploads or (owner and not self.record(chunk.job).is_of(owner)):
            raise WireError(f"a chunk for {chunk.job}, which is not uploading; submit it first", "job")
        if self._incoming.room.has_lapsed(chunk.job):
            self._incoming.room.take_up(self.record(chunk.job).submit)
        try:
            return [*self._incoming.take(chunk, buffer)]
        except (OutputError, WireError) as error:
            if error.field != "offset":  # no room, or other bytes than were sent: nothing to go on from
                self._end(Failed(chunk.job, error.code, bounded_text(error.message), error.field))
            raise

    def let_uploads_lapse(self) -> None:
        """Gives back the room for what is missing of uploads that were silent for UPLOAD_SILENCE_S."""
        self._incoming.let_lapse(UPLOAD_SILENCE_S)

    def credit_after_writing(self, job: str) -> list[EngineMessage]:
        """The credit for a source that is due once what came of it is written; waits for that."""
        self._incoming.uploads.wait(job)
        return [*self._incoming.uploads.credit(job)]

    def finish_uploads(self) -> None:
        """Waits until the sources that came whole are on the disk, and queues their jobs."""
        for _, upload in self._incoming.uploads.complete:
            upload.wait()
        self._hear_uploads()

    def state(self, job: str, owner: str | None = None) -> Accepted:
        """Where a job stands."""
        return self.stands(self.record(job, owner))

    def stands(self, record: JobRecord) -> Accepted:
        """Where the job of this row stands."""
        return Accepted(record.job, record.state, self._queue.position(record.job))

    def record(self, job: str, owner: str | None = None) -> JobRecord:
        """The job's row; raises UsageError when it is not known, or another's."""
        record = self._store.get(job)
        if record is None or not record.is_of(owner):
            raise UsageError(f"no job {job} here; it was forgotten, or never submitted to this engine", "job")
        return record

    def status(self, job: str, owner: str | None = None) -> JobStatus:
        """One line about one job."""
        return status_line(self.record(job, owner), self._progress.get(job))

    def listed(self, asked: ListJobs, owner: str | None = None) -> tuple[JobStatus, ...]:
        """A line about each job that was asked for, newest first, as many as fit one header."""
        found = self._store.newest(asked.limit, before=asked.before, unfinished=asked.unfinished, owner=owner)
        return fit_header(status_line(record, self._progress.get(record.job)) for record in found)

    def cancel(self, job: str, owner: str | None = None) -> Accepted:
        """Ends a job; one that has ended already stays as it is."""
        record = self.record(job, owner)
        if record.state in FINAL:
            return Accepted(job, record.state)
        device = self._queue.device_of(job)
        self._end(Cancelled(job))
        if device is not None:
            self._workers[device].send(Cancel(job))
        return Accepted(job, "cancelled")

    def prioritise(self, job: str, priority: int, owner: str | None = None) -> Accepted:
        """Gives a job another priority; raises UsageError for one that has ended."""
        record = self.record(job, owner)
        if record.state in FINAL:
            raise UsageError(f"job {job} is {record.state}; only what has not ended has an order", "job")
        self._store.prioritise(job, msgspec.structs.replace(record.submit, priority=priority))
        self._queue.prioritise(job, priority)
        return self.state(job)

    def forget(self, job: str, owner: str | None = None) -> Accepted:
        """Drops an ended job and what is left of it; raises UsageError for one that has not ended."""
        record = self.record(job, owner)
        if record.state not in FINAL:
            raise UsageError(f"job {job} is {record.state}; cancel it before forgetting it", "job")
        self._store.forget(job)
        self._spool.drop(job)
        return Accepted(job, record.state)

    def read(self, fetch: Fetch, nbytes: int, owner: str | None = None) -> tuple[Data, bytes]:
        """Up to `nbytes` of a finished stem.

        Raises:
            UsageError: a job that is not done, a stem it has not, an offset beyond its end.
            InputError: the stem has gone from the spool, or is shorter than it was.
        """
        outcome = self.record(fetch.job, owner).outcome
        return read_piece(self._spool.stem(fetch.job), outcome, fetch, nbytes)

    # What workers report

    def handle_worker(self, device: str, message: FromWorker | None) -> None:
        """Handles a message of the worker on `device`; None means that its process ended."""
        if message is None:
            self._worker_died(device)
        elif isinstance(message, Progress):
            if message.job in self._progress and message.job == self._queue.running(device):
                self._note(message)
        elif isinstance(message, Next):
            self._hand_out(device, ahead=True)
        elif isinstance(message, Done | Failed | Cancelled):
            self._queue.finish(message.job)
            self._ended.append(message)
            if held := self._queue.running(device):
                self._begin(held)
            self._hand_out(device)  # ahead of the books, so that the worker does not wait for them
            self._settle()

    def dispatch(self) -> None:
        """Queues jobs whose sources are on the disk, and hands jobs to idle workers."""
        self._hear_uploads(QUEUE_UPLOADED_S)
        self._settle()
        self._incoming.files.drop_released(self._store.synced, self._is_needed)
        for device in self._workers:
            self._hand_out(device)

    def _hand_out(self, device: str, ahead: bool = False) -> None:
        worker = self._workers[device]
        is_open = worker.ready is not None and not self.closing
        if not is_open or (job := self._queue.take(device, ahead, small_only=worker.is_helper)) is None:
            return
        try:
            record = self.record(job)
            worker.send(Task(record.submit, record.digest, self._incoming.room.beside_source(record.submit)))
        except AirbandError as error:
            self._queue.finish(job)
            self._ended.append(Failed(job, error.code, bounded_text(error.message)))
            return
        if job == self._queue.running(device):
            self._begin(job)

    def _begin(self, job: str) -> None:
        with write_errors_logged("start", job):
            if self._store.is_unfinished(job):  # not cancelled while its worker held it
                self._store.start(job)
                self._note(Progress(job, "start", 0, 1))

    @property
    def running(self) -> bool:
        """True while a worker has a job."""
        return any(self._queue.running(device) for device in self._workers)

    @property
    def small_waits(self) -> bool:
        """True while a job waits that a helper could run."""
        return self._queue.small_waits

    @property
    def outstanding(self) -> int:
        """How many bytes of sources may be on their way."""
        return self._incoming.uploads.outstanding

    @property
    def waiting(self) -> int:
        """How many wait for a worker."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """True when nothing waits and nothing runs."""
        return self._queue.idle

    def close(self) -> None:
        """Lets go of the files; what is unfinished goes on in the next engine."""
        self._incoming.close()

    @property
    def written(self) -> int:
        """How many changes of the store there were."""
        return self._store.written

    def _hear_uploads(self, within_s: float = math.inf) -> None:
        for news in self._incoming.news(self.written):
            self._tell(news.job, news) if isinstance(news, Grant) else self._ended.append(news)
        began_s = time.monotonic()
        for number, (job, digest) in enumerate(self._incoming.stored()):
            if number and time.monotonic() - began_s > within_s:
                self._wake()  # the rest in the next turn
                return
            try:
                self._store.queue(job, digest)
            except StoreFullError:  # in the next turn, when there may be room
                return
            except OutputError as error:
                log.error("job %s is not queued yet: %s", job, error.message)
                return
            self._incoming.uploads.close(job)
            record = self.record(job)
            self._enqueue(record)
            self._tell(job, self.stands(record))

    def _is_needed(self, digest: str) -> bool:
        return self._incoming.uploads.brings(digest) or self._store.needs(digest)

    def _enqueue(self, record: JobRecord) -> None:
        job, client, submit = record.job, record.session, record.submit
        small, since_s = submit.params.model in SMALL_MODELS, record.created_s
        self._queue.add(job, client, submit.priority, since_s=since_s, is_small=small, deaths=record.deaths)

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
            self._ended.append(Failed(job, WorkerCrashed.code, text))
            self._settle()

    def _settle(self) -> None:
        """Keeps how jobs ended; while the disk has no room for it, again at the next turn."""
        for outcome in list(self._ended):
            with write_errors_logged("end", outcome.job):
                if self._store.is_unfinished(outcome.job):
                    self._end(outcome)
                else:
                    self._spool.drop(outcome.job)
                self._ended.remove(outcome)

    def _note(self, progress: Progress) -> None:
        self._progress[progress.job] = progress
        self._tell(progress.job, progress)

    def _end(self, outcome: Outcome) -> None:
        job = outcome.job
        record = self.record(job)
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
            self._incoming.files.release(digest, self.written)
        self._tell(job, outcome)
