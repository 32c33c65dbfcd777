"""The files of an engine: uploaded sources, results under their content key, stems for their jobs.

    parts/JOB          a source that is still uploading
    sources/DIGEST     a complete one, shared by all jobs that sent these bytes; deleted after the last
    results/           cached results of renders, see `engine.state.results`
    stems/JOB          the bytes a client fetches: planar float32, or an encoded file
    scratch/JOB.*      files that a worker is writing

A source or stem gets its name only once its bytes are on disk, so a file under such a name is complete;
`sync` makes the names durable.
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
"""The default limit for a spool."""
RESERVE_BYTES, RESERVE_SHARE = 256 * 1024**2, 1 / 16
"""Disk space that the spool leaves free: so many bytes, but no larger share of a small disk."""
FOLDERS = ("parts", "sources", "results", "stems", "scratch")
RETRY_S = 1.0
"""Seconds after which to ask a full spool again for room."""


class Spool:
    """The spool of one state folder.

    `tidy` measures what it holds when an engine starts; after that, sums are kept: `used_bytes` of results
    and stems, and the room promised to jobs, for their sources and, if these are bare samples, for all that
    they will write. Only `tidy`, `count` and `make_room` take longer the more files there are.

    Attributes:
        results: the cached results.
        used_bytes: size of results and stems.
        wanted_bytes: room that was refused since `make_room`; 0 if none was.

    Args:
        folder: created if missing.
        quota_bytes: the most that it may hold; results are dropped for room, the oldest first.
        on_results: called with the change in the size of the results.

    Raises:
        OutputError: no permission, or no room.
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
        """Folders whose file names may not be durable yet."""
        self.used_bytes = 0
        self.wanted_bytes = 0
        with write_errors_explained(folder):
            for name in FOLDERS:
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.results = Results(folder / "results", self._add_results)

    def part(self, job: str) -> Path:
        """The file that a source uploads to."""
        return self.folder / "parts" / job

    def source(self, digest: str) -> Path:
        """The file of a complete source."""
        return self.folder / "sources" / digest

    def stem(self, job: str) -> Path:
        """The file that `fetch` reads."""
        return self.folder / "stems" / job

    def scratch(self, job: str, suffix: str) -> Path:
        """A file that a worker writes, for as long as its job may still fail."""
        return self.folder / "scratch" / f"{job}.{suffix}"

    def keep_stem(self, job: str, written: Path) -> Path:
        """Gives the stem for a job's client its name."""
        with write_errors_explained(self.folder):
            seal(written, self.stem(job))
        return self.stem(job)

    def named(self, folder: str) -> None:
        """Notes that a file of `sources` or `stems` got its name; call it before the store records that."""
        with self._lock:
            self._named.add(folder)

    def sync(self) -> None:
        """Makes the names of all sources and stems that were `named` survive a power failure.

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
        """Deletes all files that only this job needs."""
        remove(self.part(job))
        self._delete(self.stem(job))
        self.drop_scratch(job)

    def drop_source(self, digest: str) -> None:
        """Deletes a source that no job needs any more."""
        remove(self.source(digest))

    def scratch_bytes(self, job: str) -> int:
        """Size of a job's half-written files."""
        found = 0
        for path in self._half_written(job):
            with suppress(OSError):
                found += path.lstat().st_size
        return found

    def drop_scratch(self, job: str) -> None:
        """Deletes the half-written files of a job."""
        for path in self._half_written(job):
            remove(path)

    def _half_written(self, job: str) -> list[Path]:
        """The half-written files of a job, found by prefix: a glob would compile a pattern for each job."""
        folder = self.folder / "scratch"
        with suppress(OSError):
            return [folder / name for name in os.listdir(folder) if name.startswith(f"{job}.")]
        return []

    def tidy(self, is_source_needed: Callable[[str], bool], state_of: Callable[[str], State | None]) -> None:
        """Deletes half-written and unneeded files that a killed engine left behind, and measures the rest.

        Args:
            is_source_needed: whether a job still reads the source with that digest.
            state_of: the state of a job; None if it is not known.
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
            OutputError: they can never fit, or do not fit though the spool is empty.
            BusyError: they do not fit now; `make_room` may change that.
        """
        self._check_quota(nbytes)
        if nbytes > self.room():
            self.wanted_bytes = max(self.wanted_bytes, nbytes)
            raise self._full(nbytes)
        self.set_aside(job, nbytes)

    def set_aside(self, job: str, nbytes: int) -> None:
        """As `promise`, for a job that was already accepted; never refuses."""
        self.settle(job)
        self._promised[job] = nbytes
        self._promised_bytes += nbytes

    def promised(self, job: str) -> int:
        """The room set aside for a job."""
        return self._promised.get(job, 0)

    def settle(self, job: str) -> int:
        """Releases the room set aside for a job; returns how much it was."""
        promised = self._promised.pop(job, 0)
        self._promised_bytes -= promised
        return promised

    def add(self, nbytes: int) -> None:
        """Counts bytes added to results and stems, or removed from them."""
        with self._lock:
            self.used_bytes += nbytes

    def _add_results(self, nbytes: int) -> None:
        self.add(nbytes)
        self._on_results(nbytes)

    def room(self) -> int:
        """How many more bytes fit, within quota and disk, in addition to the promises; may be negative."""
        free, kept = self._disk()
        return min(self.quota_bytes - self.used_bytes, free - kept) - self._promised_bytes

    @property
    def is_empty(self) -> bool:
        """Whether it holds no result and no stem, and promised no room: nothing in it can make any."""
        return self.used_bytes == 0 and self._promised_bytes == 0

    def shortage(self, nbytes: int) -> str:
        """Why a job that writes `nbytes` does not fit, and the way out."""
        free, kept = self._disk()
        needs = f"this job needs {nbytes / 1e6:.1f} MB"
        if nbytes > free - kept:
            way_out = "make room on its disk, or choose another --state"
            if any((self.folder / "stems").iterdir()):
                way_out = f"forget finished jobs (`airband forget all`), {way_out}"
            return (
                f"{free / 1e6:.1f} MB are free in {self.folder}, {needs} and {kept / 1e6:.1f} MB are kept "
                f"free; {way_out}"
            )
        return (
            f"{needs}, and {self.folder} has less room left by its quota and what other jobs need; forget "
            "finished jobs (`airband forget all`), or give the engine a larger --quota"
        )

    def _disk(self) -> tuple[int, int]:
        """How many bytes are free on the disk, and how many of them the spool leaves free."""
        with write_errors_explained(self.folder):
            disk = shutil.disk_usage(self.folder)
        return disk.free, int(min(RESERVE_BYTES, RESERVE_SHARE * disk.total))

    def make_room(self, nbytes: int) -> None:
        """Measures again, and drops cached results, the oldest first, until `nbytes` more fit.

        Raises:
            OutputError, BusyError: as `promise` does.
        """
        self._check_quota(nbytes)
        self.wanted_bytes = 0
        self.count()
        lacking = nbytes - self.room()
        if lacking > 0 and self.results.evict(lacking) < lacking:
            raise self._full(nbytes)

    def count(self) -> None:
        """Measures the size of results and stems."""
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

    def _full(self, nbytes: int) -> OutputError | BusyError:
        why = self.shortage(nbytes)
        return OutputError(why, "spool") if self.is_empty else BusyError(why, retry_s=RETRY_S)

    def _delete(self, path: Path) -> None:
        """Deletes a stem and subtracts its size, so that a client's next job can use the room."""
        with suppress(OSError):
            self.add(-path.stat().st_size)
        remove(path)
