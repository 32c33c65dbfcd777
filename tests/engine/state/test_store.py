"""Jobs survive the end of their engine; what cannot be stored gives one clear error."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path as FilePath

import msgspec
import pytest

from bridge.wire.messages import Audio, Cancelled, DeliverPcm, Done, Failed, Path, Pcm, Stem, Submit
from bridge.wire.ulid import new_ulid
from engine.state.job_record import JobRecord, Outcome
from engine.state.store import Store
from presets.errors import EngineError, OutputError
from presets.report import RenderReport
from presets.schema import make

DIGEST = "ab" * 32


def submit(**knobs: object) -> Submit:
    return Submit(new_ulid(), Pcm(Audio(48000, 2, 100)), DeliverPcm(), make(**knobs), "speech", 3)


@pytest.fixture
def path(tmp_path: FilePath) -> FilePath:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def store(path: FilePath) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def test_every_state_is_committed_when_the_call_returns(
    store: Store, path: FilePath, report: RenderReport
) -> None:
    asked = submit(cutoff=4000, seed=7)

    def on_disk() -> JobRecord | None:
        with closing(Store(path)) as other:
            return other.get(asked.job)

    store.add(asked, "S", "uploading")
    assert on_disk() == store.get(asked.job)
    store.queue(asked.job, DIGEST)
    record = on_disk()
    assert record == store.get(asked.job) is not None
    assert (record.state, record.digest, record.session, record.submit) == ("queued", DIGEST, "S", asked)
    store.start(asked.job)
    record = on_disk()
    assert record == store.get(asked.job) is not None
    assert record.state == "running"
    assert [record.job for record in store.in_state("running")] == [asked.job]
    store.again(asked.job, 1)
    record = on_disk()
    assert record == store.get(asked.job) is not None
    assert (record.state, record.deaths) == ("queued", 1)
    sooner = msgspec.structs.replace(asked, priority=5)
    store.prioritise(asked.job, sooner)
    record = on_disk()
    assert record == store.get(asked.job) is not None
    assert record.submit == sooner
    done = Done(asked.job, (Stem("full", 48000, 2, 100, 800, DIGEST),), 1.5, 7, report)
    store.end(done)
    record = on_disk()
    assert record == store.get(asked.job) is not None
    assert (record.state, record.outcome) == ("done", done)
    store.forget(asked.job)
    assert on_disk() is store.get(asked.job) is None


def test_each_end_is_kept_as_it_was(store: Store) -> None:
    jobs = [submit() for _ in range(2)]
    for asked in jobs:
        store.add(asked, "S", "queued")
    outcomes: list[Outcome] = [Failed(jobs[0].job, "input", "empty", "source"), Cancelled(jobs[1].job)]
    for outcome in outcomes:
        store.end(outcome)
    records = [store.get(asked.job) for asked in jobs]
    assert [record and record.outcome for record in records] == outcomes
    assert [record and record.state for record in records] == ["failed", "cancelled"]


def test_after_a_restart_what_ran_waits_again(store: Store, path: FilePath) -> None:
    running, done = submit(), submit()
    for asked in (running, done):
        store.add(asked, "S", "queued")
        store.start(asked.job)
    store.end(Cancelled(done.job))
    store.close()
    again = Store(path)
    again.requeue_running()
    assert [record.job for record in again.in_state("queued")] == [running.job]
    assert again.unfinished() == 1
    again.close()


def test_lists_are_in_order_of_age(store: Store) -> None:
    jobs = [submit() for _ in range(5)]
    for asked in jobs:
        store.add(asked, "S", "queued")
    names = [asked.job for asked in jobs]
    assert [record.job for record in store.in_state("queued")] == names
    assert [record.job for record in store.newest(3)] == names[:1:-1]


def test_a_source_is_needed_while_a_job_that_reads_it_is_unfinished(store: Store) -> None:
    first, second = submit(), submit()
    for asked in (first, second):
        store.add(asked, "S", "uploading")
        store.queue(asked.job, DIGEST)
    store.end(Cancelled(first.job))
    assert store.needs(DIGEST)
    store.end(Cancelled(second.job))
    assert not store.needs(DIGEST)


def test_what_lies_still_can_be_found(store: Store) -> None:
    asked = submit()
    store.add(asked, "S", "uploading")
    assert store.unchanged_since("uploading", time.time() - 60, 9) == []
    assert [record.job for record in store.unchanged_since("uploading", time.time() + 60, 9)] == [asked.job]


def test_no_room_is_an_output_error_and_loses_nothing(path: FilePath) -> None:
    store = Store(path)
    kept = submit()
    store.add(kept, "S", "queued")
    store._db.execute("PRAGMA max_page_count = 1")  # makes SQLite run out of room
    fat = Submit(new_ulid(), Path("/" + "x" * 4000), DeliverPcm(), make())
    with pytest.raises(OutputError, match="make room"):
        store.add(fat, "S", "queued")
    store.close()
    again = Store(path)
    assert again.get(kept.job) is not None
    again.close()


@pytest.mark.parametrize("content", [b"not a database" * 400, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_one_clear_error(path: FilePath, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(EngineError, match="damaged"):
        Store(path)
    assert path.read_bytes() == content, "what may still be saved is left alone"


def test_a_page_overwritten_in_the_middle_is_noticed(path: FilePath) -> None:
    store = Store(path)
    for _ in range(50):
        store.add(submit(), "S", "queued")
    store.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(EngineError, match="damaged"):
        Store(path)


def test_another_layout_is_refused(path: FilePath) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(EngineError, match="layout 99"):
        Store(path)


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: FilePath) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        Store(tmp_path / "missing" / "jobs.sqlite")


def test_a_table_of_the_first_layout_is_brought_up_to_date(tmp_path: FilePath) -> None:
    path = tmp_path / "jobs.sqlite"
    asked = submit()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE jobs (job TEXT PRIMARY KEY, session TEXT NOT NULL, state TEXT NOT NULL, created_s "
            "REAL NOT NULL, changed_s REAL NOT NULL, deaths INTEGER NOT NULL DEFAULT 0, digest TEXT NOT NULL "
            "DEFAULT '', submit BLOB NOT NULL, outcome BLOB) WITHOUT ROWID"
        )
        db.execute("CREATE INDEX jobs_by_state ON jobs (state, changed_s)")
        db.execute("CREATE INDEX jobs_by_age ON jobs (created_s)")
        row = (asked.job, "S", "queued", 1.0, 2.0, 1, "ab", msgspec.msgpack.encode(asked), None)
        db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("PRAGMA user_version = 1")
    with closing(Store(path)) as store:
        [record] = store.in_state("queued")
        assert (record.job, record.owner, record.deaths, record.submit) == (asked.job, "", 1, asked)
        assert store.unfinished() == 1
    with closing(Store(path)) as store:
        assert store.get(asked.job) == record


def test_a_locked_table_is_told_at_once(tmp_path: FilePath) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(Store(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        with pytest.raises(OutputError, match="locked"):
            store.add(submit(), "S", "queued")
        assert time.monotonic() - began_s < 3.0


@pytest.mark.parametrize(
    "asked",
    [
        lambda store: store.needs(DIGEST),
        lambda store: store.newest(10, owner="one"),
        lambda store: store.newest(10, unfinished=True, owner="many"),
        lambda store: store.newest(10, unfinished=True),
        lambda store: store.newest(10),
    ],
    ids=["needs", "newest of one", "unfinished of many", "unfinished", "newest"],
)
def test_what_the_loop_asks_does_not_grow_with_the_jobs_that_have_ended(
    store: Store, path: FilePath, asked: Callable[[Store], object]
) -> None:
    store.add(submit(), "S", "done", "one")
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "INSERT INTO jobs (job, owner, session, state, created_s, changed_s, digest, submit) "
            "VALUES (?, 'many', 'S', 'done', ?, 0, ?, x'')",
            ((f"{number:026}", number, DIGEST) for number in range(20_000)),
        )
    steps: list[int] = []
    store._db.set_progress_handler(lambda: steps.append(1), 100)
    asked(store)
    assert len(steps) < 50  # times 100 of SQLite's instructions; visiting every job takes 100,000 at least
