"""Who may connect over tcp: CURVE keys on an allow-list.

CURVE by itself lets any key in; libzmq asks the ZAP handler (rfc.zeromq.org/spec/27) about each one, and asks
nobody when the socket has no domain. The handler is a REP socket in the server's own loop.
"""

from __future__ import annotations

from collections.abc import Set

import zmq
from zmq.utils import z85

from bridge.wire.curve_keys import KeyPair

DOMAIN = b"airband"
ENDPOINT = "inproc://zeromq.zap.01"


class CurveAuth:
    """The ZAP handler of one context: lets a CURVE key in, or not.

    Args:
        context: whose sockets it guards; bind those after it.
        allowed: public keys in Z85.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed: Set[bytes]) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ENDPOINT)
        self._allowed = allowed

    def guard(self, socket: zmq.Socket[bytes], keys: KeyPair) -> None:
        """Makes a socket a CURVE server that asks this handler about its clients; call before its bind."""
        socket.zap_domain = DOMAIN
        socket.curve_server = True
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()

    def answer(self) -> None:
        """Answers one request of libzmq."""
        _version, request, domain, _address, _identity, mechanism, *credentials = self.socket.recv_multipart()
        known = (
            domain == DOMAIN
            and mechanism == b"CURVE"
            and len(credentials) == 1
            and z85.encode(credentials[0]) in self._allowed
        )
        status, text = (b"200", b"OK") if known else (b"400", b"this key is not on the allow-list")
        self.socket.send_multipart([b"1.0", request, status, text, b"", b""])

    def close(self) -> None:
        """Lets go of the handler's socket."""
        self.socket.close()
