"""Complete sources in the spool: named and deleted by threads, for a busy disk takes its time over either.

A source is deleted after the last job that reads it, and another upload may bring the same bytes just then:
whoever names a source takes it off the list of those that are to go.
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
        spool: where they lie.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._renaming = Lock()
        self._released: deque[tuple[int, str]] = deque()
        self._unneeded: set[str] = set()
        self._thread = ThreadPoolExecutor(1, "airband-drop")

    def name(self, part: Path, digest: str) -> None:
        """Gives a complete source its name; OSError where the disk refuses. From any thread."""
        with self._renaming:
            self._unneeded.discard(digest)
            os.replace(part, self._spool.source(digest))
        self._spool.named("sources")

    def release(self, digest: str, change: int) -> None:
        """Says that a job has no need of a source any more, as change number `change` of the store tells."""
        self._released.append((change, digest))

    def drop_released(self, synced: int, is_needed: Callable[[str], bool]) -> None:
        """Deletes what was released and nobody needs, as far as the store is `synced`: a job whose end a loss
        of power takes back still finds its source."""
        while self._released and self._released[0][0] <= synced:
            digest = self._released.popleft()[1]
            if not is_needed(digest):
                self.drop(digest)

    def drop(self, digest: str) -> None:
        """Deletes a source that no job needs, in a thread; not if it is named once more before that."""
        self._unneeded.add(digest)
        self._thread.submit(self._drop, digest)

    def close(self) -> None:
        """Ends the thread, once it has deleted what it was given."""
        self._thread.shutdown()

    def _drop(self, digest: str) -> None:
        with self._renaming:
            if digest in self._unneeded:
                self._unneeded.remove(digest)
                self._spool.drop_source(digest)
