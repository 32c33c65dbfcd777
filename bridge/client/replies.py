"""Who waits for which message of the engine: mailboxes, filled by the thread of a link."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

from bridge.wire.messages import EngineMessage, Error, Message

SLICE_S = 0.5
"""The longest a caller sleeps at a stretch: on Windows a sleeping main thread does not see Ctrl-C."""

Mail: TypeAlias = tuple[EngineMessage, memoryview | None]
Accepts: TypeAlias = Callable[[EngineMessage], bool]


class LinkLost(Exception):
    """The engine is gone or going; what was asked can be asked again over another link."""


class NoAnswer(Exception):
    """Nothing came before the deadline."""


class Mailbox:
    """Where a caller waits; filled by the link's thread."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Mail | LinkLost] = SimpleQueue()

    def put(self, mail: Mail | LinkLost) -> None:
        """Delivers a message, or the news that none will come."""
        self._queue.put(mail)

    def get(self, deadline_s: float) -> Mail:
        """The next message; raises NoAnswer at `deadline_s` (monotonic), LinkLost with the link."""
        while (left_s := deadline_s - time.monotonic()) > 0:
            with suppress(Empty):
                mail = self._queue.get(timeout=min(left_s, SLICE_S))
                if isinstance(mail, LinkLost):
                    raise LinkLost(*mail.args)
                return mail
        raise NoAnswer


def answers(job: str, *kinds: type[Message]) -> Accepts:
    """Accepts the messages of some kinds about a job, and errors that are about it or about nothing else."""

    def accepts(message: EngineMessage) -> bool:
        if isinstance(message, Error):
            return message.job in (job, None)
        return isinstance(message, kinds) and getattr(message, "job", None) == job

    return accepts
