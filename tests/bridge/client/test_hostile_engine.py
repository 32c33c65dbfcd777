"""An engine that misbehaves: the client says so, and stays usable."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import soundfile
import zmq

from bridge import Client
from bridge.client import sign_of_life
from bridge.client.link import Link
from bridge.client.outbox import UNSENT_BYTES
from bridge.client.replies import MESSAGE_BYTES, UNREAD_BYTES, LinkLost, NoAnswer, Replies
from bridge.client.transactions import upload
from bridge.client.vitals import folder_bytes
from bridge.wire.frames import decode, encode
from bridge.wire.messages import (
    VERSION,
    Accepted,
    Busy,
    Bye,
    Cancelled,
    Chunk,
    Data,
    DeliverPcm,
    Done,
    Fetch,
    File,
    Grant,
    Hello,
    Limits,
    Message,
    Ping,
    Pong,
    Progress,
    Stem,
    Submit,
    Watch,
    Welcome,
)
from bridge.wire.transfer import FileBytes, Sender
from bridge.wire.ulid import new_ulid
from presets.errors import InputError, UsageError, WireError
from presets.limits import CHUNK_BYTES
from presets.report import RenderReport
from presets.schema import make

JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
SAMPLES = np.zeros((1, 4800), np.float32)
Answers = Callable[[Message], Iterable[Message | tuple[Message, memoryview]]]


@contextmanager
def engine(folder: Path, answers: Answers) -> Iterator[str]:
    """Runs a ROUTER that greets, and answers with `answers`; yields its endpoint."""
    endpoint, left = f"ipc://{folder}/e", threading.Event()

    def serve() -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.linger, router.router_mandatory = 0, True
            router.bind(endpoint)
            there.set()
            while not left.is_set():
                if not router.poll(50):
                    continue
                route, *frames = router.recv_multipart()
                message, _ = decode(frames, "client")
                if isinstance(message, Hello):
                    replies: Iterable[Any] = [Welcome(VERSION, "0", new_ulid(), Limits(), (), ())]
                else:
                    replies = [] if isinstance(message, Bye) else answers(message)
                with suppress(zmq.ZMQError):  # it has gone
                    for reply in takewhile(lambda _: not left.is_set(), replies):
                        message, buffer = reply if isinstance(reply, tuple) else (reply, None)
                        router.send_multipart([route, *encode(message, buffer)])

    there = threading.Event()
    thread = threading.Thread(target=serve)
    thread.start()
    assert there.wait(20)
    try:
        yield endpoint
    finally:
        left.set()
        thread.join()


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[str], Client]:
    return lambda endpoint: Client.connect(endpoint, start=False, state=tmp_path / "state", timeout_s=20)


def finished(stem: Stem, report: RenderReport) -> Answers:
    def answers(message: Message) -> Sequence[Message]:
        match message:
            case Submit(job):
                return [Accepted(job, "queued")]
            case Watch(job):
                return [Accepted(job, "running"), Done(job, (stem,), 0.1, 0, report)]
        return []

    return answers


def stem(**changes: Any) -> Stem:
    return msgspec.structs.replace(Stem("full", 48000, 1, 4800, 19200, "0" * 64), **changes)


def test_a_stem_at_a_place_that_nobody_asked_for_is_not_believed(
    tmp_path: Path, connect: Callable[[str], Client], report: RenderReport
) -> None:
    soundfile.write(tmp_path / "private.wav", SAMPLES.T, 48000, "FLOAT")
    told = finished(stem(path=str(tmp_path / "private.wav")), report)
    with engine(tmp_path, told) as endpoint, connect(endpoint) as client:
        job = client.submit((SAMPLES, 48000))
        with pytest.raises(WireError, match=r"private\.wav.*nobody asked"):
            job.wait(20)
    with engine(tmp_path, finished(stem(), report)) as endpoint, connect(endpoint) as client:
        job = client.submit((SAMPLES, 48000), deliver="path", out=tmp_path / "out.wav")
        with pytest.raises(WireError, match=r"in the engine.*nobody asked"):
            job.wait(20)


def test_samples_of_another_size_than_they_can_have_are_not_fetched(
    tmp_path: Path, connect: Callable[[str], Client], report: RenderReport
) -> None:
    told = finished(stem(frames=2**61, nbytes=2**40), report)
    with engine(tmp_path, told) as endpoint, connect(endpoint) as client:
        result = client.submit((SAMPLES, 48000)).wait(20)
        with pytest.raises(WireError, match="weigh"):
            _ = result.audio


@pytest.mark.parametrize("content", [b"no audio any more", None, SAMPLES[:, 1:]])
def test_a_delivered_file_that_is_another_by_now_is_one_clear_error(
    tmp_path: Path, connect: Callable[[str], Client], report: RenderReport, content: Any
) -> None:
    out = tmp_path / "out.wav"
    with engine(tmp_path, finished(stem(path=str(out)), report)) as endpoint, connect(endpoint) as client:
        result = client.submit((SAMPLES, 48000), deliver="path", out=out).wait(20)
        if isinstance(content, bytes):
            out.write_bytes(content)
        elif content is not None:
            soundfile.write(out, content.T, 48000, "FLOAT")
        with pytest.raises(InputError, match=r"out\.wav"):
            _ = result.audio


@pytest.mark.parametrize(
    "told",
    [
        {"type": "done", "stems": []},
        {"type": "done", "stems": [{"name": "full", "rate": 0, "channels": 1, "frames": 1, "nbytes": 4}]},
        {"type": "done", "stems": [{"name": "full", "rate": 1, "channels": 1, "frames": -1, "nbytes": 4}]},
        {"type": "done", "stems": [{"name": "full", "rate": 1, "channels": 99, "frames": 1, "nbytes": 4}]},
        {"type": "busy", "retry_s": -1.0},
        {"type": "busy", "retry_s": 1e300},
    ],
)
def test_what_cannot_be_is_no_message(told: dict[str, Any], report: RenderReport) -> None:
    told = {"job": new_ulid(), **told}
    if "stems" in told:
        stems = [{"digest": "0" * 64, **each} for each in told["stems"]]
        told |= {"stems": stems, "seconds": 1.0, "seed": 0, "report": msgspec.to_builtins(report)}
    with pytest.raises(WireError, match="malformed"):
        decode([msgspec.msgpack.encode(told)], "engine")


def test_an_upload_that_finds_no_room_half_way_waits_and_goes_on(
    tmp_path: Path, connect: Callable[[str], Client]
) -> None:
    said: list[str] = []

    def answers(message: Message) -> Sequence[Message]:
        match message:
            case Submit(job):
                said.append("submit")
                return [Accepted(job, "uploading"), Grant(job, 0, SAMPLES.nbytes)]
            case Chunk(job):
                said.append("chunk")
                if said.count("chunk") == 1:
                    return [Busy(job, 0.0, "its room went to others")]
                return [Accepted(job, "queued")]
        return []

    with engine(tmp_path, answers) as endpoint, connect(endpoint) as client:
        client.submit((SAMPLES, 48000))
    assert said == ["submit", "chunk", "submit", "chunk"]


def test_a_busy_engine_is_not_asked_without_a_pause(tmp_path: Path, connect: Callable[[str], Client]) -> None:
    asked = 0

    def answers(message: Message) -> Sequence[Message]:
        nonlocal asked
        if not isinstance(message, Submit):
            return []
        asked += 1
        return [Busy(message.job, 0.0)] if asked < 8 else [Accepted(message.job, "queued")]

    with engine(tmp_path, answers) as endpoint, connect(endpoint) as client:
        began_s = time.monotonic()
        client.submit((SAMPLES, 48000))
        assert time.monotonic() - began_s > 0.3
    assert asked == 8


class Endless:
    """The socket of a peer that sends faster than anybody reads."""

    def __init__(self) -> None:
        self.left = 10_000

    def recv_multipart(self, flags: int, copy: bool) -> list[zmq.Frame]:
        assert self.left, "it was read and read"
        self.left -= 1
        return [zmq.Frame(bytes(part)) for part in encode(Grant(new_ulid(), 0, 0))]


def test_one_that_never_stops_talking_keeps_nobody_waiting(
    tmp_path: Path, connect: Callable[[str], Client]
) -> None:
    with engine(tmp_path, lambda message: []) as endpoint, connect(endpoint) as client:
        talker = Endless()
        assert client._line.link()._drain(cast(Any, talker)), "there is more, after what waits here"
        assert talker.left > 0


def data(offset: int) -> tuple[Data, memoryview]:
    return Data(JOB, "full", offset), memoryview(bytes(CHUNK_BYTES))


def test_what_nobody_reads_is_thrown_away_beyond_a_bound() -> None:
    replies, pieces = Replies(), UNREAD_BYTES // CHUNK_BYTES
    for piece in range(2 * pieces):
        replies.put(data(piece * CHUNK_BYTES), CHUNK_BYTES)
        assert len(replies._waiting) <= pieces
    with pytest.raises(LinkLost, match="not read"):
        replies.get(time.monotonic() + 20)
    few = Replies()
    for _ in range(2 * UNREAD_BYTES // MESSAGE_BYTES):
        few.put((Accepted(JOB, "running"), None), 40)
    with pytest.raises(LinkLost, match="not read"):
        few.get(time.monotonic() + 20)


def test_of_progress_that_was_not_read_the_last_is_kept() -> None:
    replies = Replies()
    for step in range(2 * UNREAD_BYTES // MESSAGE_BYTES):
        replies.put((Progress(JOB, "render", step, 10**6), None), 40)
    replies.put((Cancelled(JOB), None), 40)
    until_s = time.monotonic() + 20
    assert replies.get(until_s)[0] == Progress(JOB, "render", step, 10**6)
    assert replies.get(until_s)[0] == Cancelled(JOB)


def test_who_watches_a_job_and_does_not_read_holds_nothing_of_what_others_fetch(
    tmp_path: Path, connect: Callable[[str], Client], report: RenderReport
) -> None:
    whole = np.zeros((1, 3 * CHUNK_BYTES // 4), np.float32)
    digest = hashlib.blake2b(whole, digest_size=32).hexdigest()
    result = stem(frames=whole.shape[1], nbytes=whole.nbytes, digest=digest)

    def answers(message: Message) -> Iterator[Message | tuple[Message, memoryview]]:
        match message:
            case Submit(job):
                yield Accepted(job, "queued")
            case Watch(job):
                yield Accepted(job, "running")
                if stalled:
                    yield Done(job, (result,), 0.1, 0, report)
            case Fetch(job, name, offset, count):
                piece = memoryview(whole).cast("B")[offset : offset + count]
                for _ in range(8):
                    yield Data(job, name, offset, offset + count == whole.nbytes), piece

    stalled: list[Any] = []
    with engine(tmp_path, answers) as endpoint, connect(endpoint) as client:
        job = client.submit((SAMPLES, 48000))
        stalled.append(client.watch(job.id))
        assert isinstance(next(stalled[0]), Accepted)
        assert np.array_equal(job.wait(20).audio, whole)
        [(_, unread)] = client._line.link()._open[job.id]
        assert unread._waiting_bytes < CHUNK_BYTES
        stalled[0].close()


def test_an_engine_that_grants_all_and_reads_nothing_is_not_sent_all(tmp_path: Path) -> None:
    source = tmp_path / "long.raw"
    with source.open("wb") as file:
        file.truncate(40 * UNSENT_BYTES)
    job, largest = new_ulid(), 0
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router, FileBytes(source) as content:
        router.linger, router.rcvhwm = 0, 1
        router.bind(f"ipc://{tmp_path}/e")

        def grant() -> None:
            route, _ = router.recv_multipart()
            for message in (Accepted(job, "uploading"), Grant(job, 0, content.nbytes)):
                router.send_multipart([route, *encode(message)])

        link = Link(f"ipc://{tmp_path}/e")
        granting = threading.Thread(target=grant)
        granting.start()

        def send() -> None:
            with suppress(LinkLost):
                upload(link, Submit(job, File("long.wav", content.nbytes), DeliverPcm(), make()),
                       Sender(content), timeout_s=2)  # fmt: skip

        sending = threading.Thread(target=send)
        sending.start()
        while sending.is_alive():
            largest = max(largest, link._outbox.waiting_bytes)
            sending.join(0.01)
        granting.join()
        assert 0 < largest <= UNSENT_BYTES + CHUNK_BYTES
        assert not link.up
        link.close()


@pytest.mark.parametrize("lives", [True, False])
def test_an_engine_that_is_waited_for_and_gives_no_sign_of_life_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    monkeypatch.setattr(sign_of_life, "PING_S", 0.05)
    monkeypatch.setattr(sign_of_life, "ANSWER_S", 0.5)
    pinged = []

    def answers(message: Message) -> Iterator[Message]:
        if isinstance(message, Ping):
            pinged.append(message)
            if lives:
                yield Pong(message.t)

    with engine(tmp_path, answers) as endpoint:
        link = Link(endpoint)
        link.request(Hello(VERSION, "test"), lambda message: isinstance(message, Welcome), 20)
        time.sleep(0.3)
        assert not pinged, "nobody waits: an idle engine may leave"
        with link.open(JOB, Done) as replies, pytest.raises(NoAnswer if lives else LinkLost):
            replies.get(time.monotonic() + (1.5 if lives else 20))
        assert (len(pinged) > 1, link.up) == (lives, lives)
        link.close()


def test_a_priority_is_a_whole_number(tmp_path: Path, connect: Callable[[str], Client]) -> None:
    with engine(tmp_path, lambda message: []) as endpoint, connect(endpoint) as client:
        for priority in (1.5, "3", None, True, 10, float("nan")):
            with pytest.raises(UsageError, match="-9 to 9"):
                client.prioritise(new_ulid(), priority)  # type: ignore[arg-type]


def test_links_do_not_count_for_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "source").write_bytes(bytes(100_000))
    (tmp_path / "spool" / "link").symlink_to(tmp_path / "source")
    (tmp_path / "spool" / "stem").write_bytes(bytes(100))
    assert folder_bytes(tmp_path / "spool") < 10_000
