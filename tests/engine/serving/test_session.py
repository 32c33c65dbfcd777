"""One client's protocol state without sockets: order of replies, credit, watching, conflation, bounds."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bridge.wire.frames import decode, encode
from bridge.wire.messages import (
    Accepted,
    Audio,
    Busy,
    Cancel,
    Cancelled,
    Chunk,
    Closing,
    Data,
    DeliverFile,
    DeliverPcm,
    Done,
    EngineMessage,
    Error,
    Failed,
    Fetch,
    File,
    Forget,
    Grant,
    Listing,
    Message,
    Pcm,
    Ping,
    Pong,
    Prioritise,
    Progress,
    Status,
    Stem,
    Submit,
    Watch,
)
from bridge.wire.messages import (
    Jobs as ListJobs,
)
from bridge.wire.messages import Path as PathSource
from bridge.wire.process_birth import boot_id
from bridge.wire.transfer import hasher
from bridge.wire.ulid import new_ulid
from engine.serving import jobs as jobs_module
from engine.serving import retention
from engine.serving import session as session_module
from engine.serving.job_status import fit_header
from engine.serving.jobs import Jobs
from engine.serving.retention import Retention
from engine.serving.session import Session, error_message
from engine.serving.worker_messages import Next, Ready, Task
from engine.state import clock
from engine.state.spool import Spool
from engine.state.store import Store
from engine.state.upload import Upload
from presets.errors import OutputError
from presets.limits import CREDIT_BYTES
from presets.report import EffectsReport, LikeReport, RenderReport
from presets.schema import make

WaitUntil = Callable[[Callable[[], bool], str], None]
SAMPLES = np.arange(2000, dtype="f4").reshape(2, -1) / 4000


class RecordingWorker:
    """Records its tasks and renders nothing; the tests report their outcomes."""

    is_helper = False

    def __init__(self) -> None:
        self.ready: Ready | None = Ready("cpu", ())
        self.sent: list[Task | Cancel] = []

    def send(self, message: Task | Cancel) -> None:
        self.sent.append(message)


class House:
    """The engine's jobs with one device and two sessions."""

    def __init__(self, folder: Path, report: RenderReport) -> None:
        self.report = report
        self.store, self.spool, self.workers = (
            Store(folder / "jobs.sqlite"),
            Spool(folder / "spool"),
            RecordingWorker(),
        )
        self.jobs = Jobs(self.store, self.spool, {"cpu": self.workers}, self.tell)
        self.one, self.two = Session(new_ulid(), self.jobs), Session(new_ulid(), self.jobs)

    def tell(self, job: str, message: EngineMessage) -> None:
        for session in (self.one, self.two):
            session.tell(job, message)

    def close(self) -> None:
        self.jobs.close()
        self.store.close()


@pytest.fixture
def house(tmp_path: Path, report: RenderReport) -> Iterator[House]:
    house = House(tmp_path, report)
    yield house
    house.close()


def heard(session: Session) -> list[EngineMessage]:
    messages = []
    while (frames := session.peek()) is not None:
        messages.append(decode([bytes(frame) for frame in frames], "engine")[0])
        session.sent()
    return messages


def ask(session: Session, message: Message, buffer: bytes | None = None) -> list[EngineMessage]:
    session.receive(message, None if buffer is None else memoryview(buffer))  # type: ignore[arg-type]
    session._jobs.finish_uploads()
    return heard(session)


def submit(**more: Any) -> Submit:
    audio = Audio(48000, *SAMPLES.shape)
    return Submit(new_ulid(), Pcm(audio), DeliverPcm(), make(model="null"), **more)


def by_path() -> Submit:
    """A job that is queued as soon as it is submitted."""
    return Submit(new_ulid(), PathSource("/clip.wav"), DeliverPcm(), make(model="null"))


def queued(session: Session, **more: Any) -> str:
    asked = submit(**more)
    ask(session, asked)
    digest = hasher()
    digest.update(SAMPLES.tobytes())
    [state] = ask(session, Chunk(asked.job, 0, True, digest.hexdigest()), SAMPLES.tobytes())
    assert isinstance(state, Accepted)
    assert state.state == "queued"
    return asked.job


def done(house: House, job: str) -> Done:
    """Leaves the files of a finished job, and returns the worker's message."""
    written = house.spool.scratch(job, "stem")
    written.write_bytes(SAMPLES.tobytes())
    house.spool.keep_stem(job, written)
    outcome = Done(job, (Stem("full", 48000, 2, 1000, SAMPLES.nbytes, "ab" * 32),), 0.1, 0, house.report)
    house.jobs.runs.handle_worker("cpu", outcome)
    return outcome


def test_an_upload_is_granted_and_queued_at_its_last_byte(house: House) -> None:
    asked, content = submit(), SAMPLES.tobytes()
    assert ask(house.one, asked) == [
        Accepted(asked.job, "uploading"),
        Grant(asked.job, 0, len(content)),
    ]
    assert ask(house.one, Chunk(asked.job, 0), content[:5000]) == []
    [gap] = ask(house.one, Chunk(asked.job, 6000), content[6000:7000])
    assert isinstance(gap, Error)
    assert (gap.code, gap.job, gap.field) == ("wire", asked.job, "offset")
    assert ask(house.one, asked)[0] == Accepted(asked.job, "uploading", offset=5000)
    digest = hasher()
    digest.update(content)
    last = Chunk(asked.job, 5000, True, digest.hexdigest())
    assert ask(house.one, last, content[5000:]) == [Accepted(asked.job, "queued", 1)]
    assert house.spool.source(digest.hexdigest()).read_bytes() == content
    [late] = ask(house.one, last, content[5000:])
    assert isinstance(late, Error)


def test_credit_is_bounded(house: House) -> None:
    asked = Submit(new_ulid(), Pcm(Audio(48000, 8, 10**7)), DeliverPcm(), make())
    assert ask(house.one, asked)[1] == Grant(asked.job, 0, CREDIT_BYTES)
    [beyond] = ask(house.one, Chunk(asked.job, 1), bytes(10))
    assert isinstance(beyond, Error)


def test_credit_that_comes_later_is_told_to_who_sends(house: House) -> None:
    asked = submit()
    ask(house.one, asked)
    ask(house.two, Watch(asked.job))
    later = Grant(asked.job, 4000, 4000)
    house.tell(asked.job, later)
    assert heard(house.one) == [later]
    assert heard(house.two) == []
    house.tell(asked.job, later)
    assert heard(house.one) == [later], "it still sends"
    ask(house.two, Cancel(asked.job))
    assert heard(house.one) == [Cancelled(asked.job)]


def test_a_wrong_digest_fails_the_job(house: House) -> None:
    asked = submit()
    ask(house.one, asked)
    ask(house.one, Watch(asked.job))
    assert ask(house.one, Chunk(asked.job, 0, True, "0" * 64), SAMPLES.tobytes()) == []
    house.jobs.dispatch()
    [failed] = heard(house.one)
    assert isinstance(failed, Failed)
    assert failed.field == "digest"
    assert not house.spool.part(asked.job).exists()


def test_the_worker_has_its_next_job_before_the_last_one_is_written_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = queued(house.one), queued(house.two, priority=1)
    house.jobs.dispatch()
    given: list[int] = []
    real = house.store.end

    def end(outcome: Any) -> None:
        given.append(len(house.workers.sent))
        real(outcome)

    monkeypatch.setattr(house.store, "end", end)
    done(house, first)
    assert given == [2]
    assert [task.submit.job for task in house.workers.sent if isinstance(task, Task)] == [first, second]
    assert [house.jobs.state(job).state for job in (first, second)] == ["done", "running"]


def given(house: House) -> list[str]:
    """The jobs that the worker was given, in order."""
    return [task.submit.job for task in house.workers.sent if isinstance(task, Task)]


def test_a_worker_that_is_nearly_done_is_given_its_next_job_which_waits_until_then(house: House) -> None:
    first, second, third = queued(house.one), queued(house.two), queued(house.one)
    house.jobs.dispatch()
    house.jobs.runs.handle_worker("cpu", Next())
    house.jobs.runs.handle_worker("cpu", Next())
    house.jobs.dispatch()
    assert given(house) == [first, second]
    assert ask(house.two, Watch(second)) == [Accepted(second, "queued", 1)]
    assert house.jobs.state(third) == Accepted(third, "queued", 2)
    done(house, first)
    assert given(house) == [first, second]
    assert house.jobs.state(second).state == "running"
    assert heard(house.two) == [Progress(second, "start", 0, 1)]
    outcome = done(house, second)
    assert heard(house.two) == [outcome]
    assert given(house) == [first, second, third]


def test_a_job_that_is_cancelled_while_its_worker_holds_it_never_runs(house: House) -> None:
    first, second, third = queued(house.one), queued(house.one), queued(house.one)
    house.jobs.dispatch()
    house.jobs.runs.handle_worker("cpu", Next())
    ask(house.two, Watch(second))
    assert ask(house.one, Cancel(second)) == [Accepted(second, "cancelled")]
    assert heard(house.two) == [Cancelled(second)]
    assert house.workers.sent[-1] == Cancel(second)
    ask(house.one, Forget(second))
    done(house, first)
    assert [job.job for job in house.jobs.listed(ListJobs())] == [third, first]
    house.jobs.runs.handle_worker("cpu", Cancelled(second))
    assert given(house) == [first, second, third]
    assert [house.jobs.state(job).state for job in (first, third)] == ["done", "running"]
    assert heard(house.two) == []


def test_a_worker_that_dies_gives_back_what_it_held_and_that_is_no_try_of_it(house: House) -> None:
    first, second, third = queued(house.one), queued(house.two), queued(house.two)
    house.jobs.dispatch()
    house.jobs.runs.handle_worker("cpu", Next())
    house.jobs.runs.handle_worker("cpu", None)
    assert [house.jobs.state(job) for job in (second, third, first)] == [
        Accepted(second, "queued", 1),
        Accepted(third, "queued", 3),
        Accepted(first, "queued", 2),
    ]
    house.jobs.dispatch()
    house.jobs.runs.handle_worker("cpu", None)
    assert house.jobs.state(second).state == "queued", "its first death"
    assert given(house) == [first, second, second]


def test_what_a_dead_worker_held_and_was_cancelled_is_not_run_again(house: House) -> None:
    first, second = queued(house.one), queued(house.one)
    house.jobs.dispatch()
    house.jobs.runs.handle_worker("cpu", Next())
    ask(house.one, Cancel(second))
    house.jobs.runs.handle_worker("cpu", None)
    house.jobs.dispatch()
    done(house, first)
    house.jobs.dispatch()
    assert given(house) == [first, second, first]
    assert house.jobs.runs.idle


def test_progress_is_conflated_and_never_follows_the_end(house: House) -> None:
    job = queued(house.one)
    assert ask(house.one, Watch(job)) == [Accepted(job, "queued", 1)]
    house.jobs.dispatch()
    for step in range(100):
        house.jobs.runs.handle_worker("cpu", Progress(job, "render", step, 100))
    assert heard(house.one) == [Progress(job, "render", 99, 100)]
    assert heard(house.two) == [], "who does not watch hears nothing"
    house.jobs.runs.handle_worker("cpu", Progress(job, "render", 100, 100))
    outcome = done(house, job)
    assert heard(house.one) == [outcome]
    assert ask(house.two, Watch(job)) == [Accepted(job, "done"), outcome]


def test_replies_come_in_the_order_of_the_questions(house: House) -> None:
    asked = submit()
    house.one.receive(Ping(1), None)
    house.one.receive(asked, None)
    house.one.receive(Ping(2), None)
    assert [type(message) for message in heard(house.one)] == [Pong, Accepted, Grant, Pong]


def test_sessions_take_turns_and_priorities_hold_within_one(house: House) -> None:
    first, second = queued(house.one), queued(house.one, priority=5)
    other = queued(house.two)
    assert [house.jobs.state(job).position for job in (second, other, first)] == [1, 2, 3]
    house.jobs.dispatch()
    house.jobs.dispatch()
    [task] = house.workers.sent
    assert isinstance(task, Task)
    assert task.submit.job == second


def test_a_cancelled_job_frees_its_device_when_the_worker_answers(house: House) -> None:
    running, waiting = queued(house.one), queued(house.one)
    house.jobs.dispatch()
    ask(house.two, Watch(running))
    assert ask(house.one, Cancel(running)) == [Accepted(running, "cancelled")]
    assert heard(house.two) == [Cancelled(running)]
    assert house.workers.sent[-1] == Cancel(running)
    house.jobs.dispatch()
    assert len(house.workers.sent) == 2, "the worker is still at it"
    house.jobs.runs.handle_worker("cpu", Progress(running, "render", 1, 2))
    done(house, running)
    assert house.jobs.state(running).state == "cancelled"
    assert not house.spool.stem(running).exists()
    house.jobs.dispatch()
    assert house.jobs.state(waiting).state == "running"


def test_a_worker_that_dies_gets_its_job_back_once(house: House) -> None:
    job = queued(house.one)
    ask(house.one, Watch(job))
    for expected in ("queued", "failed"):
        house.jobs.dispatch()
        house.spool.scratch(job, "pcm").write_bytes(b"half")
        house.jobs.runs.handle_worker("cpu", None)
        assert house.jobs.state(job).state == expected
        assert not list((house.spool.folder / "scratch").iterdir())
    last = heard(house.one)[-1]
    assert isinstance(last, Failed)
    assert last.code == "worker_crashed"
    house.jobs.runs.handle_worker("cpu", None)


def test_the_next_engine_goes_on(house: House, tmp_path: Path) -> None:
    finished, running, waiting = queued(house.one), queued(house.one), queued(house.one)
    uploading = submit()
    ask(house.one, uploading)
    ask(house.one, Chunk(uploading.job, 0), SAMPLES.tobytes()[:400])
    house.jobs.dispatch()
    done(house, finished)
    house.jobs.dispatch()
    house.spool.scratch(running, "pcm").write_bytes(b"half")
    house.close()
    again = House(tmp_path, house.report)
    try:
        states = [again.jobs.state(job) for job in (finished, running, waiting)]
        assert [(state.state, state.position) for state in states] == [
            ("done", 0),
            ("queued", 1),
            ("queued", 2),
        ]
        assert ask(again.one, uploading)[0] == Accepted(uploading.job, "uploading", offset=400)
        assert not list((again.spool.folder / "scratch").iterdir())
        [data] = ask(again.two, Fetch(finished, "full", 0, 10**6))
        assert isinstance(data, Data)
        assert data.last
    finally:
        again.close()


def test_a_stem_is_fetched_in_pieces_from_any_offset(house: House) -> None:
    job = queued(house.one)
    house.jobs.dispatch()
    done(house, job)
    house.one.receive(Fetch(job, "full", 4000, CREDIT_BYTES), None)
    frames = house.one.peek()
    assert frames is house.one.peek(), "the same frames until they are sent"
    assert frames is not None
    assert bytes(frames[1]) == SAMPLES.tobytes()[4000:]
    assert decode(frames, "engine")[0] == Data(job, "full", 4000, True)


def test_a_large_stem_leaves_in_chunks_that_share_one_request(house: House) -> None:
    job = queued(house.one)
    house.jobs.dispatch()
    content = np.random.default_rng(0).bytes(5 * 2**20 // 2)
    house.spool.stem(job).write_bytes(content)
    stem = Stem("full", 48000, 1, len(content) // 4, len(content), "ab" * 32)
    house.jobs.runs.handle_worker("cpu", Done(job, (stem,), 0.1, 0, house.report))
    house.one.receive(Fetch(job, "full", 0, CREDIT_BYTES), None)
    got = b""
    while (frames := house.one.peek()) is not None:
        data, buffer = decode(frames, "engine")
        assert isinstance(data, Data)
        assert (data.offset, data.last) == (len(got), len(got) + len(buffer or b"") == len(content))
        got += bytes(buffer or b"")
        house.one.sent()
    assert got == content


def test_a_stem_that_left_the_spool_is_an_error(house: House) -> None:
    job = queued(house.one)
    house.jobs.dispatch()
    done(house, job)
    house.spool.stem(job).unlink()
    [error] = ask(house.one, Fetch(job, "full", 0, 10))
    assert isinstance(error, Error)
    assert (error.code, error.job) == ("input", job)


def test_another_priority_is_kept_and_puts_a_job_in_front(tmp_path: Path, report: RenderReport) -> None:
    house = House(tmp_path, report)
    first, second = queued(house.one), queued(house.one)
    assert ask(house.one, Prioritise(second, 3)) == [Accepted(second, "queued", 1)]
    assert house.jobs.state(first).position == 2
    house.close()
    again = House(tmp_path, report)
    try:
        assert (again.jobs.status(second).priority, again.jobs.state(second).position) == (3, 1)
        again.jobs.dispatch()
        done(again, second)
        [refused] = ask(again.one, Prioritise(second, 0))
        assert isinstance(refused, Error)
        assert "only unfinished jobs have a priority" in refused.message
    finally:
        again.close()


def test_only_ended_jobs_are_forgotten_and_nothing_is_left_of_them(house: House) -> None:
    job = queued(house.one)
    [refused] = ask(house.one, Forget(job))
    assert isinstance(refused, Error)
    assert "cancel" in refused.message
    house.jobs.dispatch()
    done(house, job)
    assert ask(house.one, Forget(job)) == [Accepted(job, "done")]
    house.store.sync()
    house.jobs.dispatch()
    until_s = time.monotonic() + 10  # sources are deleted in a thread
    while (left := [path for path in house.spool.folder.rglob("*") if path.is_file()]) and (
        time.monotonic() < until_s
    ):
        time.sleep(0.01)
    assert left == []


def test_jobs_beyond_the_limit_are_told_to_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "JOBS_MAX", 1)
    job = queued(house.one)
    [busy] = ask(house.one, submit())
    assert isinstance(busy, Busy)
    ask(house.one, Cancel(job))
    assert isinstance(ask(house.one, submit())[0], Accepted)


def test_a_client_that_does_not_listen_is_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "OUTBOX_MAX", 10)
    for _ in range(10):
        house.one.receive(Ping(), None)
    assert not house.one.overrun
    house.one.receive(Ping(), None)
    assert house.one.overrun


def test_fetches_that_wait_are_bounded(house: House) -> None:
    for _ in range(session_module.FETCHES_MAX + 1):
        house.one.receive(Fetch(new_ulid(), "full", 0, 10), None)
    refused = heard(house.one)[0]
    assert isinstance(refused, Error)
    assert refused.code == "wire"


def test_a_listing_of_long_names_fits_its_header(house: House) -> None:
    source = PathSource("/" + "\N{SNOWMAN}" * 1000 + ".wav")
    ask(house.one, Submit(new_ulid(), source, DeliverPcm(), make()))
    [line] = house.jobs.listed(ListJobs(1))
    assert line.source.endswith(".wav")
    shown = fit_header([line] * 200)
    assert len(shown) > 50
    assert len(encode(Listing(shown))) == 1


def test_an_engine_that_closes_takes_nothing_more(house: House) -> None:
    house.jobs.runs.closing = True
    assert [type(message) for message in ask(house.one, submit())] == [Closing]
    assert ask(house.one, Ping(1)) == [Pong(1)]
    assert house.store.unfinished() == 0


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files as a full disk would")
def test_an_upload_that_finds_no_room_fails_and_leaves_nothing(house: House) -> None:
    import resource

    content = bytes(8 * 400_000)
    digest = hasher()
    digest.update(content)
    asked = Submit(new_ulid(), Pcm(Audio(48000, 2, 400_000)), DeliverPcm(), make())
    ask(house.one, asked)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, hard))
    try:
        for offset in range(0, len(content), 2**20):
            last = offset + 2**20 >= len(content)
            chunk = Chunk(asked.job, offset, last, digest.hexdigest() if last else None)
            ask(house.one, chunk, content[offset : offset + 2**20])
        house.jobs.finish_uploads()  # a thread writes the pieces; its error may come with the next one
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    house.jobs.dispatch()
    outcome = house.jobs.record(asked.job).outcome
    assert isinstance(outcome, Failed)
    assert outcome.code == "output"
    assert not house.spool.part(asked.job).exists()


def test_an_end_that_finds_no_room_is_kept_as_soon_as_there_is_some(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    job = queued(house.one)
    house.jobs.dispatch()
    house.store._db.execute("PRAGMA query_only = 1")  # makes SQLite refuse every write
    done(house, job)
    for _ in range(9):
        house.jobs.dispatch()
    assert house.jobs.state(job).state == "running"
    waits = house.jobs.runs.progress(job)
    assert waits is not None
    assert waits.stage == "wait for room on the engine's disk"
    assert caplog.text.count("is not kept") == 1
    house.store._db.execute("PRAGMA query_only = 0")
    house.jobs.dispatch()
    assert house.jobs.state(job).state == "done"


def test_a_disk_without_room_for_a_row_is_made_room_on_and_the_job_goes_on(
    house: House, tmp_path: Path, report: RenderReport
) -> None:
    cached = house.spool.scratch("cached", "pcm")
    cached.write_bytes(bytes(2**20))
    cached = house.spool.results.keep("cached", cached, report)
    asked, digest = submit(), hasher()
    digest.update(SAMPLES.tobytes())
    ask(house.one, asked)
    house.one.receive(Chunk(asked.job, 0, True, digest.hexdigest()), memoryview(SAMPLES.tobytes()))
    [(_, upload)] = house.jobs._incoming.uploads.complete
    upload.wait()
    [pages] = house.store._db.execute("PRAGMA page_count").fetchone()
    house.store._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then reports a full disk
    for _ in range(100):
        house.two.receive(by_path(), None)
    assert isinstance(heard(house.two)[-1], Busy), "a new job waits outside"
    house.jobs.dispatch()
    free = house.spool.room
    house.spool.room = lambda: free() if not cached.exists() else -(2**20)  # type: ignore[method-assign]
    kept = Retention(house.jobs, house.store, house.spool)
    kept.apply_when_due()
    kept.close()
    assert not cached.exists()
    house.store._db.execute("PRAGMA max_page_count = 1000000")
    house.jobs.dispatch()
    assert house.jobs.state(asked.job).state in ("queued", "running")
    assert house.spool.source(digest.hexdigest()).exists()


def test_a_full_disk_on_which_the_engine_holds_nothing_keeps_no_job_waiting(house: House) -> None:
    house.store._db.execute("PRAGMA max_page_count = 1")  # SQLite then reports a full disk
    fat = msgspec.structs.replace(by_path(), source=PathSource("/" + "x" * 4000))
    [error] = ask(house.one, fat)
    assert isinstance(error, Error)
    assert "make room" in error.message


def test_a_source_that_comes_again_while_it_is_dropped_stays(house: House) -> None:
    first = queued(house.one)
    house.jobs.dispatch()
    second, digest = submit(), hasher()
    digest.update(SAMPLES.tobytes())
    house.two.receive(second, None)
    house.two.receive(Chunk(second.job, 0, True, digest.hexdigest()), memoryview(SAMPLES.tobytes()))
    [(_, upload)] = house.jobs._incoming.uploads.complete
    upload.wait()
    done(house, first)  # its source is also the second's, which is complete but not queued yet
    house.store.sync()
    house.jobs._incoming.files.drop_released(house.store.synced, house.jobs._is_needed)
    house.jobs.finish_uploads()
    house.jobs._incoming.files.close()
    assert house.spool.source(digest.hexdigest()).read_bytes() == SAMPLES.tobytes()


def test_a_source_that_is_whole_when_its_job_is_cancelled_goes(house: House) -> None:
    asked, digest = submit(), hasher()
    digest.update(SAMPLES.tobytes())
    ask(house.one, asked)
    house.one.receive(Chunk(asked.job, 0, True, digest.hexdigest()), memoryview(SAMPLES.tobytes()))
    house.one.receive(Cancel(asked.job), None)
    house.store.sync()
    house.jobs.dispatch()
    while house.jobs._incoming.uploads.is_ending(asked.job):  # a thread is still writing it
        house.jobs.dispatch()
    house.jobs._incoming.files.close()
    assert not list((house.spool.folder / "sources").iterdir())
    assert not list((house.spool.folder / "parts").iterdir())


def test_what_is_too_old_is_forgotten(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job, stale = queued(house.one), submit()
    ask(house.one, stale)
    house.jobs.dispatch()
    done(house, job)
    kept = Retention(house.jobs, house.store, house.spool)
    kept.apply()
    assert {line.job for line in house.jobs.listed(ListJobs(9))} == {job, stale.job}
    monkeypatch.setattr(retention, "RESULT_TTL_S", -1.0)
    monkeypatch.setattr(retention, "UPLOAD_TTL_S", -1.0)
    kept.apply()
    kept.close()
    assert house.jobs.listed(ListJobs(9)) == (house.jobs.status(stale.job),)
    assert house.jobs.state(stale.job).state == "cancelled"


def test_a_clock_that_jumps_forgets_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job = queued(house.one)
    house.jobs.dispatch()
    done(house, job)
    kept = Retention(house.jobs, house.store, house.spool)
    monkeypatch.setattr(retention, "DUE_S", -1.0)
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + 30 * 24 * 3600)
    for _ in range(3):
        kept.apply_when_due()
    kept.close()
    assert house.jobs.state(job).state == "done"
    assert house.spool.stem(job).exists()


@pytest.mark.skipif(not boot_id(), reason="the system does not tell its boots apart")
def test_a_clock_set_between_two_engines_forgets_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queued(house.one)
    house.jobs.dispatch()
    done(house, job)
    Retention(house.jobs, house.store, house.spool).close()
    monkeypatch.setattr(retention, "DUE_S", -1.0)
    real, steady_s = time.time, clock.steady_s
    monkeypatch.setattr("time.time", lambda: real() + 30 * 24 * 3600)
    for _ in range(2):
        later = Retention(house.jobs, house.store, house.spool)
        later.apply_when_due()
        later.close()
        assert house.jobs.state(job).state == "done"
    monkeypatch.setattr(clock, "steady_s", lambda: steady_s() + 2 * clock.DOUBT_S)
    monkeypatch.setattr("time.time", lambda: real() + 30 * 24 * 3600 + 2 * clock.DOUBT_S)
    later = Retention(house.jobs, house.store, house.spool)
    later.apply_when_due()
    later.close()
    assert house.jobs.listed(ListJobs(9)) == ()


def test_a_log_keeps_its_end(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DUE_S", -1.0)
    monkeypatch.setattr(retention, "COUNT_S", -1.0)
    monkeypatch.setattr(retention, "LOG_BYTES", 10_000)
    log = tmp_path / "engine.log"
    with log.open("ab", buffering=0) as written:
        for number in range(3000):
            written.write(b"line %d\n" % number)
        kept = Retention(house.jobs, house.store, house.spool)
        kept.apply_when_due()
        kept.close()
        assert log.stat().st_size < 5000
        written.write(b"line 3000\n")
    lines = log.read_text().splitlines()
    assert lines == [f"line {number}" for number in range(3001 - len(lines), 3001)]


def test_a_report_too_large_for_a_message_costs_nobody_else_anything(house: House) -> None:
    job = queued(house.one)
    ask(house.two, Watch(job))
    house.jobs.dispatch()
    done(house, job)
    report = msgspec.structs.replace(
        house.report, effects=EffectsReport(bypassed=("no such plugin " * 7000,))
    )
    outcome = house.jobs.record(job).outcome
    assert isinstance(outcome, Done)
    outcome = msgspec.structs.replace(outcome, report=report)
    written = (msgspec.msgpack.encode(outcome), job)
    house.store._db.execute("UPDATE jobs SET outcome = ? WHERE job = ?", written)
    house.store._known.clear()
    [_, told] = ask(house.one, Watch(job))
    assert isinstance(told, Done)
    assert told.stems[0].nbytes == SAMPLES.nbytes
    assert told.report.effects is not None
    assert told.report.effects.bypassed[0].startswith("no such plugin")
    assert ask(house.one, Ping(1)) == [Pong(1)]


def test_what_is_told_of_a_job_is_on_the_disk_and_a_ping_waits_for_no_disk(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    house.one.receive(by_path(), None)
    house.two.receive(Ping(1.0), None)
    assert house.one.peek(house.store.synced) is None
    assert house.two.peek(house.store.synced) is not None
    assert not synced
    house.store.sync()
    assert len(synced) == 1
    assert house.one.peek(house.store.synced) is not None


def test_an_upload_begins_before_the_disk_has_its_row(house: House) -> None:
    asked = submit()
    house.one.receive(asked, None)
    frames = house.one.peek(house.store.synced)
    assert frames is not None
    assert decode([bytes(frame) for frame in frames], "engine")[0] == Accepted(asked.job, "uploading")


def test_nothing_is_told_while_the_disk_refuses(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    house.one.receive(by_path(), None)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OutputError, match="broken"):
            house.store.sync()
        assert house.one.peek(house.store.synced) is None
    house.store.sync()
    assert house.one.peek(house.store.synced) is not None


def test_a_submit_repeated_while_the_last_piece_is_written_waits_for_it(house: House) -> None:
    asked, digest = submit(), hasher()
    house.one.receive(asked, None)
    digest.update(SAMPLES.tobytes())
    heard(house.one)
    house.one.receive(Chunk(asked.job, 0, True, digest.hexdigest()), memoryview(SAMPLES.tobytes()))
    house.two.receive(asked, None)
    assert [message.state for message in heard(house.two)] == ["uploading"]  # type: ignore[union-attr]
    house.jobs.finish_uploads()
    for session in (house.one, house.two):
        assert [message.state for message in heard(session)] == ["queued"]  # type: ignore[union-attr]


def test_a_silent_upload_keeps_nobody_else_out_and_is_taken_up_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.spool.quota_bytes = 3 * SAMPLES.nbytes + 100  # a source, its result and its stem
    silent, other = submit(), submit()
    ask(house.one, silent)
    assert isinstance(ask(house.two, other)[0], Busy)
    house.jobs.let_uploads_lapse()
    assert isinstance(ask(house.two, other)[0], Busy), "it was heard of just now"
    monkeypatch.setattr(jobs_module, "UPLOAD_SILENCE_S", -1.0)
    house.jobs.let_uploads_lapse()
    [accepted, _] = ask(house.two, other)
    assert isinstance(accepted, Accepted)
    digest = hasher()
    digest.update(SAMPLES.tobytes())
    whole = Chunk(silent.job, 0, True, digest.hexdigest())
    assert isinstance(ask(house.one, whole, SAMPLES.tobytes())[0], Busy)
    assert isinstance(ask(house.one, silent)[0], Busy)
    ask(house.two, Cancel(other.job))
    [accepted, grant] = ask(house.one, silent)
    assert isinstance(grant, Grant)
    [accepted] = ask(house.one, whole, SAMPLES.tobytes())
    assert isinstance(accepted, Accepted)
    assert accepted.state == "queued"


def test_many_sources_that_came_at_once_are_queued_over_several_turns(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "QUEUE_UPLOADED_S", -1.0)
    woken: list[bool] = []
    monkeypatch.setattr(house.jobs, "_wake", lambda: woken.append(True))
    digest = hasher()
    digest.update(SAMPLES.tobytes())
    asked = [submit() for _ in range(3)]
    for each in asked:
        house.one.receive(each, None)
        house.one.receive(Chunk(each.job, 0, True, digest.hexdigest()), memoryview(SAMPLES.tobytes()))
    for _, upload in house.jobs._incoming.uploads.complete:
        upload.wait()
    for turn in (1, 2, 3):
        house.jobs.dispatch()
        assert sum(house.jobs.state(each.job).state != "uploading" for each in asked) == turn
    assert len(woken) == 2


def test_a_cancel_does_not_wait_for_the_disk_and_leaves_no_upload_behind(
    house: House, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    real, is_writing, may_write = Upload._append, threading.Event(), threading.Event()

    def slow(self: Upload, piece: memoryview) -> FileIO:
        is_writing.set()
        may_write.wait(60)
        return real(self, piece)

    monkeypatch.setattr(Upload, "_append", slow)
    asked, digest = submit(), hasher()
    digest.update(SAMPLES.tobytes())
    house.one.receive(asked, None)
    house.one.receive(Chunk(asked.job, 0, True, digest.hexdigest()), memoryview(SAMPLES.tobytes()))
    assert is_writing.wait(60)
    house.one.receive(Cancel(asked.job), None)
    house.one.receive(Forget(asked.job), None)
    assert house.store.get(asked.job) is None
    heard(house.one)
    house.one.receive(asked, None)
    [busy] = heard(house.one)
    assert isinstance(busy, Busy), "the old one's file is still written to"
    may_write.set()

    def is_taken() -> bool:
        house.jobs.dispatch()
        house.one.receive(asked, None)
        return isinstance(heard(house.one)[0], Accepted)

    wait_until(is_taken, "the name to be free again")
    assert house.jobs._incoming.uploads._uploads[asked.job].receiver.offset == 0
    assert list((house.spool.folder / "sources").iterdir()) == []


def test_a_name_is_that_of_one_job(house: House) -> None:
    asked = submit()
    ask(house.one, asked)
    others = [
        msgspec.structs.replace(asked, params=make(model="null", seed=1)),
        msgspec.structs.replace(asked, source=File("clip.wav", SAMPLES.nbytes)),
        msgspec.structs.replace(asked, source=PathSource("/clip.wav")),
        msgspec.structs.replace(asked, deliver=DeliverFile()),
    ]
    for other in others:
        [error] = ask(house.two, other)
        assert isinstance(error, Error)
        assert (error.code, error.field) == ("usage", "job")
    assert isinstance(ask(house.one, asked)[0], Accepted)


def test_a_forgotten_job_leaves_no_ghost_behind(house: House) -> None:
    asked = submit()
    digest = hasher()
    digest.update(SAMPLES.tobytes())
    chunk = Chunk(asked.job, 0, True, digest.hexdigest())
    ask(house.one, asked)
    ask(house.one, chunk, SAMPLES.tobytes())
    house.jobs.dispatch()
    ask(house.one, Cancel(asked.job))
    ask(house.one, Forget(asked.job))
    again = msgspec.structs.replace(asked, params=make(model="null", seed=1))
    assert isinstance(ask(house.one, again)[0], Busy), "its worker has not let go of it yet"
    done(house, asked.job)
    assert isinstance(ask(house.one, again)[0], Accepted)
    ask(house.one, chunk, SAMPLES.tobytes())
    assert house.jobs.state(asked.job).state == "queued"
    house.jobs.dispatch()
    task = house.workers.sent[-1]
    assert isinstance(task, Task)
    assert task.submit.params.seed == 1


def test_a_stem_that_was_cut_is_an_error_and_no_endless_loop(house: House) -> None:
    job = queued(house.one)
    house.jobs.dispatch()
    done(house, job)
    with open(house.spool.stem(job), "r+b") as file:
        file.truncate(100)
    [error] = ask(house.one, Fetch(job, "full", 0, CREDIT_BYTES))
    assert isinstance(error, Error)
    assert (error.code, error.field) == ("input", "stem")


def test_a_row_that_cannot_be_read_fails_alone(house: House, tmp_path: Path) -> None:
    newer, damaged, fine = queued(house.one), queued(house.one), queued(house.one)
    db = house.store._db
    row = msgspec.msgpack.decode(db.execute("SELECT submit FROM jobs WHERE job = ?", (newer,)).fetchone()[0])
    row["params"]["a_knob_of_the_future"] = 1
    db.execute("UPDATE jobs SET submit = ? WHERE job = ?", (msgspec.msgpack.encode(row), newer))
    db.execute("UPDATE jobs SET submit = ?, outcome = ? WHERE job = ?", (b"\xc1", b"\xc1", damaged))
    house.close()
    again = House(tmp_path, house.report)
    try:
        again.jobs.dispatch()
        [task] = again.workers.sent
        assert isinstance(task, Task)
        assert task.submit.job == fine
        assert [again.jobs.state(job).state for job in (newer, damaged)] == ["failed", "failed"]
        [listing] = ask(again.one, ListJobs())
        assert isinstance(listing, Listing)
        assert {line.job for line in listing.jobs} == {newer, damaged, fine}
        for job in (newer, damaged):
            assert isinstance(ask(again.one, Watch(job))[1], Failed)
            assert ask(again.one, Forget(job)) == [Accepted(job, "failed")]
    finally:
        again.close()


def test_jobs_are_listed_in_pages_and_ended_ones_left_out(house: House) -> None:
    jobs = [queued(house.one) for _ in range(7)]
    ask(house.one, Cancel(jobs[3]))
    seen: list[str] = []
    before = None
    while True:
        [listing] = ask(house.one, ListJobs(3, before))
        assert isinstance(listing, Listing)
        if not listing.jobs:
            break
        seen += [line.job for line in listing.jobs]
        before = (listing.jobs[-1].created_s, listing.jobs[-1].job)
    assert sorted(seen) == sorted(jobs)
    assert len(seen) == len(jobs)
    [listing] = ask(house.one, ListJobs(unfinished=True))
    assert isinstance(listing, Listing)
    assert {line.job for line in listing.jobs} == {*jobs} - {jobs[3]}


def test_a_job_is_its_owners_alone(house: House) -> None:
    mine, others = Session(new_ulid(), house.jobs, "key-a"), Session(new_ulid(), house.jobs, "key-b")
    asked = submit()
    ask(mine, asked)
    digest = hasher()
    digest.update(SAMPLES.tobytes())
    last = Chunk(asked.job, 0, True, digest.hexdigest())
    for message, buffer in (
        (Status(asked.job), None),
        (Watch(asked.job), None),
        (Cancel(asked.job), None),
        (Forget(asked.job), None),
        (Fetch(asked.job, "full", 0, 10), None),
        (asked, None),
        (last, SAMPLES.tobytes()),
    ):
        [error] = ask(others, message, buffer)
        assert isinstance(error, Error), message
    assert ask(others, ListJobs()) == [Listing(())]
    assert ask(mine, last, SAMPLES.tobytes()) == []
    assert house.jobs.state(asked.job, mine.owner) == Accepted(asked.job, "queued", 1)
    [listing] = ask(mine, ListJobs())
    assert isinstance(listing, Listing)
    assert [line.job for line in listing.jobs] == [asked.job]
    [unknown], [foreign] = ask(others, Status(new_ulid())), ask(others, Status(asked.job))
    assert isinstance(unknown, Error)
    assert isinstance(foreign, Error)
    assert unknown.message.split()[3:] == foreign.message.split()[3:], "there is nothing to be told apart"


def test_an_error_of_any_length_fits_a_message(house: House) -> None:
    house.one.post(error_message(OutputError("x" * 100_000 + "\udc80", "y" * 17_000)))
    [error] = heard(house.one)
    assert isinstance(error, Error)
    assert len(error.message) <= 4096


def test_an_unforeseen_fault_is_told_and_costs_one_message(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.jobs, "status", lambda *_: 1 / 0)
    [error] = ask(house.one, Status(new_ulid()))
    assert isinstance(error, Error)
    assert error.code == "engine"
    assert ask(house.one, Ping(2)) == [Pong(2)]


def test_each_end_is_a_line_of_json_in_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "airband.jobs")
    first, second = queued(house.one), queued(house.one)
    ask(house.one, Cancel(second))
    house.jobs.dispatch()
    done(house, first)
    lines = [json.loads(record.message) for record in caplog.records if record.name == "airband.jobs"]
    assert {line["job"]: line["state"] for line in lines} == {first: "done", second: "cancelled"}
    assert all(line["seconds"] >= 0 for line in lines)


def test_the_end_of_a_job_that_no_message_holds_is_told_as_an_error(house: House) -> None:
    job = queued(house.one)
    ask(house.one, Watch(job))
    house.jobs.dispatch()
    heard(house.one)
    endless = LikeReport("", 0.0, float("inf"))
    house.report = msgspec.structs.replace(house.report, like=endless)
    done(house, job)
    [told] = heard(house.one)
    assert isinstance(told, Error)
    assert told.job == job
