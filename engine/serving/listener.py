"""The engine's socket: a ROUTER with its endpoint, its access control over tcp, and the inbox of requests."""

from __future__ import annotations

import os
import socket as sockets
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import zmq

from bridge.wire.messages import ClientMessage
from engine.serving.connection_limit import ConnectionLimit, IpcLimit, TcpLimit
from engine.serving.curve_auth import CurveAuth
from presets.errors import UsageError
from presets.limits import CHUNK_BYTES

FRAMES_MAX = 3
"""Identity, header and buffer: the most frames of a message. Further frames are discarded."""
QUEUE_MESSAGES, QUEUE_REPLIES = 16, 64
"""Limits of libzmq's queues per client: messages for the loop, and replies for the client."""
HANDSHAKE_MS = 5000
"""How long a connection may take to greet and to prove its key, in milliseconds."""
KEEPALIVE_S, KEEPALIVE_EVERY_S, KEEPALIVE_PROBES = 10, 5, 4
"""Over tcp the system probes a silent connection, and drops it after 30 s without an answer.

libzmq's own heartbeats can kill the process: an assertion fails when a heartbeat is due on a connection that
its peer has closed and that the loop has not read to its end (4.3.5, stream_engine_base.cpp, `out_event`).
"""
BACKLOG = 128
ASKED_MAX, ASKED_BYTES = 128, 16 * 1024**2
"""Limits for messages that the loop reads ahead of its work: their number, two for each of 64 clients, and
their size."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A message that waits for its turn: its connection, that one's CURVE key, its content and size."""

    route: bytes
    key: str
    message: ClientMessage
    buffer: memoryview | None
    nbytes: int


class Inbox:
    """Requests not handled yet; clients take turns, one message each."""

    def __init__(self) -> None:
        self._asked: dict[bytes, deque[Asked]] = {}
        self._count = self._nbytes = 0

    def __contains__(self, route: bytes) -> bool:
        """Whether a message of this connection waits."""
        return route in self._asked

    def __len__(self) -> int:
        """How many messages wait."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether so much waits that no more should be read."""
        return self._count >= ASKED_MAX or self._nbytes >= ASKED_BYTES

    def put(self, asked: Asked) -> None:
        """Adds a message behind those of the same client."""
        self._asked.setdefault(asked.route, deque()).append(asked)
        self._count += 1
        self._nbytes += asked.nbytes

    def next(self) -> Asked | None:
        """Takes the oldest message of the client whose turn it is."""
        if not self._asked:
            return None
        route = next(iter(self._asked))
        waiting = self._asked.pop(route)
        asked = waiting.popleft()
        if waiting:
            self._asked[route] = waiting  # behind the others
        self._count -= 1
        self._nbytes -= asked.nbytes
        return asked

    def clear(self) -> None:
        """Discards all messages."""
        self._asked.clear()
        self._count = self._nbytes = 0


class Listener:
    """The engine's socket; bound from the start.

    Attributes:
        socket: the ROUTER.
        door: further sockets that control access, each with the function to call when it is readable.

    Args:
        endpoint: `ipc://PATH` or `tcp://HOST:PORT`; for the port `*` one is chosen once and kept.
        auth: access control, for tcp.
        make_folder: creates the folder of an ipc socket, before each bind.

    Raises:
        UsageError: the endpoint cannot be bound.
    """

    def __init__(
        self, endpoint: str, auth: CurveAuth | None = None, make_folder: Callable[[], None] | None = None
    ) -> None:
        self.endpoint, self.auth, self._make_folder = endpoint, auth, make_folder
        self.door: dict[zmq.Socket[bytes], Callable[[], None]] = {}
        self._connections: ConnectionLimit | None = None
        self._file: tuple[int, int] | None = None
        """Device and inode of the ipc socket's file, while it is bound."""
        _check_is_free(endpoint)
        self._open()

    def reopen(self) -> None:
        """Drops all connections, with all messages in them, and listens again; clients then reconnect."""
        self.close()
        self._open()

    @property
    def is_reachable(self) -> bool:
        """False once the file of an ipc socket is gone: existing connections stay, but nobody can connect."""
        path = self.endpoint.removeprefix("ipc://")
        return path == self.endpoint or os.path.exists(path)

    def receive(self) -> tuple[bytes, str, list[memoryview]] | None:
        """The next message, if any: its connection, that one's CURVE key ("" on ipc), and its frames.

        Surplus frames are read and discarded, so that they never pile up.
        """
        try:
            first = frame = self.socket.recv(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        frames: list[zmq.Frame] = []
        while frame.more:
            frame = self.socket.recv(copy=False)
            if len(frames) < FRAMES_MAX:
                frames.append(frame)
        key = ""
        if frames and self.auth is not None:
            with suppress(zmq.ZMQError):
                key = str(frames[0].get("User-Id"))
        return first.bytes, key, [frame.buffer for frame in frames]

    def close(self, linger_ms: int = 0) -> None:
        """Closes the socket; sent messages have `linger_ms` to arrive."""
        if self._connections is not None:
            self._connections.close()
        self.context.destroy(linger=linger_ms)
        if self._file is not None and self._file == _file_of(self.endpoint):  # libzmq does not delete it
            with suppress(OSError):
                os.unlink(self.endpoint.removeprefix("ipc://"))
        self._file = None

    def _open(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = _router(self.context)
        self.door = {}
        self._connections = None
        if self.auth is not None:
            handler = self.auth.handler(self.context)
            self.auth.guard(self.socket)
            self._connections = TcpLimit(self.context, self.socket, HANDSHAKE_MS / 1000)
            self.door[handler] = partial(self.auth.answer, handler)
        elif self.endpoint.startswith("ipc://"):
            self._connections = IpcLimit(self.context, self.socket)
        if self._connections is not None:
            self.door[self._connections.monitor] = self._connections.handle
        try:
            if self._make_folder is not None:
                self._make_folder()
            self.socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise UsageError(
                f"{self.endpoint} cannot be bound: {error.strerror}; choose another --endpoint", "endpoint"
            ) from None
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._file = _file_of(self.endpoint)


def _file_of(endpoint: str) -> tuple[int, int] | None:
    """The device and inode of an ipc socket's file; None if there is none."""
    with suppress(OSError):
        about = os.lstat(endpoint.removeprefix("ipc://"))
        return about.st_dev, about.st_ino
    return None


def _check_is_free(endpoint: str) -> None:
    """Raises UsageError if an ipc socket cannot be made there; libzmq would silently delete what is there."""
    path = endpoint.removeprefix("ipc://")
    if path == endpoint or not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise UsageError(f"{endpoint} cannot be bound: {path} exists and is not a socket", "endpoint")
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:  # another process listens, with a full backlog
            pass
        except OSError:
            return
    raise UsageError(
        f"{endpoint} cannot be bound: another process listens there; choose another --endpoint", "endpoint"
    )


def _router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """A ROUTER that reports absent and slow peers, and accepts no frame beyond the protocol's limits."""
    socket = context.socket(zmq.ROUTER)
    socket.router_mandatory = True
    socket.linger = 0
    socket.maxmsgsize = CHUNK_BYTES
    socket.rcvhwm, socket.sndhwm = QUEUE_MESSAGES, QUEUE_REPLIES
    socket.handshake_ivl = HANDSHAKE_MS
    socket.backlog = BACKLOG
    socket.tcp_keepalive, socket.tcp_keepalive_idle = 1, KEEPALIVE_S
    socket.tcp_keepalive_intvl, socket.tcp_keepalive_cnt = KEEPALIVE_EVERY_S, KEEPALIVE_PROBES
    return socket
