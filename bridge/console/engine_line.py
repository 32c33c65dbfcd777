"""The console's connection to the engine, which may be lost and found again."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from bridge.client.client import Client
from bridge.client.launch import no_engine
from bridge.console.paths import Roots
from bridge.wire.home import Home, is_running, read_connection
from presets.errors import AirbandError


class EngineLine:
    """Clients of the engine of one state folder, made on need; safe from any thread.

    Args:
        home: the engine's folders.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._lock = threading.Lock()
        self._clients: dict[bool, Client] = {}

    def start(self) -> None:
        """Starts an engine if none runs; raises EngineError if that fails."""
        Client.connect(state=self.home.state).close()

    def client(self, *, local: bool = True) -> Client:
        """A client of the running engine; never starts one.

        Args:
            local: False for a client that sends files instead of paths, for files outside the engine's roots.

        Raises:
            EngineError: no engine runs, or it does not answer.
        """
        if not is_running(self.home):
            raise no_engine(self.home)
        with self._lock:
            known = self._clients.get(local)
            if known is None:
                known = self._clients[local] = Client.connect(state=self.home.state, start=False)
                known.local = known.local and local
            return known

    @property
    def roots(self) -> Roots:
        """The folders that the running engine may open; empty if none runs."""
        try:
            connection = read_connection(self.home)
        except AirbandError:
            connection = None
        return Roots([Path(root) for root in connection.roots] if connection else [])

    def close(self) -> None:
        """Closes all clients; jobs go on."""
        with self._lock:
            for client in self._clients.values():
                with suppress(AirbandError):
                    client.close()
            self._clients.clear()
