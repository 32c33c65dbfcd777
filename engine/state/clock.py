"""Whether ages can be trusted: compares the wall clock with the steady clock, also across engines.

Ages are measured with the wall clock, because they outlast processes and boots. Once somebody sets that
clock, everything looks older or younger than it is; ages are then not trusted until DOUBT_S have passed on
the steady clock.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import msgspec

from bridge.wire.private_files import parse_private, read_private, write_private
from bridge.wire.process_birth import boot_id
from presets.errors import EngineError

JUMP_S = 60.0
"""How far the two clocks may drift apart, in seconds."""
DOUBT_S = 3600.0

log = logging.getLogger("airband.engine")


class ClockState(msgspec.Struct, frozen=True):
    """The state that one engine leaves for the next.

    Attributes:
        boot: the id of the boot; offsets of different boots cannot be compared.
        offset_s: wall clock minus steady clock.
        doubted_until_s: ages are not trusted until this time on the steady clock.
    """

    boot: str
    offset_s: float
    doubted_until_s: float = 0.0


class WallClock:
    """Notices when the wall clock is set.

    Args:
        path: the file that keeps the state for the next engine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        now = ClockState(boot_id(), time.time() - steady_s())
        known = self._recall()
        self._known = known if known is not None and known.boot == now.boot != "" else now
        self.is_believed()

    def is_believed(self) -> bool:
        """Whether nobody has set it in the last DOUBT_S."""
        now_s = steady_s()
        jump_s = time.time() - now_s - self._known.offset_s
        if abs(jump_s) > JUMP_S:
            log.warning("the clock was set by %+.0f s; nothing expires by age for an hour", jump_s)
            self._known = ClockState(self._known.boot, time.time() - now_s, now_s + DOUBT_S)
            self._keep()
        elif not self._path.exists():
            self._keep()
        return now_s >= self._known.doubted_until_s

    def _recall(self) -> ClockState | None:
        try:
            content = read_private(self._path, secret=False)
            return None if content is None else parse_private(content, ClockState, self._path)
        except EngineError:
            return None

    def _keep(self) -> None:
        try:
            write_private(self._path, self._known)
        except EngineError as error:
            log.error("%s", error.message)


def steady_s() -> float:
    """Seconds on a clock that nobody can set; where the system allows it, they include time asleep."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
