"""Credit for sources on their way: it follows the disk, is shared, and ends with an error if that refuses."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import pytest

from bridge.wire.messages import Chunk, Failed, File, Grant
from bridge.wire.ulid import new_ulid
from engine.state.uploads import CREDIT_SUM_BYTES, Upload, Uploads
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

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
    uploads.open(job, folder / job, File("clip.wav", nbytes)).receiver.renew()
    return job


def send(uploads: Uploads, job: str, pieces: int) -> list[Grant]:
    """The grants that come with so many pieces."""
    grants = []
    for _ in range(pieces):
        offset = uploads._uploads[job].receiver.offset
        uploads.take(Chunk(job, offset), PIECE)
        grants += uploads.credit(job)
    return grants


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
        else:  # the disk is slow, and the credit of before is used up
            grants = [news for news in uploads.news() if isinstance(news, Grant) and news.job == jobs[0]]
    assert grants[0].bytes <= CREDIT_SUM_BYTES // 64
    assert send(uploads, begin(uploads, tmp_path, CHUNK_BYTES // 2), 0) == []


def test_what_ended_is_no_news(uploads: Uploads, tmp_path: Path) -> None:
    job = begin(uploads, tmp_path)
    send(uploads, job, PIECES)
    uploads.close(job)
    assert list(uploads.news()) == []
    assert uploads.outstanding == 0
