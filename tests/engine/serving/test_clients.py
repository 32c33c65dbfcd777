"""The clients of an engine together: which may stay, and how much may wait for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from bridge.wire.frames import decode, encode
from bridge.wire.messages import (
    VERSION,
    Data,
    DeliverPcm,
    Done,
    Fetch,
    Hello,
    Listing,
    Stem,
    Submit,
    Watch,
)
from bridge.wire.messages import Jobs as ListJobs
from bridge.wire.messages import Path as PathSource
from bridge.wire.ulid import new_ulid
from engine.serving import clients as clients_module
from engine.serving import session as session_module
from engine.serving.clients import Clients
from engine.serving.jobs import Jobs
from engine.serving.listener import Listener
from engine.state.spool import Spool
from engine.state.store import Store
from presets.errors import BusyError, WireError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES
from presets.report import RenderReport
from presets.schema import make


class House:
    """Clients, their jobs and a socket, without a loop: nobody reads the sent messages."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "jobs.sqlite")
        self.listener = Listener(f"ipc://{folder}/s")
        self.jobs = Jobs(self.store, Spool(folder / "spool"), {}, lambda job, message: None)
        self.clients = Clients(self.listener, self.store)

    def greet(self, route: bytes) -> None:
        self.clients.welcome(route, Hello(VERSION, "test"), None, self.jobs, ())

    def close(self) -> None:
        self.jobs.close()
        self.listener.close()
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def asked() -> Submit:
    return Submit(new_ulid(), PathSource("/" + "x" * 4000), DeliverPcm(), make(model="null"))


def test_who_watches_a_job_is_never_let_go_for_somebody_who_comes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "SESSIONS_MAX", 2)
    house.greet(b"watching")
    job = asked()
    house.clients.heard(b"watching").receive(job, None)
    house.clients.heard(b"watching").receive(Watch(job.job), None)
    for route in (b"second", b"third"):
        house.greet(route)
    assert [route in house.clients for route in (b"watching", b"second", b"third")] == [True, False, True]
    house.clients.heard(b"third").receive(Watch(job.job), None)
    with pytest.raises(BusyError, match="watch"):
        house.greet(b"fourth")
    with pytest.raises(WireError, match="hello"):
        house.clients.heard(b"fourth")


def test_what_waits_for_a_client_is_bounded_in_bytes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "OUTBOX_BYTES", 100_000)
    house.greet(b"deaf")
    session = house.clients.heard(b"deaf")
    for _ in range(20):
        session.receive(asked(), None)
    listing = len(encode(Listing(house.jobs.listed(ListJobs())))[0])
    for _ in range(100_000 // listing - 1):
        session.receive(ListJobs(), None)
    assert not session.overrun
    for _ in range(3):
        session.receive(ListJobs(), None)
    assert session.overrun


def test_what_waits_for_all_clients_is_bounded_and_the_largest_goes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "OUTBOXES_BYTES", 20_000)

    def refuse(*_: object, **__: object) -> None:
        raise zmq.Again

    monkeypatch.setattr(house.listener, "socket", type("Full", (), {"send_multipart": refuse})())
    for route, listings in ((b"small", 1), (b"large", 12)):
        house.greet(route)
        session = house.clients.heard(route)
        for _ in range(10):
            session.receive(asked(), None)
        for _ in range(listings):
            session.receive(ListJobs(), None)
    house.clients.flush()
    assert [route in house.clients for route in (b"small", b"large")] == [True, False]


def test_who_fetches_much_and_reads_nothing_has_little_on_its_way_and_may_go_on(
    house: House, report: RenderReport, wait_until: Callable[[Callable[[], bool], str], None]
) -> None:
    job, frames = asked(), 3 * CREDIT_BYTES // 4
    house.jobs.submit(job, "S")
    stem = Stem("full", 48000, 1, frames, 4 * frames, "0" * 64)
    house.jobs.runs.end(Done(job.job, (stem,), 0.1, 0, report))
    with house.jobs._spool.stem(job.job).open("wb") as file:
        file.truncate(stem.nbytes)
    with house.listener.context.socket(zmq.DEALER) as slow:
        slow.linger, slow.rcvhwm, slow.routing_id = 0, 1, b"slow"
        slow.connect(house.listener.endpoint)
        slow.send_multipart(encode(Hello(VERSION, "test")))
        wait_until(lambda: house.listener.receive() is not None, "its greeting")
        house.greet(b"slow")
        session = house.clients.heard(b"slow")
        session.receive(Fetch(job.job, "full", 0, stem.nbytes), None)
        for _ in range(40):
            assert house.clients.flush(), "there is more"
            time.sleep(0.005)
        assert CREDIT_BYTES - CHUNK_BYTES <= session.on_way_bytes <= CREDIT_BYTES
        came, is_over = 0, False
        while not is_over:
            house.clients.flush()
            while slow.poll(2):
                message, piece = decode(slow.recv_multipart(), "engine")
                if isinstance(message, Data):
                    assert piece is not None
                    assert message.offset == came
                    came, is_over = came + len(piece), message.last
        assert came == stem.nbytes
