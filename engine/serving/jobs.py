"""The life of a job in the engine: submitted, uploaded, queued, run, ended, fetched, forgotten.

No sockets: sessions call in with what clients asked, the server with what workers said, and `tell` carries
news to whoever watches. Every reply is returned after the store has committed what it says.
"""

from __future__ import annotations

import json
import logging
import os
import time
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
from engine.serving.job_status import fit_header, status_line
from engine.serving.queue import DEATHS_MAX, Queue
from engine.serving.spool import Spool, write_errors_explained, write_errors_logged
from engine.serving.store import JobRecord, Outcome, Store
from engine.serving.uploads import Uploads, credit, nbytes
from engine.serving.worker_messages import FromWorker, JobWorker, Task
from presets.errors import (
    AirbandError,
    BusyError,
    EngineError,
    InputError,
    OutputError,
    UsageError,
    WireError,
    WorkerCrashed,
)

log = logging.getLogger("airband.jobs")

JOBS_MAX = 10_000
"""Jobs that may upload, wait or run at a time."""
UNREADABLE = "another version of Airband wrote this job, or its row is damaged; submit it again"


class Jobs:
    """All jobs of one engine.

    Args:
        store, spool: where they are kept; what an earlier engine left in them goes on.
        workers: who runs them, by device.
        tell: takes (job, message) for the sessions that watch the job.

    Where a method takes an `owner`, None may see and do everything; a key only what it submitted itself, and
    jobs of others are to it as if they did not exist.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        workers: Mapping[str, JobWorker],
        tell: Callable[[str, EngineMessage], None],
    ) -> None:
        self._store, self._spool, self._workers, self._tell = store, spool, workers, tell
        self._queue = Queue(list(workers), time.time)
        self._uploads = Uploads()
        self._progress: dict[str, Progress] = {}
        self._ended: list[Outcome] = []
        self.closing = False
        store.requeue_running()
        for record in store.in_state("queued"):
            if record.asked is None:
                self._ended.append(Failed(record.job, EngineError.code, UNREADABLE))
            else:
                self._enqueue(record)
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
            self._add(submit, session, owner)
            record = self.record(submit.job)
        elif not _is_same(record.submit, submit) or not _may_see(owner, record):
            raise UsageError(f"the name {submit.job} is that of another job; give this one a new name", "job")
        source = record.submit.source
        if record.state != "uploading" or isinstance(source, Path):
            return [self.state(record.job)]
        upload = self._uploads.open(record.job, self._spool.part(record.job), source)
        offset, count = upload.receiver.renew()
        return [Accepted(record.job, "uploading", offset=offset), Grant(record.job, offset, count)]

    def _add(self, submit: Submit, session: str, owner: str | None) -> None:
        if self._store.unfinished() >= JOBS_MAX:
            raise BusyError(f"{JOBS_MAX} jobs are unfinished, the most this engine takes", retry_s=5.0)
        if self._queue.device_of(submit.job) is not None:
            raise BusyError(f"a worker is still ending the forgotten job {submit.job}", retry_s=0.5)
        if isinstance(submit.source, Path):
            self._enqueue(self._store.add(submit, session, "queued", owner or ""))
            return
        self._spool.promise(submit.job, nbytes(submit.source))
        try:
            self._uploads.open(submit.job, self._spool.part(submit.job), submit.source)
            self._store.add(submit, session, "uploading", owner or "")
        except AirbandError:
            self._spool.settle(submit.job)
            self._uploads.close(submit.job)
            raise

    def chunk(self, chunk: Chunk, buffer: memoryview, owner: str | None = None) -> list[EngineMessage]:
        """Takes a piece of a source; the last one queues the job.

        Raises:
            WireError: no upload of that name, or a piece out of turn.
            OutputError: no room on the disk; the job has failed.
        """
        if chunk.job not in self._uploads or (owner and not _may_see(owner, self.record(chunk.job))):
            raise WireError(f"a chunk for {chunk.job}, which is not uploading; submit it first", "job")
        try:
            upload = self._uploads.take(chunk, buffer)
        except (OutputError, WireError) as error:
            if error.field != "offset":  # no room, or other bytes than were sent: nothing to go on from
                self._end(Failed(chunk.job, error.code, bounded_text(error.message), error.field))
            raise
        digest = upload.receiver.digest
        if digest is None:
            return list(credit(chunk.job, upload))
        self._uploads.close(chunk.job)
        with write_errors_explained(self._spool.folder):  # the upload has synced its last bytes
            os.replace(self._spool.part(chunk.job), self._spool.source(digest))
        self._store.queue(chunk.job, digest)
        self._enqueue(self.record(chunk.job))
        return [self.state(chunk.job)]

    def state(self, job: str, owner: str | None = None) -> Accepted:
        """Where a job stands."""
        return Accepted(job, self.record(job, owner).state, self._queue.position(job))

    def record(self, job: str, owner: str | None = None) -> JobRecord:
        """The job's row; raises UsageError when it is not known, or another's."""
        record = self._store.get(job)
        if record is None or not _may_see(owner, record):
            raise UsageError(f"no job {job} here; it was forgotten, or never submitted to this engine", "job")
        return record

    def status(self, job: str, owner: str | None = None) -> JobStatus:
        """One line about one job."""
        return status_line(self.record(job, owner), self._progress.get(job))

    def listed(self, asked: ListJobs, owner: str | None = None) -> tuple[JobStatus, ...]:
        """A line about each job that was asked for, newest first, as many as fit one header."""
        records = self._store.newest(
            asked.limit, before=asked.before, unfinished=asked.unfinished, owner=owner
        )
        return fit_header(status_line(record, self._progress.get(record.job)) for record in records)

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
        stems = outcome.stems if isinstance(outcome, Done) else ()
        stem = next((stem for stem in stems if stem.name == fetch.stem and not stem.path), None)
        if stem is None:
            raise UsageError(f"job {fetch.job} has no stem {fetch.stem!r} to fetch", "stem")
        if fetch.offset > stem.nbytes:
            raise UsageError(f"offset {fetch.offset} of a stem of {stem.nbytes} bytes", "offset")
        wanted = min(nbytes, stem.nbytes - fetch.offset)
        try:
            with open(self._spool.stem(fetch.job), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(fetch.offset)
                piece = file.read(wanted)
        except OSError as error:
            raise InputError(
                f"the stem of job {fetch.job} cannot be read: {error.strerror}", "stem"
            ) from None
        if size != stem.nbytes or len(piece) != wanted:
            raise InputError(
                f"the stem of job {fetch.job} is damaged: {size} bytes are there of {stem.nbytes}; "
                "submit the job again under a new name",
                "stem",
            )
        return Data(fetch.job, fetch.stem, fetch.offset, fetch.offset + len(piece) >= stem.nbytes), piece

    # What workers report

    def handle_worker(self, device: str, message: FromWorker | None) -> None:
        """Handles a message of the worker on `device`; None means that its process ended."""
        if message is None:
            self._worker_died(device)
        elif isinstance(message, Progress):
            if message.job in self._progress and message.job == self._queue.running(device):
                self._note(message)
        elif isinstance(message, Done | Failed | Cancelled):
            self._queue.finish(device)
            self._ended.append(message)
            self._settle()

    def dispatch(self) -> None:
        """Hands jobs to idle workers."""
        self._settle()
        for device, worker in self._workers.items():
            if self.closing or worker.ready is None:
                continue
            if (job := self._queue.take(device)) is not None:
                try:
                    record = self.record(job)
                    with write_errors_logged("start", job):
                        self._store.start(job)
                    worker.send(Task(record.submit, record.digest))
                except AirbandError as error:
                    self._queue.finish(device)
                    self._ended.append(Failed(job, error.code, bounded_text(error.message)))
                else:
                    self._note(Progress(job, "start", 0, 1))

    @property
    def running(self) -> bool:
        """True while a worker has a job."""
        return any(self._queue.running(device) for device in self._workers)

    @property
    def uploading(self) -> int:
        """How many sources are being sent."""
        return self._uploads.writing

    @property
    def idle(self) -> bool:
        """True when nothing waits and nothing runs."""
        return self._queue.idle

    def record_is_open(self, job: str) -> bool:
        """False for a job that has ended or was forgotten while its worker was at it."""
        record = self._store.get(job)
        return record is not None and record.state not in FINAL

    def close(self) -> None:
        """Lets go of the files; what is unfinished goes on in the next engine."""
        self._uploads.close_all()

    def _enqueue(self, record: JobRecord) -> None:
        self._queue.add(
            record.job,
            record.session,
            record.submit.priority,
            since_s=record.created_s,
            deaths=record.deaths,
        )

    def _worker_died(self, device: str) -> None:
        died = self._queue.died(device)
        if died is None:
            return
        job, deaths = died
        self._spool.drop_scratch(job)
        if not self.record_is_open(job):
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
                if self.record_is_open(outcome.job):
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
        digest = record.digest
        self._store.end(outcome)
        log.info("%s", _told(outcome, record))
        self._queue.drop(job)
        self._uploads.close(job)
        self._progress.pop(job, None)
        self._spool.settle(job)
        if isinstance(outcome, Done):
            self._spool.used_bytes += sum(2 * stem.nbytes for stem in outcome.stems if not stem.path)
        else:
            self._spool.drop(job)
        if digest and not self._store.needs(digest):
            self._spool.drop_source(digest)
        self._tell(job, outcome)


def _told(outcome: Outcome, record: JobRecord) -> str:
    """A line of JSON about the end of a job, for the log."""
    failed = outcome if isinstance(outcome, Failed) else None
    line = {
        "job": record.job,
        "state": type(outcome).__name__.lower(),
        "seconds": round(time.time() - record.created_s, 3),
        "render_seconds": round(outcome.seconds, 3) if isinstance(outcome, Done) else None,
        "code": failed.code if failed else None,
        "message": bounded_text(failed.message, 500) if failed else None,
    }
    return json.dumps({key: value for key, value in line.items() if value is not None})


def _is_same(known: Submit | None, submit: Submit) -> bool:
    """Whether two submits ask for the same stem in the same place, whatever their presets are called."""
    return known is not None and _asked(known) == _asked(submit)


def _asked(submit: Submit) -> Submit:
    params = msgspec.structs.replace(submit.params, description="")
    return msgspec.structs.replace(submit, params=params, preset="music", priority=0)


def _may_see(owner: str | None, record: JobRecord) -> bool:
    return owner is None or owner == record.owner
