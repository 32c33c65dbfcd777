"""Messages that a link has still to send: callers add them, the link's thread takes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from presets.limits import CREDIT_BYTES

UNSENT_BYTES = CREDIT_BYTES
"""Limit for buffers that wait to be sent: as much as an engine gives credit for."""

Frames: TypeAlias = list[bytes | memoryview]


class Outbox:
    """Unsent messages, in order."""

    def __init__(self) -> None:
        self._went = threading.Condition()
        self._waiting: deque[tuple[Frames, int]] = deque()
        self._waiting_bytes = 0
        self._is_over = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Size of the buffers that wait."""
        return self._waiting_bytes

    def put(self, frames: Frames, nbytes: int) -> None:
        """Adds a message whose buffer has `nbytes`."""
        with self._went:
            self._waiting.append((frames, nbytes))
            self._waiting_bytes += nbytes

    def wait_for_room(self, timeout_s: float) -> bool:
        """Waits until a buffer may be added or the outbox is closed; False if nothing was sent in time."""
        with self._went:
            while not self._is_over and self._waiting_bytes >= UNSENT_BYTES:
                if not self._went.wait(min(timeout_s, threading.TIMEOUT_MAX)):
                    return False
        return True

    def flush(self, send: Callable[[Frames], object]) -> None:
        """Sends all messages; if `send` raises, that message stays the first."""
        while self._waiting:
            frames, nbytes = self._waiting[0]
            send(frames)
            with self._went:
                self._waiting.popleft()
                self._waiting_bytes -= nbytes
                self._went.notify_all()

    def end(self) -> None:
        """Closes the outbox: releases all who wait for room."""
        with self._went:
            self._is_over = True
            self._went.notify_all()
