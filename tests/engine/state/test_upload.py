"""One upload: its caller never waits, existing bytes are hashed too, and nothing unchecked gets a name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge.wire.messages import Chunk
from bridge.wire.transfer import Receiver, hasher
from bridge.wire.ulid import new_ulid
from engine.state.upload import Upload
from presets.errors import OutputError, WireError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

JOB = new_ulid()
CONTENT = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"and no whole piece"


def digest_of(content: bytes) -> str:
    digest = hasher()
    digest.update(content)
    return digest.hexdigest()


class Desk:
    """One upload of CONTENT, of which a part may exist, and its writing thread, which can be held up."""

    def __init__(self, folder: Path, there: int = 0, nbytes: int = len(CONTENT)) -> None:
        self.path, self.named, self.news = folder / JOB, list[tuple[bytes, str]](), 0
        self.counted: list[int] = []
        if there:
            self.path.write_bytes(CONTENT[:there])
        self.thread, self._may_go_on = ThreadPoolExecutor(1), threading.Event()
        self.thread.submit(self._may_go_on.wait, 60)
        receiver = Receiver(nbytes, there)
        self.upload = Upload(
            self.path, receiver, self.thread, self._on_news, lambda nbytes: 0, self._name, self.counted.append
        )

    def send(self, begin: int, end: int, nbytes: int = CHUNK_BYTES, digest: str | None = None) -> None:
        for offset in range(begin, end, nbytes):
            piece = CONTENT[offset : min(offset + nbytes, end)]
            last = offset + len(piece) == len(CONTENT)
            said = (digest or digest_of(CONTENT)) if last else None
            self.upload.take(Chunk(JOB, offset, last, said), memoryview(piece))

    def settle(self) -> None:
        self._may_go_on.set()
        self.upload.wait()

    def close(self) -> None:
        self._may_go_on.set()
        self.upload.abandon()
        self.upload.wait()
        self.thread.shutdown()

    def _on_news(self) -> None:
        self.news += 1

    def _name(self, path: Path, digest: str) -> None:
        self.named.append((path.read_bytes(), digest))
        path.unlink()


@pytest.fixture
def desks() -> Iterator[list[Desk]]:
    desks: list[Desk] = []
    yield desks
    for desk in desks:
        desk.close()


def test_whoever_brings_pieces_waits_for_no_disk_and_small_ones_stay_few(
    tmp_path: Path, desks: list[Desk]
) -> None:
    desks.append(desk := Desk(tmp_path))
    desk.upload.renew()
    desk.send(0, CHUNK_BYTES, nbytes=64)
    desk.send(CHUNK_BYTES, len(CONTENT))
    assert not desk.path.exists()
    assert len(desk.upload._pieces) <= 2 * len(CONTENT) / CHUNK_BYTES
    assert desk.upload.outstanding == sum(desk.counted) == len(CONTENT)
    assert not desk.upload.stored
    desk.settle()
    assert desk.upload.stored
    assert desk.named == [(CONTENT, digest_of(CONTENT))]
    assert desk.upload.outstanding == sum(desk.counted) == 0


def test_what_arrives_changed_gets_no_name(tmp_path: Path, desks: list[Desk]) -> None:
    desks.append(desk := Desk(tmp_path))
    desk.upload.renew()
    desk.send(0, len(CONTENT), digest="0" * 64)
    desk.settle()
    with pytest.raises(WireError, match="the received bytes have") as caught:
        desk.upload.grant()
    assert caught.value.field == "digest"
    assert not desk.upload.stored
    assert desk.named == []


@pytest.mark.parametrize("there", [1, CHUNK_BYTES + 5, len(CONTENT) - 1, len(CONTENT)])
def test_what_an_earlier_engine_left_is_hashed_with_the_rest(
    tmp_path: Path, desks: list[Desk], there: int
) -> None:
    desks.append(desk := Desk(tmp_path, there))
    offset, nbytes = desk.upload.renew()
    assert (offset, desk.upload.outstanding) == (there, nbytes)
    desk.send(there, max(there + 1, len(CONTENT)))
    desk.settle()
    assert desk.named == [(CONTENT, digest_of(CONTENT))]


def test_credit_for_a_large_rest_comes_once_what_is_there_was_read(tmp_path: Path, desks: list[Desk]) -> None:
    there = 2 * CREDIT_BYTES
    desks.append(desk := Desk(tmp_path, nbytes=4 * CREDIT_BYTES))
    desk.path.write_bytes(bytes(there))
    receiver = Receiver(4 * CREDIT_BYTES, there)
    desk.upload = Upload(
        desk.path, receiver, desk.thread, desk._on_news, lambda nbytes: 0, desk._name, desk.counted.append
    )
    assert desk.upload.renew() == (there, 0)
    assert desk.upload.grant() is None
    assert desk.upload.outstanding == 0
    desk.settle()
    assert desk.news
    assert desk.upload.grant() == (there, CREDIT_BYTES)


def test_a_file_that_became_shorter_fails_its_upload(tmp_path: Path, desks: list[Desk]) -> None:
    desks.append(desk := Desk(tmp_path, there=2 * CHUNK_BYTES))
    desk.path.write_bytes(CONTENT[:CHUNK_BYTES])
    desk.settle()
    with pytest.raises(OutputError, match="became shorter"):
        desk.upload.grant()
    assert desk.news


def test_what_was_abandoned_is_written_no_more_and_let_go(tmp_path: Path, desks: list[Desk]) -> None:
    desks.append(desk := Desk(tmp_path))
    desk.upload.renew()
    desk.send(0, len(CONTENT))
    began_s = time.monotonic()
    desk.upload.abandon()
    assert time.monotonic() - began_s < 30, "it waited for the thread that stands still"
    assert not desk.upload.rests
    desk.settle()
    assert desk.upload.rests
    assert desk.news
    assert not desk.path.exists()
    assert desk.named == []
