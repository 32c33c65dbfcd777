"""Whether ages can be told: the wall clock is compared with the steady one, from one engine to the next.

Ages are taken from the wall clock, because they outlive processes and boots. Once somebody sets it, all looks
older or younger than it is: ages are then not believed until DOUBT_S have passed on the steady clock.
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
"""The two clocks may drift apart by this."""
DOUBT_S = 3600.0

log = logging.getLogger("airband.engine")


class ClockState(msgspec.Struct, frozen=True):
    """What one engine leaves for the next.

    Attributes:
        boot: the boot that the steady clock counts from; across boots nothing can be compared.
        offset_s: wall clock minus steady clock.
        doubted_until_s: on the steady clock.
    """

    boot: str
    offset_s: float
    doubted_until_s: float = 0.0


class WallClock:
    """Notices when the wall clock is set.

    Args:
        path: keeps what is known for the next engine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        now = ClockState(boot_id(), time.time() - steady_s())
        known = self._recall()
        self._known = known if known is not None and known.boot == now.boot != "" else now
        self.is_believed()

    def is_believed(self) -> bool:
        """Whether it was left alone for the last DOUBT_S."""
        now_s = steady_s()
        jump_s = time.time() - now_s - self._known.offset_s
        if abs(jump_s) > JUMP_S:
            log.warning("the clock was set %+.0f s; nothing is forgotten for its age for an hour", jump_s)
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
    """Seconds that nobody can set; where the system tells, those it slept through count too."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
