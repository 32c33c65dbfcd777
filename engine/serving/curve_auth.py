"""Decides who may connect over tcp: CURVE keys on an allow-list, which is read again whenever it changes.

CURVE itself accepts any key. libzmq asks the ZAP handler (rfc.zeromq.org/spec/27) about each one, but only if
the socket has a ZAP domain. The handler is a REP socket in the server's loop; an accepted key becomes the
user id of every message on that connection.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import zmq
from zmq.utils import z85

from bridge.wire.curve_keys import KeyPair, allowed
from presets.errors import AirbandError

DOMAIN = b"airband"
ENDPOINT = "inproc://zeromq.zap.01"

log = logging.getLogger("airband.engine")


class CurveAuth:
    """Decides which CURVE keys may connect.

    Args:
        keys: the engine's own.
        user: the public key of the engine's user; always allowed.
        allow_list: a file of further keys; it need not exist.
    """

    def __init__(self, keys: KeyPair, user: str, allow_list: Path) -> None:
        self.keys = keys
        self._user, self._path = user, allow_list
        self._read: tuple[int, int] | None = None
        self._allowed: frozenset[str] = frozenset()

    def allows(self, key: str) -> bool:
        """Whether a key may connect, and send messages, now."""
        self._refresh()
        return key == self._user or key in self._allowed

    def owner(self, key: str) -> str:
        """The owner under which the jobs of a key are stored: "" for the user's own key."""
        return "" if key == self._user else key

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Makes a socket a CURVE server that asks this handler about its clients; call before it is bound."""
        socket.zap_domain = DOMAIN
        socket.curve_server = True
        socket.curve_publickey = self.keys.public.encode()
        socket.curve_secretkey = self.keys.secret.encode()

    def handler(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
        """The ZAP socket of a context; make it before the sockets that it guards are bound."""
        socket = context.socket(zmq.REP)
        socket.linger = 0
        socket.bind(ENDPOINT)
        return socket

    def answer(self, handler: zmq.Socket[bytes]) -> None:
        """Answers one request by libzmq."""
        _version, request, domain, _address, _identity, mechanism, *credentials = handler.recv_multipart()
        key = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" and len(credentials) == 1 else ""
        if domain == DOMAIN and self.allows(key):
            handler.send_multipart([b"1.0", request, b"200", b"OK", key.encode(), b""])
        else:
            handler.send_multipart([b"1.0", request, b"400", b"this key is not on the allow-list", b"", b""])

    def _refresh(self) -> None:
        """Reads the list again if it changed; a missing or unusable one lets nobody in."""
        if (stamp := _stamp(self._path)) == self._read:
            return
        self._read = stamp
        try:
            self._allowed = frozenset(allowed(self._path))
        except AirbandError as error:
            self._allowed = frozenset()
            log.error("nobody but the user may connect: %s", error.message)


def _stamp(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        about = path.stat()
        return about.st_mtime_ns, about.st_ino
    return None
