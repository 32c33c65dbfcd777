"""Queues of the engine's replies: a link's thread fills them, callers wait on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

from bridge.wire.messages import EngineMessage, Error, Message

SLICE_S = 0.5
"""The longest a caller sleeps at a stretch: on Windows a sleeping main thread does not see Ctrl-C."""

Reply: TypeAlias = tuple[EngineMessage, memoryview | None]
Accepts: TypeAlias = Callable[[EngineMessage], bool]


class LinkLost(Exception):
    """The engine is gone or going; what was asked can be asked again over another link."""


class NotUnderstood(LinkLost):
    """The link is gone because the engine, or this client, does not follow the other's messages."""


class NoAnswer(Exception):
    """Nothing came before the deadline."""


class Replies:
    """The messages that one caller waits for, in the order in which they came."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Reply | LinkLost] = SimpleQueue()

    def put(self, reply: Reply | LinkLost) -> None:
        """Adds a message, or the news that none will come."""
        self._queue.put(reply)

    def get(self, deadline_s: float) -> Reply:
        """The next message; raises NoAnswer at `deadline_s` (monotonic), LinkLost with the link."""
        while (left_s := deadline_s - time.monotonic()) > 0:
            with suppress(Empty):
                reply = self._queue.get(timeout=min(left_s, SLICE_S))
                if isinstance(reply, LinkLost):
                    raise type(reply)(*reply.args)
                return reply
        raise NoAnswer


def answers(job: str, *kinds: type[Message]) -> Accepts:
    """Accepts the messages of some kinds about a job, and errors that are about it or about nothing else."""

    def accepts(message: EngineMessage) -> bool:
        if isinstance(message, Error):
            return message.job in (job, None)
        return isinstance(message, kinds) and getattr(message, "job", None) == job

    return accepts
