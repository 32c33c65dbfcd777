"""How long things are kept: ended jobs and their stems, stalled uploads, cached results."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor

from bridge.wire.messages import State
from engine.serving.clock import WallClock
from engine.serving.jobs import Jobs
from engine.serving.spool import Spool, write_errors_logged
from engine.serving.store import Store

RESULT_TTL_S = 7 * 24 * 3600.0
"""How long an ended job and its stem wait for their client, and an unused result stays cached."""
UPLOAD_TTL_S = 24 * 3600.0
"""How long an upload may lie still."""
DUE_S = 15.0
"""How often all this is looked at."""
FORGOTTEN_AT_ONCE = 100
"""Jobs forgotten in one turn of the loop, at 0.1 ms each; the rest follow the next time."""
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

log = logging.getLogger("airband.engine")


class Retention:
    """Applies the limits above while an engine runs; what grows with the spool is done in a thread."""

    def __init__(self, jobs: Jobs, store: Store, spool: Spool) -> None:
        self._jobs, self._store, self._spool = jobs, store, spool
        self._thread = ThreadPoolExecutor(1, "airband-retention")
        self._counting: Future[None] | None = None
        self._applied_s = time.monotonic()
        self._clock = WallClock(spool.folder / "clock.json")

    def apply_when_due(self) -> None:
        """Applies them if DUE_S have passed and the clock can be believed."""
        now_s = time.monotonic()
        if now_s - self._applied_s < DUE_S:
            return
        self._applied_s = now_s
        is_believed = self._clock.is_believed()
        if is_believed:
            self.apply()
        if self._counting is None or self._counting.done():
            self._counting = self._thread.submit(self._count, is_believed)

    def apply(self) -> None:
        """Forgets ended jobs and cancels stalled uploads that are too old."""
        now_s = time.time()
        for state in ENDED:
            for record in self._store.unchanged_since(state, now_s - RESULT_TTL_S, FORGOTTEN_AT_ONCE):
                with write_errors_logged("forgetting", record.job):
                    self._jobs.forget(record.job)
        for record in self._store.unchanged_since("uploading", now_s - UPLOAD_TTL_S, FORGOTTEN_AT_ONCE):
            part = self._spool.part(record.job)
            if not part.exists() or part.stat().st_mtime < now_s - UPLOAD_TTL_S:
                with write_errors_logged("cancelling", record.job):
                    self._jobs.cancel(record.job)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown()

    def _count(self, is_clock_believed: bool) -> None:
        if is_clock_believed:
            self._spool.evict_older(time.time() - RESULT_TTL_S)
        self._spool.count()
