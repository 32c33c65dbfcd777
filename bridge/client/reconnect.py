"""A link to an engine that is made again when it breaks."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from bridge.client import launch
from bridge.client.link import Link
from bridge.client.replies import LinkLost, NotUnderstood
from bridge.wire.curve_keys import check_key, own_keys
from bridge.wire.home import Connection, Home
from bridge.wire.messages import VERSION, Bye, EngineMessage, Error, Hello, Welcome
from presets.errors import EngineError, UsageError, VersionError
from presets.version import VERSION as SOFTWARE

TRIES = 10
"""How often a request is repeated while the engine goes away each time."""
PAUSE_S, PAUSE_CAP_S = 0.05, 2.0

T = TypeVar("T")


class Reconnecting:
    """The connection to one engine, shared by several threads and made again when it breaks.

    Args:
        home: the folders of the engine and of the user's keys.
        endpoint: an engine elsewhere; None for the engine of `home`.
        server_key: the CURVE key of an engine over tcp.
        start: whether to start an engine where none runs.
        timeout_s: how long the engine may take to answer, or to come back.
    """

    def __init__(
        self, home: Home, endpoint: str | None, server_key: str, start: bool, timeout_s: float
    ) -> None:
        self._home, self._endpoint, self._server_key = home, endpoint, server_key
        self._start, self._timeout_s = start, timeout_s
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._closed = False
        self.welcome: Welcome | None = None

    def link(self) -> Link:
        """The current link; a new one if there is none or it broke.

        Raises:
            EngineError: there is no engine, or it does not answer. VersionError: it is of another version.
        """
        if self._pid != os.getpid():
            raise EngineError(f"this client belongs to process {self._pid}; make a new one after a fork")
        with self._lock:
            if self._closed:
                raise EngineError("this client is closed")
            if self.live is None:
                self._link = self._connect(first=self._link is None)
            assert self._link is not None
            return self._link

    @property
    def live(self) -> Link | None:
        """The link if it is up, else None; never makes one."""
        link = self._link
        return link if link is not None and link.up else None

    def stream(self, work: Callable[[Link], Iterator[T]], deadline_s: float = math.inf) -> Iterator[T]:
        """Yields the items of `work`, which is called again with a new link whenever its link breaks.

        Args:
            work: it must allow being called again after any of its items.
            deadline_s: pauses between tries end at this time (monotonic clock).

        Raises:
            EngineError: the link broke TRIES times without an item in between.
            VersionError: the engine is of another version, and one of the two does not understand the other.
        """
        pauses = _pauses()
        while True:
            try:
                for item in work(self.link()):
                    pauses = _pauses()
                    yield item
                return
            except LinkLost as lost:
                if isinstance(lost, NotUnderstood) and self.welcome and self.welcome.engine != SOFTWARE:
                    raise VersionError(
                        f"the engine is airband {self.welcome.engine}, this client {SOFTWARE}; one does not "
                        f"understand the other ({lost}); run both from one installation (`airband stop` ends "
                        "the engine)"
                    ) from None
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise EngineError(str(lost)) from None
            time.sleep(max(0.0, min(pause_s, deadline_s - time.monotonic())))

    def retry(self, work: Callable[[Link], T]) -> T:
        """Returns the result of `work`, which is repeated as in `stream`."""
        return next(self.stream(lambda link: iter((work(link),))))

    def close(self) -> None:
        """Says goodbye and closes the link; does nothing in a forked child."""
        if self._pid != os.getpid():
            return
        self._closed = True  # before taking the lock, so that a connect in progress, which holds it, gives up
        with self._lock:
            if self._link is not None:
                with suppress(LinkLost):
                    self._link.send(Bye())
                self._link.close()

    def _connect(self, first: bool) -> Link:
        patience_s = self._timeout_s if self._start or not first else 0.0
        deadline_s = time.monotonic() + patience_s
        pause_s = PAUSE_S
        while not self._closed:
            try:
                return self._greet(self._locate())
            except LinkLost as lost:
                if time.monotonic() + pause_s > deadline_s:
                    raise EngineError(f"{lost}; look at it with `airband doctor`") from None
            except _NoEngine as none:
                if first or time.monotonic() + pause_s > deadline_s:
                    raise launch.no_engine(self._home) from none
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_CAP_S)
        raise EngineError("this client is closed")

    def _locate(self) -> Connection:
        if self._endpoint is not None:
            return self._remote(self._endpoint)
        if self._start:
            return launch.ensure_engine(self._home)
        found = launch.find_engine(self._home, self._timeout_s)
        if found is None:
            raise _NoEngine
        return found

    def _remote(self, endpoint: str) -> Connection:
        mine = None
        if endpoint.startswith("ipc://@"):
            raise UsageError(f"{endpoint} is open to every user of this machine; give ipc://PATH", "endpoint")
        if not endpoint.startswith(("ipc://", "tcp://")):
            raise UsageError(f"endpoint {endpoint!r} is neither ipc:// nor tcp://", "endpoint")
        if endpoint.startswith("tcp://"):
            shown = "; `airband keys list` shows it on that machine"
            check_key(self._server_key, f"server_key of the engine at {endpoint}", "server_key", shown)
            mine = own_keys(self._home.state)
        return Connection(endpoint, 0, 0.0, "", VERSION, self._server_key, mine)

    def _greet(self, connection: Connection) -> Link:
        link = Link(connection.endpoint, connection.server_key, connection.client)
        hello = Hello(VERSION, f"python {os.getpid()}", self.welcome.session if self.welcome else None)
        try:
            welcome = link.request(hello, _is_welcome, self._timeout_s)
        except BaseException:
            link.close()
            raise
        assert isinstance(welcome, Welcome)
        self.welcome = welcome
        return link


class _NoEngine(Exception):
    pass


def _pauses() -> Iterator[float]:
    """Seconds to wait after each of TRIES failures."""
    return (min(PAUSE_S * 2**failed, PAUSE_CAP_S) for failed in range(TRIES))


def _is_welcome(message: EngineMessage) -> bool:
    return isinstance(message, Welcome | Error)
