"""The jobs of an engine, in SQLite: their requests, states and outcomes.

Every change is in the file (WAL) before the method returns, so that a crash of the process loses nothing;
`sync` makes it survive a power failure too. Replies that promise something are sent only once `synced` has
reached the value that `written` had when they were made. A job goes uploading -> queued -> running -> done |
failed | cancelled; it goes from running back to queued when its worker or the engine dies.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from bridge.wire.messages import FINAL, State, Submit
from engine.state.disk import is_disk_full
from engine.state.job_record import COLUMNS, JobRecord, Outcome, read_row
from presets.errors import EngineError, OutputError, StoreFullError, UsageError

SCHEMA_VERSION = 3
SCHEMA = """
CREATE TABLE jobs (
    job TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    state TEXT NOT NULL,
    created_s REAL NOT NULL,
    changed_s REAL NOT NULL,
    deaths INTEGER NOT NULL DEFAULT 0,
    digest TEXT NOT NULL DEFAULT '',
    submit BLOB NOT NULL,
    outcome BLOB,
    owner TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state, changed_s);
CREATE INDEX jobs_by_age ON jobs (created_s);
CREATE INDEX jobs_by_digest ON jobs (digest, state);
CREATE INDEX jobs_by_owner ON jobs (owner, created_s, job);
"""
MIGRATIONS = {
    1: "ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT '';",
    2: "CREATE INDEX jobs_by_digest ON jobs (digest, state);"
    "CREATE INDEX jobs_by_owner ON jobs (owner, created_s, job);",
}
"""Schema version -> the script that upgrades it to the next one."""
UNFINISHED = "state IN ('uploading', 'queued', 'running')"
LOCK_WAIT_S = 0.2
"""How long a write waits for another process that holds the database; meanwhile the engine answers nobody."""
CHECKPOINT_WRITES = 2000
"""Number of changes after which the sync thread copies the WAL into the database."""
KNOWN_MAX = 128
"""Rows cached in memory, the most recently used ones: a job's row is read several times within a moment."""
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""SQLite's errors when the disk has no room for the WAL, or for its index."""


class Store:
    """The job table of one state folder; for one thread at a time, and another one for `sync`.

    Attributes:
        lacks_room: a change found no room on the disk. Whoever makes room resets it.
        written: the number of changes made.
        synced: how many of them survive a power failure.
        promised: how many of them some client waits to be told of.

    Args:
        path: the database; created if missing, upgraded if older.

    Raises:
        EngineError: the file is damaged, or of a newer version.
        OutputError: no room (then a StoreFullError) or no permission; also raised by every method that
            writes.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._wal = path, path.with_name(f"{path.name}-wal")
        self.written = self.synced = self.promised = self._checkpointed = 0
        self.lacks_room = False
        self._writing = Lock()
        self._known: OrderedDict[str, JobRecord] = OrderedDict()
        with self._explained(), ExitStack() as unless_ready:
            self._db = sqlite3.connect(
                path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
            )
            unless_ready.callback(self._db.close)
            mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            self._has_wal = mode == "wal"  # some network file systems do not support it
            self._db.execute(f"PRAGMA synchronous = {'NORMAL' if self._has_wal else 'FULL'}")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")
            self._bring_up_to_date()
            verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            unfinished = self._db.execute(f"SELECT count(*) FROM jobs WHERE {UNFINISHED}").fetchone()[0]
            self._unfinished = int(unfinished)
            unless_ready.pop_all()

    def close(self) -> None:
        """Closes the database; SQLite then copies the WAL into it and syncs it."""
        self._db.close()

    def sync(self, written: int | None = None) -> None:
        """Makes changes survive a power failure: all so far, or at least the first `written`.

        Raises:
            OutputError: the disk refuses.
        """
        written = self.written if written is None else written
        if written == self.synced:
            return
        with self._explained():
            if self._has_wal:
                with open(self._wal, "rb+") as wal:
                    os.fsync(wal.fileno())
            if written - self._checkpointed >= CHECKPOINT_WRITES:
                self._checkpoint()
                self._checkpointed = written
        self.synced = written

    def add(self, submit: Submit, session: str, state: State, owner: str = "") -> JobRecord:
        """Adds a new job."""
        now_s = time.time()
        self._write(
            "INSERT INTO jobs (job, owner, session, state, created_s, changed_s, submit) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (submit.job, owner, session, state, now_s, now_s, msgspec.msgpack.encode(submit)),
        )
        self._unfinished += 1
        row = JobRecord(submit.job, owner, session, state, now_s, now_s, 0, "", submit, None)
        return self._keep(replace(row, change=self.written))

    def queue(self, job: str, digest: str) -> None:
        """Records that the source is complete, so that the job waits for a worker."""
        self._change(job, state="queued", digest=digest)

    def prioritise(self, job: str, submit: Submit) -> None:
        """Replaces the request of a job by `submit`, which has another priority."""
        self._known.pop(job, None)
        self._write(
            "UPDATE jobs SET submit = ?, changed_s = ? WHERE job = ?",
            (msgspec.msgpack.encode(submit), time.time(), job),
        )

    def start(self, job: str) -> None:
        """Records that the job was given to a worker."""
        self._change(job, state="running")

    def again(self, job: str, deaths: int) -> None:
        """Records that the job's worker died, and queues the job again."""
        self._change(job, state="queued", deaths=deaths)

    def end(self, outcome: Outcome) -> None:
        """Records how an unfinished job ended."""
        state, now_s = type(outcome).__name__.lower(), time.time()
        known = self._known.pop(outcome.job, None)
        ended = self._write(
            f"UPDATE jobs SET state = ?, outcome = ?, changed_s = ? WHERE job = ? AND {UNFINISHED}",
            (state, msgspec.msgpack.encode(outcome), now_s, outcome.job),
        )
        self._unfinished -= ended
        if known is not None and ended:
            values: Any = {"state": state, "outcome": outcome, "changed_s": now_s, "change": self.written}
            self._keep(replace(known, **values))

    def forget(self, job: str) -> None:
        """Deletes the row of a job that has ended."""
        self._known.pop(job, None)
        self._write("DELETE FROM jobs WHERE job = ?", (job,))

    def requeue_running(self) -> None:
        """Queues the jobs again that ran when the last engine ended."""
        self._known.clear()
        self._write("UPDATE jobs SET state = 'queued' WHERE state = 'running'", ())

    def get(self, job: str) -> JobRecord | None:
        """The job, or None if it is not known."""
        if job in self._known:
            self._known.move_to_end(job)
            return self._known[job]
        found = self._read("WHERE job = ?", (job,))
        return self._keep(replace(found[0], change=self.written)) if found else None

    def promise(self, job: str | None = None) -> int:
        """How many changes must be synced before a client may be told where this job (or any job) stands."""
        record = None if job is None else self.get(job)
        change = self.written if record is None else record.change
        self.promised = max(self.promised, change)
        return change

    def record(self, job: str, owner: str | None = None) -> JobRecord:
        """The job; raises UsageError if it is not known, or not visible to `owner`."""
        record = self.get(job)
        if record is None or not record.is_of(owner):
            raise UsageError(f"no job {job} here; it was forgotten, or never submitted to this engine", "job")
        return record

    def state(self, job: str) -> State | None:
        """The state of the job, or None if it is not known."""
        record = self.get(job)
        return None if record is None else record.state

    def newest(
        self,
        limit: int,
        *,
        before: tuple[float, str] | None = None,
        unfinished: bool = False,
        owner: str | None = None,
    ) -> list[JobRecord]:
        """Jobs, newest first.

        Args:
            limit: the most jobs to return.
            before: (created_s, job) of the last job on the previous page.
            unfinished: leave out jobs that have ended.
            owner: leave out other owners' jobs; None takes all.
        """
        where = ["(created_s, job) < (?, ?)"] if before is not None else []
        values: list[object] = [*before] if before is not None else []
        if unfinished:
            where.append(UNFINISHED)
        if owner is not None:
            # The plus makes SQLite search the few unfinished jobs, instead of all of the owner's.
            where.append("+owner = ?" if unfinished else "owner = ?")
            values.append(owner)
        filtered = f"WHERE {' AND '.join(where)} " if where else ""
        return self._read(f"{filtered}ORDER BY created_s DESC, job DESC LIMIT ?", (*values, limit))

    def in_state(self, state: State) -> list[JobRecord]:
        """All jobs in one state, oldest first."""
        return self._read("WHERE state = ? ORDER BY created_s", (state,))

    def unchanged_since(self, state: State, before_s: float, limit: int) -> list[JobRecord]:
        """Up to `limit` jobs that entered `state` before that time (seconds since 1970)."""
        return self._read("WHERE state = ? AND changed_s < ? LIMIT ?", (state, before_s, limit))

    def is_unfinished(self, job: str) -> bool:
        """False for a job that has ended or is not known."""
        record = self.get(job)
        return record is not None and record.state not in FINAL

    def unfinished(self) -> int:
        """How many jobs upload, wait or run."""
        return self._unfinished

    def needs(self, digest: str) -> bool:
        """Whether a waiting or running job reads this source."""
        with self._explained():
            where = "state IN ('queued', 'running') AND digest = ?"
            return (
                self._db.execute(f"SELECT 1 FROM jobs WHERE {where} LIMIT 1", (digest,)).fetchone()
                is not None
            )

    def _checkpoint(self) -> None:
        """Copies the WAL into the database, so that the next change begins the WAL again.

        Changes continue during the copy; what they added is then copied under the lock. SQLite begins a WAL
        again only when all of it is copied, which changes without a pause would never allow: it grew by 80 KB
        per job.
        """
        with closing(sqlite3.connect(self._path, timeout=LOCK_WAIT_S)) as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
            with self._writing:
                other.execute("PRAGMA wal_checkpoint(RESTART)")

    def _bring_up_to_date(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise EngineError(
                f"{self._path} has layout {version}, this engine knows layouts up to {SCHEMA_VERSION}: "
                "a newer Airband wrote it; run that one, or give another --state folder"
            )
        steps = (MIGRATIONS[step] for step in range(version, SCHEMA_VERSION)) if version else (SCHEMA,)
        if version != SCHEMA_VERSION:
            script = "\n".join(steps)
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def _read(self, where: str, values: tuple[object, ...]) -> list[JobRecord]:
        with self._explained():
            rows = self._db.execute(f"SELECT {COLUMNS} FROM jobs {where}", values).fetchall()
        return [read_row(row) for row in rows]

    def _keep(self, record: JobRecord) -> JobRecord:
        self._known[record.job] = record
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return record

    def _change(self, job: str, **values: Any) -> None:
        """Sets columns of a job's row that are also fields of JobRecord."""
        values["changed_s"] = time.time()
        known = self._known.pop(job, None)
        columns = ", ".join(f"{name} = ?" for name in values)
        self._write(f"UPDATE jobs SET {columns} WHERE job = ?", (*values.values(), job))
        if known is not None:
            self._keep(replace(known, **values, change=self.written))

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        with self._explained(), self._writing:
            changed = self._db.execute(statement, values).rowcount
        self.written += 1
        return changed

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            text = f"{self._path} cannot be written: {error}; make room or give another --state folder"
            if is_disk_full(error) or getattr(error, "sqlite_errorcode", 0) in FULL:
                self.lacks_room = True
                raise StoreFullError(text) from None
            raise OutputError(text) from None
        except sqlite3.DatabaseError as error:
            raise EngineError(
                f"{self._path} is damaged: {error}; move it away and start again (finished results in the "
                "spool beside it stay cached), or see `airband doctor`"
            ) from None
