"""Serves the clients' requests about jobs: submit and upload, status, cancel, forget.

No sockets: sessions pass requests in, and `tell` carries news to those who watch. When a reply is returned,
    the store
holds what it says; the disk holds it once `Store.synced` has reached the value that `written` had at that
time. From the moment its source is complete, a job is in the hands of `engine.serving.runs`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping

import msgspec

from bridge.wire.bounds import bounded_text
from bridge.wire.messages import (
    FINAL,
    Accepted,
    Chunk,
    Data,
    EngineMessage,
    Failed,
    Fetch,
    Grant,
    JobStatus,
    Path,
    Submit,
)
from bridge.wire.messages import (
    Jobs as ListJobs,
)
from engine.serving.job_status import fit_header, status_line
from engine.serving.runs import Runs
from engine.serving.worker_messages import JobWorker
from engine.state.incoming import Incoming
from engine.state.job_record import JobRecord
from engine.state.same_job import is_same
from engine.state.spool import Spool
from engine.state.stems import read_piece
from engine.state.store import Store
from presets.errors import AirbandError, BusyError, OutputError, StoreFullError, UsageError, WireError

log = logging.getLogger("airband.jobs")

JOBS_MAX = 10_000
"""How many jobs may upload, wait or run at a time."""
UPLOAD_SILENCE_S = 60.0
"""After so many seconds of silence an upload keeps the room of what has arrived, but not that of the rest."""
QUEUE_UPLOADED_S = 0.002
"""The longest time per turn of the loop spent on queueing uploaded jobs."""


class Jobs:
    """All jobs of one engine.

    Attributes:
        runs: the jobs whose sources are complete.

    Args:
        store, spool: hold the jobs and their files; jobs that an earlier engine left are continued.
        workers: run the jobs, by device.
        tell: takes (job, message) for the sessions that watch the job or upload its source.
        wake: called from a thread when `dispatch` has something to do.

    Where a method takes an `owner`, None may see and do everything. A key sees only the jobs that it
    submitted itself; to it, other jobs do not exist.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        workers: Mapping[str, JobWorker],
        tell: Callable[[str, EngineMessage], None],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._spool, self._tell, self._wake = store, spool, tell, wake
        self._incoming = Incoming(spool, wake)
        self.runs = Runs(store, spool, self._incoming, workers, tell)
        store.requeue_running()
        for record in store.in_state("queued"):
            self.runs.add(record)
        for record in (*store.in_state("queued"), *store.in_state("uploading")):
            if record.asked is not None:
                self._incoming.room.set_aside(record.asked)
        spool.tidy(store.needs, store.state)

    def submit(self, submit: Submit, session: str, owner: str | None = None) -> list[EngineMessage]:
        """Accepts a job, or reports the state of a known one.

        Raises:
            UsageError: another job has this name.
            BusyError: there is no room for it now.
            OutputError: there can never be room for it, or nothing that the engine holds could make some; or
                the state folder cannot be written.
        """
        record = self._store.get(submit.job)
        if record is None:
            try:
                record = self._add(submit, session, owner)
            except StoreFullError as error:
                if self._spool.is_empty and not self._store.unfinished():  # then no wait makes room
                    raise
                raise BusyError(error.message) from None
        elif not is_same(record.submit, submit) or not record.is_of(owner):
            raise UsageError(f"the name {submit.job} is that of another job; give this one a new name", "job")
        if record.state != "uploading" or isinstance(record.submit.source, Path):
            return [self.stands(record)]
        return [*self._incoming.go_on(record.submit)]

    def _add(self, submit: Submit, session: str, owner: str | None) -> JobRecord:
        if self._store.unfinished() >= JOBS_MAX:
            raise BusyError(f"{JOBS_MAX} jobs are unfinished, the most this engine takes", retry_s=5.0)
        if self.runs.is_held(submit.job):
            raise BusyError(f"a worker is still ending the forgotten job {submit.job}", retry_s=0.5)
        if isinstance(submit.source, Path):
            record = self._store.add(submit, session, "queued", owner or "")
            self.runs.add(record)
            return record
        self._incoming.begin(submit)
        try:
            return self._store.add(submit, session, "uploading", owner or "")
        except AirbandError:
            self._incoming.end(submit.job)
            raise

    def chunk(self, chunk: Chunk, buffer: memoryview, owner: str | None = None) -> list[EngineMessage]:
        """Takes a piece of a source; once all of it is checked and on disk, `dispatch` queues the job.

        Raises:
            WireError: no such upload, a piece out of turn, or a wrong last piece (the job has then failed).
            BusyError: the upload was silent for long, and there is now no room for the rest.
            OutputError: the disk had no room for an earlier piece; the job has failed.
        """
        if chunk.job not in self._incoming.uploads or (owner and not self.record(chunk.job).is_of(owner)):
            raise WireError(f"a chunk for {chunk.job}, which is not uploading; submit it first", "job")
        if self._incoming.room.has_lapsed(chunk.job):
            self._incoming.room.take_up(self.record(chunk.job).submit)
        try:
            return [*self._incoming.take(chunk, buffer)]
        except (OutputError, WireError) as error:
            if error.field != "offset":  # no room, or corrupted bytes: the upload cannot continue
                self.runs.end(Failed(chunk.job, error.code, bounded_text(error.message), error.field))
            raise

    def let_uploads_lapse(self) -> None:
        """Releases the room for the missing part of uploads that were silent for UPLOAD_SILENCE_S."""
        self._incoming.let_lapse(UPLOAD_SILENCE_S)

    def credit_after_writing(self, job: str) -> list[EngineMessage]:
        """Waits until the received part of a source is written; returns the credit that is then due."""
        self._incoming.uploads.wait(job)
        return [*self._incoming.uploads.credit(job)]

    def finish_uploads(self) -> None:
        """Waits until the completely received sources are on disk, and queues their jobs."""
        for _, upload in self._incoming.uploads.complete:
            upload.wait()
        self._hear_uploads()

    def state(self, job: str, owner: str | None = None) -> Accepted:
        """The state of a job, with its position."""
        return self.stands(self.record(job, owner))

    def stands(self, record: JobRecord) -> Accepted:
        """The state of a record's job, with its position."""
        return Accepted(record.job, record.state, self.runs.position(record.job))

    def record(self, job: str, owner: str | None = None) -> JobRecord:
        """The job's record; raises UsageError if it is not known, or belongs to another owner."""
        return self._store.record(job, owner)

    def status(self, job: str, owner: str | None = None) -> JobStatus:
        """One line about one job."""
        return status_line(self.record(job, owner), self.runs.progress(job))

    def listed(self, asked: ListJobs, owner: str | None = None) -> tuple[JobStatus, ...]:
        """A line about each requested job, newest first, as many as fit into one header."""
        found = self._store.newest(asked.limit, before=asked.before, unfinished=asked.unfinished, owner=owner)
        return fit_header(status_line(record, self.runs.progress(record.job)) for record in found)

    def cancel(self, job: str, owner: str | None = None) -> Accepted:
        """Cancels a job unless it has ended."""
        record = self.record(job, owner)
        if record.state in FINAL:
            return Accepted(job, record.state)
        self.runs.cancel(job)
        return Accepted(job, "cancelled")

    def prioritise(self, job: str, priority: int, owner: str | None = None) -> Accepted:
        """Gives a job another priority; raises UsageError if it has ended."""
        record = self.record(job, owner)
        if record.state in FINAL:
            raise UsageError(f"job {job} is {record.state}; only unfinished jobs have a priority", "job")
        self._store.prioritise(job, msgspec.structs.replace(record.submit, priority=priority))
        self.runs.prioritise(job, priority)
        return self.state(job)

    def forget(self, job: str, owner: str | None = None) -> Accepted:
        """Drops an ended job and its files; raises UsageError if it has not ended."""
        record = self.record(job, owner)
        if record.state not in FINAL:
            raise UsageError(f"job {job} is {record.state}; cancel it before forgetting it", "job")
        self._store.forget(job)
        self._spool.drop(job)
        return Accepted(job, record.state)

    def read(self, fetch: Fetch, nbytes: int, owner: str | None = None) -> tuple[Data, bytes]:
        """Up to `nbytes` of a finished stem.

        Raises:
            UsageError: the job is not done, has no such stem, or the offset lies beyond its end.
            InputError: the stem is gone from the spool, or has become shorter.
        """
        outcome = self.record(fetch.job, owner).outcome
        return read_piece(self._spool.stem(fetch.job), outcome, fetch, nbytes)

    def dispatch(self) -> None:
        """Queues jobs whose sources are on disk, and hands jobs to idle workers."""
        self._hear_uploads(QUEUE_UPLOADED_S)
        self.runs.dispatch()
        self._incoming.files.drop_released(self._store.synced, self._is_needed)

    @property
    def outstanding(self) -> int:
        """How many bytes of sources may be on their way."""
        return self._incoming.uploads.outstanding

    def close(self) -> None:
        """Closes the files; the next engine continues unfinished jobs."""
        self._incoming.close()

    def _hear_uploads(self, within_s: float = math.inf) -> None:
        for news in self._incoming.news(self._store.written):
            self._tell(news.job, news) if isinstance(news, Grant) else self.runs.note_end(news)
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
            self.runs.add(record)
            self._tell(job, self.stands(record))

    def promise(self, job: str | None) -> int:
        """See `Store.promise`."""
        return self._store.promise(job)

    def _is_needed(self, digest: str) -> bool:
        return self._incoming.uploads.brings(digest) or self._store.needs(digest)
