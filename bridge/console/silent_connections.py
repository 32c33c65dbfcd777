"""Closes connections to the console that send nothing, after a while or when there are too many."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 5.0
"""How long a connection may take to send its first request, in seconds; a browser sends it at once."""
SILENT_MAX = 64
"""How many connections may be without a request; a further one is closed at once, so that descriptors remain
for those let in."""


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with h11, which bounds the head of a request, and with the limits above."""

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
        """Handles incoming data; a complete request ends the silence."""
        super().handle_events()
        if self.cycle is not None:
            self._silent.discard(self)

    def _look(self) -> None:
        if self in self._silent:
            self.transport.abort()
