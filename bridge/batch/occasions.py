"""When to scan a watched folder: at the start, after changes, while a file settles, and at intervals."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

from bridge.batch.hot_folder import HotFolder

RESCAN_S = 5.0
"""The longest time between scans, in seconds: network drives do not report every change."""
POLL_S = 1.0
"""The time between scans where the system reports no changes, in seconds."""
BUSY_PAUSES, IDLE_PAUSES = 4, 20
"""The pause before the next scan, in multiples of the last scan's duration, while there are changes and while
there are none: a scan of 10,000 files takes half a second."""


def occasions(hot: HotFolder, settle_s: float, stop: Event | None = None) -> Iterator[None]:
    """Yields whenever the folder is due for a scan.

    Where the system cannot report changes (the folder is gone, a name in it is not UTF-8, or the limit of
    watches is reached), the folder is scanned every second until it can again.

    Args:
        hot: the folder.
        settle_s: how long its files must stay unchanged, in seconds.
        stop: when set, ends the iteration within a second.
    """
    from watchfiles import watch as changes

    step_s = min(max(settle_s / 2, 0.02), 1.0)
    while not (stop and stop.is_set()):
        yield
        looked_s, folder = time.monotonic(), _identity(hot.folder)
        with suppress(OSError, RuntimeError):
            told = changes(
                hot.folder,
                watch_filter=None,
                rust_timeout=int(1000 * step_s),
                yield_on_timeout=True,
                recursive=hot.recursive,
            )
            is_news = False
            with closing(told):
                for heard in told:
                    if stop and stop.is_set():
                        return
                    if _identity(hot.folder) != folder:  # replaced by another folder of that name
                        break
                    is_news |= bool(heard)
                    pause_s, busy = time.monotonic() - looked_s, is_news or hot.restless
                    due_s = BUSY_PAUSES * hot.look_s if busy else max(RESCAN_S, IDLE_PAUSES * hot.look_s)
                    if pause_s > due_s:
                        is_news = False
                        yield
                        looked_s = time.monotonic()
            continue
        time.sleep(max(step_s, POLL_S, BUSY_PAUSES * hot.look_s))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        about = os.stat(folder)
    except OSError:
        return None
    return about.st_dev, about.st_ino
