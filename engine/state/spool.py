"""The files of an engine: sources as they came in, results under their content key, stems for their jobs.

    parts/JOB          a source that is still uploading
    sources/DIGEST     a complete one, shared by all jobs that sent these bytes; gone after the last
    results/           what renders made, see `engine.state.results`
    stems/JOB          the bytes a client fetches: planar float32, or an encoded file
    scratch/JOB.*      what a worker is writing

A source and a stem get their names only when their bytes are on the disk, so whatever bears one is whole, and
the names follow with `sync`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from bridge.wire.messages import State
from engine.state.disk import remove, seal, sync_names, write_errors_explained
from engine.state.results import Results
from presets.errors import BusyError, OutputError

QUOTA_BYTES = 64 * 10**9
"""What a spool may hold unless told otherwise."""
RESERVE_BYTES = 256 * 1024**2
"""What the spool leaves free on its disk."""
FOLDERS = ("parts", "sources", "results", "stems", "scratch")
RETRY_S = 1.0
"""When to ask again for room that a full spool has not yet."""


class Spool:
    """The spool of one state folder.

    What it holds is counted by `tidy`, at an engine's start, then kept as a sum: `used_bytes` of results and
    stems, and what was promised to jobs: for their sources and, where these are bare samples, for all that
    will come of them. Only `tidy`, `count` and `make_room` take longer the more files there are.

    Attributes:
        results: what renders made.
        used_bytes: what results and stems weigh.
        wanted_bytes: room that was asked for in vain since `make_room`; 0 when none was.

    Args:
        folder: made when it is not there.
        quota_bytes: the most it may hold; results go first, the oldest first.
        on_results: told by how many bytes results grew here, or shrank.

    Raises:
        OutputError: no permission or no room.
    """

    def __init__(
        self,
        folder: Path,
        quota_bytes: int = QUOTA_BYTES,
        on_results: Callable[[int], None] = lambda nbytes: None,
    ) -> None:
        self.folder, self.quota_bytes = folder, quota_bytes
        self._on_results = on_results
        self._promised: dict[str, int] = {}
        self._promised_bytes = 0
        self._lock = Lock()
        self._named = {"sources", "stems"}
        """Folders with names that may not be on the disk yet."""
        self.used_bytes = 0
        self.wanted_bytes = 0
        with write_errors_explained(folder):
            for name in FOLDERS:
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.results = Results(folder / "results", self._add_results)

    def part(self, job: str) -> Path:
        """Where a source uploads to."""
        return self.folder / "parts" / job

    def source(self, digest: str) -> Path:
        """A complete source."""
        return self.folder / "sources" / digest

    def stem(self, job: str) -> Path:
        """What `fetch` reads."""
        return self.folder / "stems" / job

    def scratch(self, job: str, suffix: str) -> Path:
        """Where a worker writes before it knows that all went well."""
        return self.folder / "scratch" / f"{job}.{suffix}"

    def keep_stem(self, job: str, written: Path) -> Path:
        """Gives what a job's client will fetch its name."""
        with write_errors_explained(self.folder):
            seal(written, self.stem(job))
        return self.stem(job)

    def named(self, folder: str) -> None:
        """Says that a file of `sources` or `stems` got its name, before the store is told of it."""
        with self._lock:
            self._named.add(folder)

    def sync(self) -> None:
        """Makes all sources and stems that are `named` by now keep their names over a loss of power.

        Raises:
            OutputError: the disk refuses.
        """
        with self._lock:
            named, self._named = self._named, set()
        try:
            with write_errors_explained(self.folder):
                for name in sorted(named):
                    sync_names(self.folder / name)
        except OutputError:
            with self._lock:
                self._named |= named
            raise

    def drop(self, job: str) -> None:
        """Deletes what only this job needs, as far as it got."""
        remove(self.part(job))
        self._delete(self.stem(job))
        self.drop_scratch(job)

    def drop_source(self, digest: str) -> None:
        """Deletes a source that no job needs any more."""
        remove(self.source(digest))

    def scratch_bytes(self, job: str) -> int:
        """What lies half-written of a job."""
        found = 0
        for path in self._half_written(job):
            with suppress(OSError):
                found += path.lstat().st_size
        return found

    def drop_scratch(self, job: str) -> None:
        """Deletes what a worker left half-written."""
        for path in self._half_written(job):
            remove(path)

    def _half_written(self, job: str) -> list[Path]:
        """What lies in scratch of a job, by its name: a glob would compile a pattern for each job."""
        folder = self.folder / "scratch"
        with suppress(OSError):
            return [folder / name for name in os.listdir(folder) if name.startswith(f"{job}.")]
        return []

    def tidy(self, is_source_needed: Callable[[str], bool], state_of: Callable[[str], State | None]) -> None:
        """Deletes what a killed engine left behind, half-written files and those nobody asks for, and counts
        the rest.

        Args:
            is_source_needed: whether a job still reads the source of a digest.
            state_of: where a job stands; None for one that is not known.
        """
        wanted: dict[str, Callable[[str], bool]] = {
            "scratch": lambda name: False,
            "sources": is_source_needed,
            "parts": lambda job: state_of(job) == "uploading",
            "stems": lambda job: state_of(job) not in (None, "failed", "cancelled"),
        }
        for folder, is_wanted in wanted.items():
            for path in (self.folder / folder).iterdir():
                if not is_wanted(path.name):
                    remove(path)
        self.count()

    def promise(self, job: str, nbytes: int) -> None:
        """Sets `nbytes` aside for a job until `settle`.

        Raises:
            OutputError: they never will fit.
            BusyError: not now; `make_room` may change that.
        """
        self._check_quota(nbytes)
        lacking = nbytes - self.room()
        if lacking > 0:
            self.wanted_bytes = max(self.wanted_bytes, nbytes)
            raise self._full(lacking)
        self.set_aside(job, nbytes)

    def set_aside(self, job: str, nbytes: int) -> None:
        """As `promise`, for a job that was taken already."""
        self.settle(job)
        self._promised[job] = nbytes
        self._promised_bytes += nbytes

    def promised(self, job: str) -> int:
        """What is set aside for a job."""
        return self._promised.get(job, 0)

    def settle(self, job: str) -> int:
        """Sets nothing aside for a job any more; how much it was."""
        promised = self._promised.pop(job, 0)
        self._promised_bytes -= promised
        return promised

    def add(self, nbytes: int) -> None:
        """Counts what was added to results and stems, or taken away."""
        with self._lock:
            self.used_bytes += nbytes

    def _add_results(self, nbytes: int) -> None:
        self.add(nbytes)
        self._on_results(nbytes)

    def room(self) -> int:
        """How many bytes more fit, within the quota and on the disk, beside what was promised; may be < 0."""
        with write_errors_explained(self.folder):
            free = shutil.disk_usage(self.folder).free - RESERVE_BYTES
        return min(self.quota_bytes - self.used_bytes, free) - self._promised_bytes

    def make_room(self, nbytes: int) -> None:
        """Counts anew, and drops cached results, the oldest first, until `nbytes` more fit.

        Raises:
            OutputError: they never will.
            BusyError: not now.
        """
        self._check_quota(nbytes)
        self.wanted_bytes = 0
        self.count()
        lacking = nbytes - self.room()
        if lacking > 0 and (lacking := lacking - self.results.evict(lacking)) > 0:
            raise self._full(lacking)

    def count(self) -> None:
        """Counts what results and stems weigh."""
        used = self.results.weigh()
        with suppress(OSError), os.scandir(self.folder / "stems") as entries:
            for entry in entries:
                with suppress(OSError):
                    used += entry.stat().st_size
        with self._lock:
            self.used_bytes = used

    def _check_quota(self, nbytes: int) -> None:
        if nbytes > self.quota_bytes:
            raise OutputError(
                f"this job needs {nbytes} bytes in the spool, whose quota is {self.quota_bytes}; "
                "send less at a time, or give the engine a larger --quota",
                "spool",
            )

    def _full(self, lacking: int) -> BusyError:
        return BusyError(
            f"the spool {self.folder} lacks {lacking} bytes for this; forget finished jobs (`airband jobs`) "
            "or make room on its disk",
            retry_s=RETRY_S,
        )

    def _delete(self, path: Path) -> None:
        """Deletes a stem and counts it out: what a client frees is free for its next job."""
        with suppress(OSError):
            self.add(-path.stat().st_size)
        remove(path)
