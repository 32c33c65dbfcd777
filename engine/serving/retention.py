"""How long things are kept: ended jobs and their stems, stalled uploads, cached results."""

from __future__ import annotations

import time

from bridge.wire.messages import State
from engine.serving.jobs import Jobs
from engine.serving.spool import Spool, write_errors_logged
from engine.serving.store import Store

RESULT_TTL_S = 7 * 24 * 3600.0
"""How long an ended job and its stem wait for their client, and an unused result stays cached."""
UPLOAD_TTL_S = 24 * 3600.0
"""How long an upload may lie still."""
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


def apply_retention(jobs: Jobs, store: Store, spool: Spool) -> None:
    """Forgets ended jobs, cancels stalled uploads and deletes unused results that are too old."""
    now_s = time.time()
    for state in ENDED:
        for record in store.unchanged_since(state, now_s - RESULT_TTL_S):
            with write_errors_logged("forgetting", record.job):
                jobs.forget(record.job)
    for record in store.unchanged_since("uploading", now_s - UPLOAD_TTL_S):
        part = spool.part(record.job)
        if not part.exists() or part.stat().st_mtime < now_s - UPLOAD_TTL_S:
            with write_errors_logged("cancelling", record.job):
                jobs.cancel(record.job)
    spool.evict_older(now_s - RESULT_TTL_S)
