"""The console's process: a socket on 127.0.0.1, a token, and uvicorn, until Ctrl-C."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import uvicorn

from bridge.console.app import Console
from bridge.console.silent_connections import LimitedProtocol
from bridge.wire.home import Home
from bridge.wire.lock import FileLock
from bridge.wire.private_files import make_private_folder
from presets.errors import EngineError, UsageError

HOST = "127.0.0.1"
GRACE_S = 1
"""How long open pages may delay the end of the console, in seconds."""


class Address(NamedTuple):
    """The address of a console."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """The URL to open; it lets the browser in."""
        return f"http://{HOST}:{self.port}/?token={self.token}"


def serve(home: Home, port: int, quota_bytes: int, ready: Callable[[Address], None]) -> None:
    """Serves until SIGINT or SIGTERM; starts an engine if none runs.

    Args:
        home: of the engine.
        port: to listen on; 0 for any free one.
        quota_bytes: the most that all uploads together may hold.
        ready: called once the console can be reached.

    Raises:
        UsageError: the port is taken.
        EngineError: no engine could be started, or the state folder belongs to another user or console.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a closed page is not an error
    with socket.socket() as listener, _alone(home):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise UsageError(
                f"port {port} of {HOST} is not available: {error.strerror}; use another --port, or 0",
                "port",
            ) from None
        address = Address(listener.getsockname()[1], secrets.token_urlsafe(32))
        console = Console(home, quota_bytes)
        console.line.start()
        config = uvicorn.Config(
            console.app(address.token, address.port),
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            http=LimitedProtocol,
            ws="none",
            lifespan="on",
        )
        server = uvicorn.Server(config)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, server.handle_exit)  # the terminal was closed
        listener.listen()  # connections made before uvicorn is ready wait
        ready(address)
        server.run(sockets=[listener])


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Locks the clips and batches of a state folder; two consoles would run each watch twice."""
    make_private_folder(home.state)
    lock = FileLock(home.state / "console.lock")
    if not lock.acquire():
        raise EngineError(
            f"a console runs on {home.state} already; use its page, end it, or choose another --state"
        )
    try:
        yield
    finally:
        lock.release()
