"""Metrics of an engine, for monitoring."""

from __future__ import annotations

from dataclasses import dataclass

from engine.serving.jobs import Jobs
from engine.state.spool import Spool
from engine.state.store import Store


@dataclass(frozen=True, slots=True)
class Figures:
    """Metrics of an engine; `ended` and `render_s` count from its start."""

    ended: dict[str, int]
    render_s: float
    unfinished: int
    waiting: int
    workers: int
    sessions: int
    spool_used_bytes: int
    spool_quota_bytes: int


def figures(jobs: Jobs, store: Store, spool: Spool, workers: int, sessions: int) -> Figures:
    """The metrics of an engine with so many workers and connected clients."""
    return Figures(
        dict(jobs.runs.ended),
        jobs.runs.render_s,
        store.unfinished(),
        jobs.runs.waiting,
        workers,
        sessions,
        spool.used_bytes,
        spool.quota_bytes,
    )
