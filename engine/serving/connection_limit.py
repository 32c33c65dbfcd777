"""Limits the open connections: over tcp those that have not proved a key, over ipc all.

libzmq accepts any number. Over tcp it drops unauthenticated connections after its handshake interval, but
limits neither their number nor their descriptors. Over ipc it kills the process, by an assertion, when no
descriptor is left for a new connection (4.3.5, ipc_listener.cpp). Its monitor reports each accepted
connection; beyond the limit, the newest is closed at once, as sshd does. Existing connections stay, and a
rejected client may try again.
"""

from __future__ import annotations

import os
import socket as sockets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol, TypeAlias

import zmq

from presets.errors import EngineError

DESCRIPTORS, DESCRIPTORS_SPARE = 8192, 256
"""Descriptors that the engine requests (the system's default is commonly 1024), and those not for clients."""
IPC_CONNECTIONS_MAX = 1024
"""As many as there can be sessions."""
UNAUTHENTICATED_MAX = 128
"""Each costs two descriptors and about 10 kB."""
EVENT = struct.Struct("=Hi")
"""An event and its value in a monitor message (zmq_socket_monitor); pyzmq's own parser loads asyncio."""
ENDPOINT = "inproc://airband-connections"


Socket: TypeAlias = "zmq.Socket[bytes]"


class ConnectionLimit(Protocol):
    """Closes connections to a socket beyond a limit; must be made before the socket is bound."""

    monitor: Socket
    """Readable when `handle` must be called."""

    def handle(self) -> None:
        """Processes libzmq's events, and closes connections beyond the limit."""

    def close(self) -> None:
        """Stops watching."""


class IpcLimit:
    """At most IPC_CONNECTIONS_MAX connections over ipc, and no more than there are descriptors for.

    Args:
        context, socket: the listener's.
    """

    def __init__(self, context: zmq.Context[Socket], socket: Socket) -> None:
        self._socket = socket
        self._most = min(IPC_CONNECTIONS_MAX, most_descriptors() - DESCRIPTORS_SPARE)
        self._open: set[int] = set()
        """libzmq's descriptors of open connections."""
        self.monitor = _monitor(context, socket, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)

    def handle(self) -> None:
        """See `ConnectionLimit`."""
        for event, descriptor in _events(self.monitor):
            if event == zmq.EVENT_DISCONNECTED:
                self._open.discard(descriptor)
                continue
            self._open.add(descriptor)
            if len(self._open) > self._most:
                _shut(_opened(descriptor, self._is_ours))

    def close(self) -> None:
        """See `ConnectionLimit`."""
        self._socket.disable_monitor()

    def _is_ours(self, connection: sockets.socket) -> bool:
        return f"ipc://{connection.getsockname()}" == self._socket.getsockopt_string(zmq.LAST_ENDPOINT)


class TcpLimit:
    """At most UNAUTHENTICATED_MAX connections over tcp that have not proved a key.

    Args:
        context, socket: the listener's.
        handshake_s: after this time a connection has proved its key, or libzmq has dropped it.
    """

    def __init__(self, context: zmq.Context[Socket], socket: Socket, handshake_s: float) -> None:
        self._socket, self._handshake_s = socket, handshake_s
        self._accepted: dict[int, tuple[sockets.socket, float]] = {}
        """By libzmq's descriptor: our own descriptor of the same connection, and when it was accepted."""
        self._proved_s: list[float] = []
        events = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
        self.monitor = _monitor(context, socket, events)

    def handle(self) -> None:
        """See `ConnectionLimit`."""
        for event, value in _events(self.monitor):
            now_s = time.monotonic()
            match event:
                case zmq.EVENT_ACCEPTED:
                    self._let_go(value)
                    self._admit(value, now_s)
                case zmq.EVENT_DISCONNECTED:
                    self._let_go(value)
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self._proved_s.append(now_s)

    def close(self) -> None:
        """See `ConnectionLimit`."""
        self._socket.disable_monitor()
        for connection, _ in self._accepted.values():
            connection.close()
        self._accepted.clear()

    def _admit(self, descriptor: int, now_s: float) -> None:
        since_s = now_s - self._handshake_s
        for old, (_, accepted_s) in list(self._accepted.items()):
            if accepted_s < since_s:
                self._let_go(old)
        self._proved_s = [proved_s for proved_s in self._proved_s if proved_s >= since_s]
        if (connection := _opened(descriptor, self._is_ours)) is None:
            return
        if len(self._accepted) - len(self._proved_s) < UNAUTHENTICATED_MAX:
            self._accepted[descriptor] = connection, now_s
        else:
            _shut(connection)

    def _is_ours(self, connection: sockets.socket) -> bool:
        port = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
        return str(connection.getsockname()[1]) == port

    def _let_go(self, descriptor: int) -> None:
        if descriptor in self._accepted:
            self._accepted.pop(descriptor)[0].close()


def raise_descriptor_limit() -> None:
    """Raises the limit on open files, also for child processes, to DESCRIPTORS or as far as allowed.

    Raises:
        EngineError: too few would be left for clients.
    """
    if os.name == "posix":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        if most_descriptors() < (least := 2 * DESCRIPTORS_SPARE):
            raise EngineError(
                f"the system allows {most_descriptors()} open files here, and an engine needs "
                f"{least}: raise the limit (`ulimit -n {least}` in a shell that may, LimitNOFILE= of systemd)"
            )


def most_descriptors() -> int:
    """How many descriptors this process may have; DESCRIPTORS where there is no limit."""
    if os.name != "posix":
        return DESCRIPTORS
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def _monitor(context: zmq.Context[Socket], socket: Socket, events: int) -> Socket:
    socket.monitor(ENDPOINT, events)
    monitor = context.socket(zmq.PAIR)
    monitor.linger = monitor.rcvhwm = 0
    monitor.connect(ENDPOINT)
    return monitor


def _events(monitor: Socket) -> Iterator[tuple[int, int]]:
    """The events that a monitor has reported, each with its value."""
    with suppress(zmq.Again):
        while True:
            yield EVENT.unpack(monitor.recv_multipart(zmq.DONTWAIT)[0])


def _opened(descriptor: int, is_ours: Callable[[sockets.socket], bool]) -> sockets.socket | None:
    """Our own socket object for a connection with libzmq's descriptor; None if that is already closed."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        connection = sockets.socket(fileno=copy)
    except OSError:  # the descriptor now belongs to another file
        os.close(copy)
        return None
    with suppress(OSError):
        if is_ours(connection):
            return connection
    connection.close()
    return None


def _shut(connection: sockets.socket | None) -> None:
    if connection is not None:
        with suppress(OSError), connection:
            connection.shutdown(sockets.SHUT_RDWR)
