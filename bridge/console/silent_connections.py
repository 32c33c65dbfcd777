"""Connections to the console that say nothing: shut after a while, and few at a time."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 5.0
"""How long a connection may take to bring its first request whole, as a browser's brings it at once."""
SILENT_MAX = 64
"""Connections that may owe it; the next one is shut at once: descriptors are left for those let in."""


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it with h11, which bounds a request's head, with the limits above."""

    _silent: ClassVar[set[LimitedProtocol]] = set()

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self._silent) >= SILENT_MAX:
            transport.abort()
            return
        self._silent.add(self)
        asyncio.get_running_loop().call_later(REQUEST_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._silent.discard(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Takes what came; a request that is whole begins a cycle."""
        super().handle_events()
        if self.cycle is not None:
            self._silent.discard(self)

    def _look(self) -> None:
        if self in self._silent:
            self.transport.abort()
