"""Raw bytes to libzmq, below the protocol's messages: none of them ends an engine, or fills its memory."""

from __future__ import annotations

import random
import socket as sockets
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import pytest

from bridge.client.link import Link
from bridge.client.replies import LinkLost
from bridge.client.sign_of_life import GROWTH_BYTES
from bridge.wire.frames import encode
from bridge.wire.messages import VERSION, Hello, Limits, Ping, Pong, Status, Welcome
from bridge.wire.ulid import new_ulid
from engine.serving.memory import SPARE_BYTES

if TYPE_CHECKING:
    from tests.conftest import LiveEngine, Peer

Start = Callable[..., "LiveEngine"]
Connect = Callable[..., "Peer"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs sockets with a path")
ZMTP_MORE, ZMTP_LONG, ZMTP_COMMAND = 1, 2, 4
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
PATIENCE_S = 120.0
PIECE = bytes(2**20)
ENDLESS = struct.pack(">BQ", ZMTP_LONG | ZMTP_MORE, len(PIECE)) + PIECE
"""A frame of a message that has more."""


@contextmanager
def stranger(live: LiveEngine) -> Iterator[sockets.socket]:
    """A connection after a handshake by hand, as a DEALER (ZMTP 3.1, rfc.zeromq.org/spec/37).

    libzmq's own DEALER sends a message of several frames only when it has all of them.
    """
    with sockets.socket(sockets.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(live.connection.endpoint.removeprefix("ipc://"))
        connection.sendall(GREETING + bytes([ZMTP_COMMAND, len(READY)]) + READY)
        assert connection.recv(1) == b"\xff"
        yield connection


def test_a_message_without_an_end_costs_bounded_memory(start_engine: Start, connect: Connect) -> None:
    live = start_engine()
    before = largest = live.resident_bytes
    sent = 0
    with stranger(live) as nasty, suppress(OSError):  # the engine closes it
        while sent < 2000:
            nasty.sendall(ENDLESS)
            sent += 1
            largest = max(largest, live.resident_bytes)
    assert 16 < sent < 2000, "it was listened to, and then closed"
    assert largest - before < 10 * SPARE_BYTES  # a busy machine may keep the loop from looking for 0.2 s
    peer = connect(live)
    assert peer.ask(Ping(1.0)) == Pong(1.0)


def test_a_message_without_an_end_costs_a_client_bounded_memory(tmp_path: Path) -> None:
    welcome, sent = encode(Welcome(VERSION, "0", new_ulid(), Limits(), (), ()))[0], 0

    def flood(door: sockets.socket) -> None:
        nonlocal sent
        with door.accept()[0] as client, suppress(OSError):  # the client closes it
            client.sendall(GREETING + bytes([ZMTP_COMMAND, len(READY)]) + READY.replace(b"DEALER", b"ROUTER"))
            heard = b""
            while b"hello" not in heard:  # to be answered by a welcome
                heard += client.recv(1000)
            client.sendall(struct.pack(">BQ", ZMTP_LONG, len(welcome)) + bytes(welcome))
            while sent < 24 * GROWTH_BYTES:
                client.sendall(ENDLESS)
                sent += len(PIECE)

    with sockets.socket(sockets.AF_UNIX) as door:
        door.bind(str(tmp_path / "e"))
        door.listen()
        peer = threading.Thread(target=flood, args=(door,))
        peer.start()
        link = Link(f"ipc://{tmp_path}/e")
        link.request(Hello(VERSION, "test"), lambda message: isinstance(message, Welcome), PATIENCE_S)
        with pytest.raises(LinkLost, match="no end"):
            link.request(Status(new_ulid()), lambda message: True, PATIENCE_S)
        link.close()
        peer.join()
    assert 2 * GROWTH_BYTES < sent < 12 * GROWTH_BYTES


def test_clients_that_are_gone_behind_a_burst_cost_nobody_else_anything(
    start_engine: Start, connect: Connect
) -> None:
    live = start_engine()
    ping = msgpack.packb({"type": "ping", "t": 1.0})
    burst = 400 * (bytes([0, len(ping)]) + ping)
    with ExitStack() as stack:
        came = [(stack.enter_context(stranger(live)), time.monotonic()) for _ in range(200)]
        for connection, since_s in came:
            time.sleep(max(0.0, since_s + 9.9 - time.monotonic()))  # libzmq's heartbeats would come at 10 s
            connection.setblocking(False)
            with suppress(OSError):
                connection.send(burst)
            connection.close()
    time.sleep(0.5)
    assert live.process.poll() is None, live.log.read_text()
    peer = connect(live)
    for number in range(20):
        assert peer.ask(Ping(float(number))) == Pong(number)
        time.sleep(0.05)


COMMANDS = (
    *(b"\x04PING\0\1", b"\x04PING\xff\xff" + bytes(40), b"\x04PING", b"\x04PONG", b"\x05ERROR\xff", b""),
    *(b"\x09SUBSCRIBE", b"\x06CANCEL", b"\x05HELLO" + bytes(194), b"\x07MESSAGE" + bytes(60)),
)


def random_bytes(chance: random.Random) -> bytes:
    """A handshake with up to three bytes changed, then frames and commands, some with wrong sizes."""
    begun = bytearray(GREETING + bytes([ZMTP_COMMAND, len(READY)]) + READY)
    for _ in range(chance.randrange(4)):
        begun[chance.randrange(len(begun))] = chance.randrange(256)
    sent = bytes(begun)
    for _ in range(chance.randrange(30)):
        match chance.randrange(5):
            case 0:
                body = chance.randbytes(chance.randrange(250))
                sent += bytes([chance.choice((0, 1, 4, 5, 8, 255)), len(body)]) + body
            case 1:
                command = chance.choice(COMMANDS)
                sent += bytes([ZMTP_COMMAND, len(command)]) + command
            case 2:
                length = chance.choice((2**20, 2**20 + 1, 2**31, 2**63, 2**64 - 1))
                sent += struct.pack(">BQ", ZMTP_LONG | chance.choice((0, 1, 4)), length) + bytes(20)
            case 3:
                sent += chance.randrange(1, 50) * bytes([ZMTP_MORE, 0])
            case _:
                sent += chance.randbytes(chance.randrange(1, 20))
    return sent[: chance.randrange(len(sent))]


def test_whatever_bytes_come_they_end_one_connection(engine: LiveEngine, connect: Connect) -> None:
    chance, path = random.Random(1), engine.connection.endpoint.removeprefix("ipc://")
    peer = connect(engine)
    for number in range(400):
        with sockets.socket(sockets.AF_UNIX) as nasty, suppress(OSError):
            nasty.settimeout(5)
            nasty.connect(path)
            nasty.sendall(random_bytes(chance))
        if number % 40 == 39:
            assert peer.ask(Ping(float(number))) == Pong(number)
    assert connect(engine).ask(Ping(1.0)) == Pong(1.0)
