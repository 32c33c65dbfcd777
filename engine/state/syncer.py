"""Makes what the store wrote outlive a loss of power: in a thread, all changes of a while with one fsync."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from engine.state.store import Store
from presets.errors import AirbandError

RETRY_S = 0.5
"""The pause after a sync that failed."""

log = logging.getLogger("airband.engine")


class Syncer:
    """Syncs a store whenever there is something to sync; `Store.synced` tells how far it got.

    Args:
        store: what to sync.
        wake: called from the thread after each sync.
    """

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store, self._wake = store, wake
        self._thread = ThreadPoolExecutor(1, "airband-sync")
        self._running: Future[None] | None = None
        self._not_before_s = 0.0

    def start_when_due(self) -> None:
        """Starts a sync if something was written since the last and none runs."""
        is_free = self._running is None or self._running.done()
        if is_free and self._store.synced < self._store.written and time.monotonic() >= self._not_before_s:
            self._running = self._thread.submit(self._sync)

    def finish(self) -> None:
        """Waits until what was written is synced, or could not be."""
        self._thread.submit(self._sync).result()

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown()

    def _sync(self) -> None:
        try:
            self._store.sync()
        except AirbandError as error:
            log.error("nothing is told until the disk has it: %s", error.message)
            self._not_before_s = time.monotonic() + RETRY_S
        self._wake()
