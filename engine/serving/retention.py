"""How long ended jobs, their stems, stalled uploads, cached results and the log are kept."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from bridge.wire.messages import State
from engine.serving.jobs import Jobs
from engine.state.clock import WallClock
from engine.state.disk import shorten_log, write_errors_logged
from engine.state.spool import Spool
from engine.state.store import Store
from presets.errors import AirbandError

RESULT_TTL_S = 7 * 24 * 3600.0
"""How long an ended job and its stem wait for their client, and an unused result stays cached, in seconds."""
UPLOAD_TTL_S = 24 * 3600.0
"""How long an upload may stall, in seconds."""
DUE_S = 15.0
"""How often the limits are applied, in seconds."""
COUNT_S = 600.0
"""How often the spool is measured and its results and log are checked, in seconds."""
LOG_BYTES = 16 * 1024**2
"""Largest log of an engine that a client started."""
FORGOTTEN_AT_ONCE = 100
"""Jobs forgotten in one turn of the loop, at 0.1 ms each; the rest follow at the next time."""
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

log = logging.getLogger("airband.engine")


class Retention:
    """Applies these limits while an engine runs; work that grows with the spool is done in a thread."""

    def __init__(self, jobs: Jobs, store: Store, spool: Spool) -> None:
        self._jobs, self._store, self._spool = jobs, store, spool
        self._thread = ThreadPoolExecutor(1, "airband-retention")
        self._working: Future[None] | None = None
        self._applied_s = self._counted_s = time.monotonic()
        self._clock = WallClock(spool.folder / "clock.json")

    def apply_when_due(self) -> None:
        """Makes room if a job lacked it; every DUE_S applies the limits, if the clock can be trusted."""
        now_s = time.monotonic()
        if self._store.lacks_room:
            self._store.lacks_room = False
            self._spool.wanted_bytes = max(1, self._spool.wanted_bytes)
        is_free = self._working is None or self._working.done()
        if is_free and self._spool.wanted_bytes:
            self._working, is_free = self._thread.submit(self._make_room), False
        if now_s - self._applied_s < DUE_S:
            return
        self._applied_s = now_s
        self._jobs.let_uploads_lapse()
        is_believed = self._clock.is_believed()
        if is_believed:
            self.apply()
        if is_free and now_s - self._counted_s >= COUNT_S:
            self._counted_s = now_s
            self._working = self._thread.submit(self._count, is_believed)

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

    def _make_room(self) -> None:
        with suppress(AirbandError):  # whoever lacked room gets the error when it tries again
            self._spool.make_room(self._spool.wanted_bytes)

    def _count(self, is_clock_believed: bool) -> None:
        if is_clock_believed:
            self._spool.results.evict_older(time.time() - RESULT_TTL_S)
        self._spool.count()
        shorten_log(self._spool.folder.parent / "engine.log", LOG_BYTES)
