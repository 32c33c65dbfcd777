"""A link to an engine that is made again when it breaks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from bridge.client import launch
from bridge.client.link import Link
from bridge.client.replies import LinkLost
from bridge.wire.curve_keys import check_key, own_keys
from bridge.wire.home import Connection, Home
from bridge.wire.messages import VERSION, Bye, EngineMessage, Error, Hello, Welcome
from presets.errors import EngineError, UsageError

TRIES = 10
"""How often one thing is asked of engines that go away over it."""
PAUSE_S, PAUSE_CAP_S = 0.05, 2.0

T = TypeVar("T")


class Reconnecting:
    """The way to one engine, from several threads.

    Args:
        home: the folders of the engine, and of the user's keys.
        endpoint: an engine elsewhere; None for the one that belongs to `home`.
        server_key: the CURVE key of an engine over tcp.
        start: whether to start an engine where none runs.
        timeout_s: how long an engine may take to answer, or to come back.
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
        """The link, made if there is none or it broke.

        Raises:
            EngineError: no engine, or none that answers; VersionError: one of another version.
        """
        if self._pid != os.getpid():
            raise EngineError(f"this client belongs to process {self._pid}; make a new one after a fork")
        with self._lock:
            if self._closed:
                raise EngineError("this client is closed")
            if self.live is None:
                self._link = self._dialled(first=self._link is None)
            assert self._link is not None
            return self._link

    @property
    def live(self) -> Link | None:
        """The link if it is up; none is made."""
        link = self._link
        return link if link is not None and link.up else None

    def again(self, work: Callable[[Link], T]) -> T:
        """What `work` returns, tried again over a new link when one broke under it; it must bear that."""
        for pause_s in pauses():
            try:
                return work(self.link())
            except LinkLost as lost:
                reason = str(lost)
            time.sleep(pause_s)
        raise EngineError(reason)

    def close(self) -> None:
        """Says goodbye; in a forked child it does nothing."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._closed = True
            if self._link is not None:
                with suppress(LinkLost):
                    self._link.send(Bye())
                self._link.close()

    def _dialled(self, first: bool) -> Link:
        patience_s = self._timeout_s if self._start or not first else 0.0
        deadline_s = time.monotonic() + patience_s
        pause_s = PAUSE_S
        while True:
            try:
                return self._greeted(self._located())
            except LinkLost as lost:
                if time.monotonic() + pause_s > deadline_s:
                    raise EngineError(f"{lost}; look at it with `airband doctor`") from None
            except _NoEngine as none:
                if first or time.monotonic() + pause_s > deadline_s:
                    raise launch.no_engine(self._home) from none
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_CAP_S)

    def _located(self) -> Connection:
        if self._endpoint is not None:
            return self._elsewhere(self._endpoint)
        if self._start:
            return launch.ensure_engine(self._home)
        found = launch.find_engine(self._home, self._timeout_s)
        if found is None:
            raise _NoEngine
        return found

    def _elsewhere(self, endpoint: str) -> Connection:
        mine = None
        if not endpoint.startswith(("ipc://", "tcp://")):
            raise UsageError(f"endpoint {endpoint!r} is neither ipc:// nor tcp://", "endpoint")
        if endpoint.startswith("tcp://"):
            check_key(self._server_key, f"the key of the engine at {endpoint}")
            mine = own_keys(self._home.state)
        return Connection(endpoint, 0, 0.0, "", VERSION, self._server_key, mine)

    def _greeted(self, connection: Connection) -> Link:
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


def pauses() -> list[float]:
    """Seconds to wait after each of TRIES failures."""
    return [min(PAUSE_S * 2**failed, PAUSE_CAP_S) for failed in range(TRIES)]


def _is_welcome(message: EngineMessage) -> bool:
    return isinstance(message, Welcome | Error)
