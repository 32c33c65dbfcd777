"""Complete sources in the spool, named and deleted in threads, since both can take long on a busy disk.

A source is deleted after the last job that reads it. Another upload may bring the same bytes just then, so
naming a source removes it from the list of those to be deleted.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from engine.state.spool import Spool


class SourceFiles:
    """The complete sources of a spool.

    Args:
        spool: holds the files.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._renaming = Lock()
        self._released: deque[tuple[int, str]] = deque()
        self._unneeded: set[str] = set()
        self._thread = ThreadPoolExecutor(1, "airband-drop")

    def name(self, part: Path, digest: str) -> None:
        """Gives a complete source its name; OSError if the disk refuses. Safe from any thread."""
        with self._renaming:
            self._unneeded.discard(digest)
            os.replace(part, self._spool.source(digest))
        self._spool.named("sources")

    def release(self, digest: str, change: int) -> None:
        """Notes that a job no longer needs a source, as the store's change number `change` records."""
        self._released.append((change, digest))

    def drop_released(self, synced: int, is_needed: Callable[[str], bool]) -> None:
        """Deletes released sources that nobody needs.

        Only as far as the store is `synced`: a job whose end a power failure undoes still finds its source.
        """
        while self._released and self._released[0][0] <= synced:
            digest = self._released.popleft()[1]
            if not is_needed(digest):
                self.drop(digest)

    def drop(self, digest: str) -> None:
        """Deletes an unneeded source, in a thread, unless it is named again before that."""
        self._unneeded.add(digest)
        self._thread.submit(self._drop, digest)

    def close(self) -> None:
        """Ends the thread, after its pending deletions."""
        self._thread.shutdown()

    def _drop(self, digest: str) -> None:
        with self._renaming:
            if digest in self._unneeded:
                self._unneeded.remove(digest)
                self._spool.drop_source(digest)
