"""When to ping an engine, and when to give it up.

libzmq's own heartbeats can kill the process: an assertion fails when a heartbeat is due on a connection that
the engine has closed while messages waited, as after a laptop has slept. Here a ping is an ordinary message,
so its answer also shows that the engine is not stuck in an endless message.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bridge.wire.resident import resident_bytes

WATCH_S = 0.1
"""How often to check, in seconds; libzmq takes in about 1 GB/s over ipc."""
PING_S, ANSWER_S = 5.0, 15.0
"""Seconds of silence after which an awaited engine is pinged, and seconds it may then take to answer."""
GROWTH_BYTES = 128 * 1024**2
"""How much this process may grow while no complete message arrives before the engine is pinged, and how much
more before it is given up. An engine answers within milliseconds, and few programs grow so fast."""


class SignOfLife:
    """Watches one engine; used by the thread that reads its messages.

    Args:
        ask: sends a ping.
        give_up: drops the engine, for the given reason.
    """

    def __init__(self, ask: Callable[[], None], give_up: Callable[[str], None]) -> None:
        self._ask, self._give_up = ask, give_up
        self._heard_s: float | None = None
        """When the last message arrived."""
        self._asked_s: float | None = None
        """When the engine was pinged for its silence; None once it has answered."""
        self._least_bytes = math.inf
        """The smallest size of this process since the last message, or since the ping for its growth."""
        self._is_suspect = False

    def heard(self) -> None:
        """Notes that a complete message has arrived."""
        self._heard_s, self._asked_s = time.monotonic(), None
        self._least_bytes, self._is_suspect = math.inf, False

    def look(self, is_awaited: bool) -> None:
        """Pings or gives up where due; to be called every WATCH_S.

        Args:
            is_awaited: whether a caller waits for a message of the engine, which has greeted.
        """
        self._look_at_growth()
        now_s = time.monotonic()
        if self._heard_s is None or not is_awaited:
            self._asked_s = None
        elif self._asked_s is None:
            if now_s - self._heard_s >= PING_S:
                self._asked_s = now_s
                self._ask()
        elif now_s - self._asked_s > ANSWER_S:
            self._give_up("it gives no sign of life")

    def _look_at_growth(self) -> None:
        held_bytes = resident_bytes()
        self._least_bytes = min(self._least_bytes, held_bytes)
        if held_bytes - self._least_bytes <= GROWTH_BYTES:
            return
        if self._is_suspect:
            self._give_up("it sends a message that has no end")
            return
        self._least_bytes, self._is_suspect = held_bytes, True
        self._ask()
