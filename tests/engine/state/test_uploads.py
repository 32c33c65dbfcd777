"""Credit for uploads: it follows the disk, is shared, and ends with an error if the disk refuses."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from bridge.wire.messages import Audio, Chunk, Failed, File, Grant, Pcm
from bridge.wire.transfer import ArrayBytes, Sender, hasher
from bridge.wire.ulid import new_ulid
from engine.state import upload as upload_module
from engine.state.upload import Upload
from engine.state.uploads import CREDIT_SUM_BYTES, FILES_MAX, Uploads
from presets.errors import OutputError, WireError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

JOB = new_ulid()
PIECE = memoryview(bytes(CHUNK_BYTES))
PIECES = CREDIT_BYTES // CHUNK_BYTES
WaitUntil = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    uploads = Uploads(lambda: None, lambda nbytes: 0, lambda path, digest: None)
    yield uploads
    uploads.close_all()


def begin(uploads: Uploads, folder: Path, nbytes: int = 10 * CREDIT_BYTES) -> str:
    job = new_ulid()
    uploads.open(job, folder / job, File("clip.wav", nbytes)).renew()
    return job


def send(uploads: Uploads, job: str, pieces: int) -> list[Grant]:
    """Sends so many pieces; returns the grants."""
    grants = []
    for _ in range(pieces):
        offset = uploads._uploads[job].receiver.offset
        uploads.take(Chunk(job, offset), PIECE)
        grants += uploads.credit(job)
    return grants


def evict_nothing(nbytes: int) -> int:
    return 0


def leave_its_name(path: Path, digest: str) -> None:
    """Leaves a complete source under the name of its part."""


def first_news(uploads: Uploads, wait_until: WaitUntil) -> Grant | Failed:
    heard: list[Grant | Failed] = []

    def came() -> bool:
        heard.extend(uploads.news())
        return bool(heard)

    wait_until(came, "news of an upload")
    return heard[0]


def test_credit_comes_with_what_is_written_and_not_before(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    real, may_write = Upload._append, threading.Event()

    def slow(self: Upload, piece: memoryview) -> FileIO:
        may_write.wait(60)
        return real(self, piece)

    monkeypatch.setattr(Upload, "_append", slow)
    job = begin(uploads, tmp_path)
    assert send(uploads, job, PIECES) == [], "all the credit was sent, and nothing is written"
    assert list(uploads.news()) == []
    assert uploads.outstanding == CREDIT_BYTES
    may_write.set()
    granted = first_news(uploads, wait_until)
    assert isinstance(granted, Grant)
    assert (granted.job, granted.offset) == (job, CREDIT_BYTES)
    assert 0 < granted.bytes <= CREDIT_BYTES


def test_a_sender_that_waits_for_credit_hears_that_the_disk_refuses(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    may_fail = threading.Event()

    def refused(self: Upload, piece: memoryview) -> FileIO:
        may_fail.wait(60)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Upload, "_append", refused)
    job = begin(uploads, tmp_path)
    send(uploads, job, PIECES)
    may_fail.set()
    failed = first_news(uploads, wait_until)
    assert isinstance(failed, Failed)
    assert (failed.job, failed.code) == (job, "output")
    assert "make room" in failed.message


def test_the_more_uploads_send_the_less_credit_each_has(uploads: Uploads, tmp_path: Path) -> None:
    jobs = [begin(uploads, tmp_path) for _ in range(64)]
    for job in jobs:
        send(uploads, job, 1)
    deadline_s = time.monotonic() + 60
    grants: list[Grant] = []
    sent = 1
    while not grants:
        assert time.monotonic() < deadline_s
        if sent < PIECES:
            grants, sent = send(uploads, jobs[0], 1), sent + 1
        else:  # the disk is slow, and the earlier credit is used up
            grants = [news for news in uploads.news() if isinstance(news, Grant) and news.job == jobs[0]]
    assert grants[0].bytes <= CREDIT_SUM_BYTES // 64
    assert send(uploads, begin(uploads, tmp_path, CHUNK_BYTES // 2), 0) == []


def test_a_client_hears_that_what_it_sent_before_is_still_read(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    real, may_read = Upload._read_on, threading.Event()

    def slow(self: Upload) -> None:
        if self._settled:
            may_read.wait(60)
        real(self)

    monkeypatch.setattr(upload_module, "SIGN_S", 0.0)
    monkeypatch.setattr(Upload, "_read_on", slow)
    there = 3 * CREDIT_BYTES
    (tmp_path / JOB).write_bytes(bytes(there))
    upload = uploads.open(JOB, tmp_path / JOB, File("clip.wav", 4 * CREDIT_BYTES))
    assert upload.renew() == (there, 0)
    assert first_news(uploads, wait_until) == Grant(JOB, there, 0)
    may_read.set()
    credit = 0

    def has_credit() -> bool:
        nonlocal credit
        credit += sum(news.bytes for news in uploads.news() if isinstance(news, Grant))
        return credit > 0

    wait_until(has_credit, "credit")


def test_what_may_be_on_its_way_is_known_without_asking_each_upload(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    jobs = [begin(uploads, tmp_path) for _ in range(8)]
    for job in jobs[:4]:
        send(uploads, job, 2)
    uploads.close(jobs[0])
    uploads.close(jobs[5])
    for job in jobs[1:4]:
        uploads.wait(job)
    list(uploads.news())
    each = sum(upload.outstanding for upload in uploads._uploads.values())
    monkeypatch.setattr(Upload, "outstanding", property(lambda upload: pytest.fail("asked")))
    assert 0 < uploads.outstanding == each
    monkeypatch.undo()
    for job in jobs[1:5] + jobs[6:]:
        uploads.close(job)
    wait_until(lambda: all(upload.rests for upload in uploads._abandoned.values()), "the threads")
    assert uploads.outstanding == 0


def test_what_ended_is_no_news(uploads: Uploads, tmp_path: Path) -> None:
    job = begin(uploads, tmp_path)
    send(uploads, job, PIECES)
    uploads.close(job)
    assert list(uploads.news()) == []
    assert uploads.outstanding == 0


def test_an_upload_goes_on_where_an_earlier_engine_left_it(tmp_path: Path) -> None:
    samples, path = np.arange(1000, dtype="f4"), tmp_path / "part"
    source = Pcm(Audio(48000, 1, samples.size))
    sender = Sender(ArrayBytes(samples), 700)
    first = Uploads(lambda: None, evict_nothing, leave_its_name)
    sender.grant(*first.open(JOB, path, source).renew())
    for _ in range(2):
        piece = sender.next()
        assert piece is not None
        first.take(Chunk(JOB, piece.offset, piece.last, piece.digest), piece.buffer)
    first.close_all()
    second = Uploads(lambda: None, evict_nothing, leave_its_name)
    upload = second.open(JOB, path, source)
    assert upload.receiver.offset == 1400
    sender.resume(1400)
    sender.grant(*upload.renew())
    while (piece := sender.next()) is not None:
        second.take(Chunk(JOB, piece.offset, piece.last, piece.digest), piece.buffer)
    assert upload.receiver.complete
    second.close_all()
    assert path.read_bytes() == samples.tobytes()


def test_an_upload_onto_a_full_disk_goes_on_once_results_made_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(100))
    digest = hasher()
    digest.update(content)
    evicted: list[int] = []

    class Full(FileIO):
        def write(self, piece: object) -> int:
            if not evicted:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(piece)  # type: ignore[arg-type]

    def evict(nbytes: int) -> int:
        evicted.append(nbytes)
        return nbytes

    monkeypatch.setattr(upload_module, "open", lambda path, mode, buffering: Full(path, "ab"), raising=False)
    uploads = Uploads(lambda: None, evict, leave_its_name)
    try:
        upload = uploads.open(JOB, tmp_path / "part", File("clip.wav", 100))
        upload.renew()
        uploads.take(Chunk(JOB, 0, True, digest.hexdigest()), memoryview(content))
        upload.wait()
        assert upload.stored
    finally:
        uploads.close_all()
    assert (tmp_path / "part").read_bytes() == content
    assert len(evicted) == 1


def test_a_part_longer_than_its_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(bytes(11))
    uploads = Uploads(lambda: None, evict_nothing, leave_its_name)
    try:
        with pytest.raises(WireError, match="11 bytes"):
            uploads.open(JOB, tmp_path / "part", File("clip.wav", 10))
    finally:
        uploads.close_all()


def test_a_source_is_not_named_when_a_piece_of_it_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, digest = bytes(range(90)), hasher()
    digest.update(content)
    refused: list[bool] = []

    class Refusing(FileIO):
        def write(self, piece: object) -> int:
            if not refused:
                refused.append(True)
                raise OSError(errno.EIO, "a bad block")
            return super().write(piece)  # type: ignore[arg-type]

    monkeypatch.setattr(
        upload_module, "open", lambda path, mode, buffering: Refusing(path, "ab"), raising=False
    )
    named: list[str] = []
    uploads = Uploads(lambda: None, evict_nothing, lambda path, digest: named.append(digest))
    upload = uploads.open(JOB, tmp_path / "part", File("clip.wav", 90))
    upload.renew()
    for first, end in ((0, 30), (30, 50), (50, 90)):
        last = digest.hexdigest() if end == 90 else None
        uploads.take(Chunk(JOB, first, end == 90, last), memoryview(content[first:end]))
        upload.wait()
    with pytest.raises(OutputError, match="bad block"):
        uploads.credit(JOB)
    uploads.close_all()
    assert (len(refused), named, upload.stored) == (1, [], False)


def test_silent_uploads_keep_nobody_out_and_go_on(tmp_path: Path) -> None:
    content = bytes(range(200))
    digest = hasher()
    digest.update(content)
    uploads = Uploads(lambda: None, evict_nothing, leave_its_name)
    names = [f"job{number}" for number in range(FILES_MAX + 50)]
    try:
        for half, last in ((content[:100], False), (content[100:], True)):
            for name in names:
                if not last:
                    uploads.open(name, tmp_path / name, File("clip.wav", 200)).renew()
                said = digest.hexdigest() if last else None
                uploads.take(Chunk(name, 100 * last, last, said), memoryview(half))
            assert len(uploads._writing) <= FILES_MAX
    finally:
        uploads.close_all()
    assert all((tmp_path / name).read_bytes() == content for name in names)
