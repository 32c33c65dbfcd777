"""When an engine is asked for a sign of life, and when it has given none.

libzmq's own heartbeats end the process, by an assertion, where one is due on a connection that the engine has
closed while messages waited: after a laptop has slept. A ping is a message like any other here, so that its
answer also shows that the engine is not within a message that has no end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bridge.wire.resident import resident_bytes

WATCH_S = 0.1
"""How often to look; libzmq takes in about 1 GB/s over ipc."""
PING_S, ANSWER_S = 5.0, 15.0
"""After how long a silence an engine that is waited for is pinged, and how long it may owe the answer."""
GROWTH_BYTES = 128 * 1024**2
"""By how much this process may grow while no message comes whole before the engine is pinged, and by how much
again before it is given up. An engine answers within milliseconds: few programs grow as fast."""


class SignOfLife:
    """Watches over one engine; for the thread that reads its messages.

    Args:
        ask: sends a ping.
        give_up: takes the reason why the engine is not waited for any more.
    """

    def __init__(self, ask: Callable[[], None], give_up: Callable[[str], None]) -> None:
        self._ask, self._give_up = ask, give_up
        self._heard_s: float | None = None
        """When the last message came."""
        self._asked_s: float | None = None
        """When the engine was pinged that has said nothing since, for its silence."""
        self._least_bytes = math.inf
        """What this process held at the least since the last message, or since the ping for its growth."""
        self._is_suspect = False

    def heard(self) -> None:
        """A message has come whole."""
        self._heard_s, self._asked_s = time.monotonic(), None
        self._least_bytes, self._is_suspect = math.inf, False

    def look(self, is_awaited: bool) -> None:
        """Asks or gives up where that is due; to be called every WATCH_S.

        Args:
            is_awaited: whether somebody waits for what the engine, which has greeted, will say.
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
