"""The jobs of an engine, in SQLite: what was asked, where it stands, how it ended.

Every change is committed (WAL, synchronous FULL) before the method returns, so that a reply never promises
what a crash could take back. A job goes uploading -> queued -> running -> done | failed | cancelled; running
goes back to queued when its worker or the engine dies.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bridge.wire.messages import Cancelled, Done, Failed, State, Submit
from presets.errors import EngineError, OutputError

SCHEMA_VERSION = 1
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
    outcome BLOB
) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state, changed_s);
CREATE INDEX jobs_by_age ON jobs (created_s);
"""
COLUMNS = "session, state, created_s, changed_s, deaths, digest, submit, outcome"

Outcome = Done | Failed | Cancelled


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job. `digest` names its source in the spool once it is complete; `outcome` is how it ended."""

    session: str
    state: State
    created_s: float
    changed_s: float
    deaths: int
    digest: str
    submit: Submit
    outcome: Outcome | None

    @property
    def job(self) -> str:
        """The client's name for it."""
        return self.submit.job


class Store:
    """The job table of one state folder; for one thread at a time.

    Args:
        path: the database; created when it is not there.

    Raises:
        EngineError: a file that is damaged or of another version.
        OutputError: no room or no permission; also from every method that writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            elif version != SCHEMA_VERSION:
                raise EngineError(
                    f"{path} has layout {version}, this engine writes {SCHEMA_VERSION}; "
                    "give another --state folder"
                )
            verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)

    def close(self) -> None:
        """Ends the connection; nothing is pending."""
        self._db.close()

    def add(self, submit: Submit, session: str, state: State) -> JobRecord:
        """Keeps a new job."""
        now_s = time.time()
        self._write(
            "INSERT INTO jobs (job, session, state, created_s, changed_s, submit) VALUES (?, ?, ?, ?, ?, ?)",
            (submit.job, session, state, now_s, now_s, msgspec.msgpack.encode(submit)),
        )
        return JobRecord(session, state, now_s, now_s, 0, "", submit, None)

    def queue(self, job: str, digest: str) -> None:
        """The source is complete: the job waits for a worker."""
        self._write(
            "UPDATE jobs SET state = 'queued', digest = ?, changed_s = ? WHERE job = ?",
            (digest, time.time(), job),
        )

    def start(self, job: str) -> None:
        """The job was given to a worker."""
        self._write("UPDATE jobs SET state = 'running', changed_s = ? WHERE job = ?", (time.time(), job))

    def again(self, job: str, deaths: int) -> None:
        """The job's worker died; it is queued again."""
        self._write(
            "UPDATE jobs SET state = 'queued', deaths = ?, changed_s = ? WHERE job = ?",
            (deaths, time.time(), job),
        )

    def end(self, outcome: Outcome) -> None:
        """The job is done, failed or cancelled."""
        state = type(outcome).__name__.lower()
        self._write(
            "UPDATE jobs SET state = ?, outcome = ?, changed_s = ? WHERE job = ?",
            (state, msgspec.msgpack.encode(outcome), time.time(), outcome.job),
        )

    def forget(self, job: str) -> None:
        """Drops its row."""
        self._write("DELETE FROM jobs WHERE job = ?", (job,))

    def requeue_running(self) -> None:
        """After a restart: what ran waits again."""
        self._write("UPDATE jobs SET state = 'queued' WHERE state = 'running'", ())

    def get(self, job: str) -> JobRecord | None:
        """The job, or None when it is not known."""
        return next(self._read("WHERE job = ?", (job,)), None)

    def newest(self, limit: int) -> list[JobRecord]:
        """The last `limit` jobs, newest first."""
        return list(self._read("ORDER BY created_s DESC LIMIT ?", (limit,)))

    def in_state(self, state: State) -> list[JobRecord]:
        """All jobs in one state, oldest first."""
        return list(self._read("WHERE state = ? ORDER BY created_s", (state,)))

    def unchanged_since(self, state: State, before_s: float) -> list[JobRecord]:
        """The jobs that came into `state` before that time (seconds since 1970)."""
        return list(self._read("WHERE state = ? AND changed_s < ?", (state, before_s)))

    def unfinished(self) -> int:
        """How many jobs upload, wait or run."""
        with self._explained():
            where = "state IN ('uploading', 'queued', 'running')"
            return int(self._db.execute(f"SELECT count(*) FROM jobs WHERE {where}").fetchone()[0])

    def needs(self, digest: str) -> bool:
        """True while a job that waits or runs reads this source."""
        with self._explained():
            where = "state IN ('queued', 'running') AND digest = ?"
            return (
                self._db.execute(f"SELECT 1 FROM jobs WHERE {where} LIMIT 1", (digest,)).fetchone()
                is not None
            )

    def _read(self, where: str, values: tuple[object, ...]) -> Iterator[JobRecord]:
        with self._explained():
            rows = self._db.execute(f"SELECT {COLUMNS} FROM jobs {where}", values).fetchall()
        for session, state, created_s, changed_s, deaths, digest, submit, outcome in rows:
            yield JobRecord(
                session,
                state,
                created_s,
                changed_s,
                deaths,
                digest,
                msgspec.msgpack.decode(submit, type=Submit),
                None if outcome is None else msgspec.msgpack.decode(outcome, type=Outcome),
            )

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._explained():
            self._db.execute(statement, values)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"{self._path} cannot be written: {error}; make room or give another --state folder"
            ) from None
        except sqlite3.DatabaseError as error:
            raise EngineError(
                f"{self._path} is damaged: {error}; move it away and start again (finished results in the "
                "spool beside it stay cached), or see `airband doctor`"
            ) from None
