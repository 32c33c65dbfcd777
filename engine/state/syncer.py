"""Makes changes of the store and files of the spool survive a power failure: in a thread, many at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from engine.state.spool import Spool
from engine.state.store import Store
from presets.errors import AirbandError

LAZY_S = 0.5
"""Seconds until changes are synced that no client waits for."""
RETRY_S = 0.5
"""The pause after a failed sync, in seconds."""

log = logging.getLogger("airband.engine")


def sync(store: Store, spool: Spool) -> None:
    """Syncs the names of the spool's files, then the rows that refer to them.

    Raises:
        OutputError: the disk refuses.
    """
    written = store.written
    spool.sync()
    store.sync(written)


class Syncer:
    """Syncs a store as soon as a client waits for that, or LAZY_S later; `Store.synced` tells how far it is.

    Args:
        store, spool: to be synced.
        wake: called from the thread after each sync.
    """

    def __init__(self, store: Store, spool: Spool, wake: Callable[[], None]) -> None:
        self._store, self._spool, self._wake = store, spool, wake
        self._thread = ThreadPoolExecutor(1, "airband-sync")
        self._running: Future[None] | None = None
        self._not_before_s = 0.0
        self._begun_s = time.monotonic()

    def start_when_due(self) -> None:
        """Starts a sync if one is due and none runs."""
        store, now_s = self._store, time.monotonic()
        is_free = self._running is None or self._running.done()
        is_waited_for = store.synced < store.promised
        is_due = is_waited_for or (store.synced < store.written and now_s - self._begun_s > LAZY_S)
        if is_free and is_due and now_s >= self._not_before_s:
            self._begun_s = now_s
            self._running = self._thread.submit(self._sync)

    def finish(self) -> None:
        """Waits until all changes are synced, or the sync has failed."""
        self._thread.submit(self._sync).result()

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown()

    def _sync(self) -> None:
        try:
            sync(self._store, self._spool)
        except AirbandError as error:
            log.error("clients are told nothing until this is on disk: %s", error.message)
            self._not_before_s = time.monotonic() + RETRY_S
        self._wake()
