"""Pings an engine until its own input ends, then prints how long the answers took: `pinger.py ENDPOINT`."""

from __future__ import annotations

import json
import select
import sys
import time

import zmq

from bridge.wire.frames import decode, encode
from bridge.wire.messages import VERSION, Hello, Message, Ping, Pong, Welcome

PAUSE_S = 0.005
PATIENCE_MS = 60_000


def ask(socket: zmq.Socket[bytes], message: Message) -> object:
    """The answer to one message."""
    socket.send_multipart(encode(message))
    if not socket.poll(PATIENCE_MS):
        sys.exit(f"no answer within {PATIENCE_MS} ms")
    return decode(socket.recv_multipart(), "engine")[0]


def main(endpoint: str) -> None:
    """Pings until the input ends; prints `ready` at its start, and one line of JSON at its end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(endpoint)
    assert isinstance(ask(socket, Hello(VERSION, "pinger")), Welcome)
    print("ready", flush=True)
    took_ms: list[float] = []
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        asked_s = time.monotonic()
        assert isinstance(ask(socket, Ping(asked_s)), Pong)
        took_ms.append(1000 * (time.monotonic() - asked_s))
    took_ms.sort()
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    figures = {
        name: round(took_ms[min(int(p * len(took_ms)), len(took_ms) - 1)], 1) for name, p in at.items()
    }
    print(json.dumps({"pings": len(took_ms), "ping_ms": figures}))
    context.destroy(linger=0)


if __name__ == "__main__":
    main(sys.argv[1])
