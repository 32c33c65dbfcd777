"""How many tcp connections may be open that have not proved a key.

libzmq accepts as many as come and drops one that has proved nothing after its handshake interval, but bounds
neither their number nor their descriptors. It tells of each one it accepts; beyond UNAUTHENTICATED_MAX the
newest is shut at once, as sshd does. Who is connected stays, and who was turned away comes again by itself.
"""

from __future__ import annotations

import os
import socket as sockets
import struct
import time
from contextlib import suppress

import zmq

UNAUTHENTICATED_MAX = 128
"""Each costs two descriptors, of the 1024 that a process commonly has, and some 10 kB."""
EVENT = struct.Struct("=Hi")
"""An event and its value, as a monitor tells them (zmq_socket_monitor); pyzmq's own parser loads asyncio."""
ENDPOINT = "inproc://airband-connections"


class ConnectionLimit:
    """Shuts what connects to a socket beyond the limit; make it before the socket is bound.

    Args:
        context, socket: the listener's.
        handshake_s: after so long a connection has proved its key, or libzmq has dropped it.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], handshake_s: float
    ) -> None:
        self._socket, self._handshake_s = socket, handshake_s
        self._accepted: dict[int, tuple[sockets.socket, float]] = {}
        """By libzmq's descriptor: one of our own for the same connection, and when it was accepted."""
        self._proved_s: list[float] = []
        socket.monitor(ENDPOINT, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.monitor = context.socket(zmq.PAIR)
        self.monitor.linger = self.monitor.rcvhwm = 0
        self.monitor.connect(ENDPOINT)

    @property
    def _port(self) -> int:
        return int(self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def handle(self) -> None:
        """Takes what libzmq has told, and turns away who is too many."""
        while True:
            try:
                event, value = EVENT.unpack(self.monitor.recv_multipart(zmq.DONTWAIT)[0])
            except zmq.Again:
                return
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
        """Stops watching."""
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
        if (connection := self._opened(descriptor)) is None:
            return
        if len(self._accepted) - len(self._proved_s) < UNAUTHENTICATED_MAX:
            self._accepted[descriptor] = connection, now_s
            return
        with suppress(OSError), connection:
            connection.shutdown(sockets.SHUT_RDWR)

    def _opened(self, descriptor: int) -> sockets.socket | None:
        """A connection of our own socket under a descriptor of libzmq's, unless that is gone already."""
        try:
            copy = os.dup(descriptor)
        except OSError:
            return None
        try:
            connection = sockets.socket(fileno=copy)
        except OSError:  # the number is that of another file by now
            os.close(copy)
            return None
        with suppress(OSError):
            if connection.getsockname()[1] == self._port:
                return connection
        connection.close()
        return None

    def _let_go(self, descriptor: int) -> None:
        if descriptor in self._accepted:
            self._accepted.pop(descriptor)[0].close()
