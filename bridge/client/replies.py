"""Queues of the engine's replies: a link's thread fills them, callers read them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from bridge.wire.messages import EngineMessage, Error, Message, Progress
from presets.limits import CREDIT_BYTES

SLICE_S = 0.5
"""The longest single wait of a caller, in seconds: on Windows a waiting main thread ignores Ctrl-C."""
UNREAD_BYTES = 8 * CREDIT_BYTES
"""Limit for unread messages of one caller: eight threads that fetch one stem have this much under way."""
MESSAGE_BYTES = 1024
"""Memory counted for a waiting message in addition to its own bytes."""

Reply: TypeAlias = tuple[EngineMessage, memoryview | None]
Accepts: TypeAlias = Callable[[EngineMessage], bool]


class LinkLost(Exception):
    """The engine is gone or going; the request can be repeated over another link."""


class NotUnderstood(LinkLost):
    """The link was dropped because engine and client do not understand each other's messages."""


class NoAnswer(Exception):
    """Nothing came before the deadline."""


class Replies:
    """The messages that one caller waits for, in order of arrival.

    Of several unread progress messages in a row only the last is kept. Beyond UNREAD_BYTES all unread
    messages are
    dropped and the caller is told that the link is lost: it asks again and continues where it stopped.
    """

    def __init__(self) -> None:
        self._came = threading.Condition()
        self._waiting: deque[tuple[Reply, int]] = deque()
        self._waiting_bytes = 0
        self._lost: LinkLost | None = None

    def put(self, reply: Reply, nbytes: int) -> None:
        """Adds a message that arrived as `nbytes` bytes."""
        nbytes += MESSAGE_BYTES
        with self._came:
            if self._lost is not None:
                return
            if self._waiting and _is_progress(reply) and _is_progress(self._waiting[-1][0]):
                self._waiting_bytes -= self._waiting.pop()[1]
            self._waiting.append((reply, nbytes))
            self._waiting_bytes += nbytes
            if self._waiting_bytes > UNREAD_BYTES:
                self._waiting.clear()
                self._lost = LinkLost(f"{UNREAD_BYTES} bytes came and were not read")
            self._came.notify()

    def end(self, lost: LinkLost) -> None:
        """Tells the caller that no more messages will come."""
        with self._came:
            self._lost = self._lost or lost
            self._came.notify()

    def get(self, deadline_s: float) -> Reply:
        """The next message; raises NoAnswer at `deadline_s` (monotonic), LinkLost once the link is lost."""
        with self._came:
            while (left_s := deadline_s - time.monotonic()) > 0:
                if self._waiting:
                    reply, nbytes = self._waiting.popleft()
                    self._waiting_bytes -= nbytes
                    return reply
                if self._lost is not None:
                    raise type(self._lost)(*self._lost.args)
                self._came.wait(min(left_s, SLICE_S))
        raise NoAnswer


def _is_progress(reply: Reply) -> bool:
    return isinstance(reply[0], Progress)


def answers(job: str, *kinds: type[Message]) -> Accepts:
    """Accepts messages of the given kinds about a job, and errors about that job or about no job at all."""

    def accepts(message: EngineMessage) -> bool:
        if isinstance(message, Error):
            return message.job in (job, None)
        return isinstance(message, kinds) and getattr(message, "job", None) == job

    return accepts
