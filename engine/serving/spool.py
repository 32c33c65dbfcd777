"""The files of an engine: sources as they came in, results under their content key, stems for their jobs.

    parts/JOB          a source that is still uploading
    sources/DIGEST     a complete one, shared by all jobs that sent these bytes; gone after the last
    results/KEY.pcm    what a render made (interleaved little-endian float32), with KEY.json, its report
    stems/JOB          the bytes a client fetches: planar float32, or an encoded file
    scratch/JOB.*      what a worker is writing

A file gets its final name only when its bytes are on the disk, so whatever bears one is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bridge.wire.messages import Audio
from presets.errors import BusyError, OutputError
from presets.report import RenderReport
from presets.schema import Preset

QUOTA_BYTES = 64 * 10**9
"""What a spool may hold unless told otherwise."""
RESERVE_BYTES = 256 * 1024**2
"""What the spool leaves free on its disk."""
DELIVERY_KNOBS = frozenset({"description", "format", "bit_depth", "dither"})
"""Knobs that change the file, not the samples that a render makes."""

log = logging.getLogger("airband.engine")


def content_key(digest: str, audio: Audio | None, params: Preset, facts: dict[str, str]) -> str:
    """The name of a result: equal keys mean equal samples.

    Args:
        digest: of the source's bytes.
        audio: how to read them when they are bare samples; None for a file, which says so itself.
        params: the preset with `model` resolved.
        facts: what else decides the samples: weights, engine version, dtype, device class.
    """
    knobs = {name: value for name, value in msgspec.to_builtins(params).items() if name not in DELIVERY_KNOBS}
    content = {"digest": digest, "audio": msgspec.to_builtins(audio), "knobs": knobs, "facts": facts}
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=32).hexdigest()


class Spool:
    """The spool of one state folder.

    Args:
        folder: made when it is not there.
        quota_bytes: the most it may hold; results go first, the oldest first.

    Raises:
        OutputError: no permission or no room.
    """

    def __init__(self, folder: Path, quota_bytes: int = QUOTA_BYTES) -> None:
        self.folder = folder
        self._quota_bytes = quota_bytes
        with write_errors_explained(folder):
            for name in ("parts", "sources", "results", "stems", "scratch"):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def part(self, job: str) -> Path:
        """Where a source uploads to."""
        return self.folder / "parts" / job

    def source(self, digest: str) -> Path:
        """A complete source."""
        return self.folder / "sources" / digest

    def stem(self, job: str) -> Path:
        """What `fetch` reads."""
        return self.folder / "stems" / job

    def result(self, key: str) -> Path:
        """The samples of a render."""
        return self.folder / "results" / f"{key}.pcm"

    def scratch(self, job: str, suffix: str) -> Path:
        """Where a worker writes before it knows that all went well."""
        return self.folder / "scratch" / f"{job}.{suffix}"

    def report(self, key: str) -> RenderReport | None:
        """The report of a finished render, or None: the result is not there. Marks it as used now."""
        path = self.result(key)
        try:
            report = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=RenderReport)
            os.utime(path)
        except (OSError, ValueError):
            return None
        return report

    def keep_result(self, key: str, written: Path, report: RenderReport) -> Path:
        """Gives a finished render its name; the report comes last and says that the samples are whole."""
        path = self.result(key)
        with write_errors_explained(self.folder):
            seal(written, path)
            note = written.with_suffix(".json")
            note.write_bytes(msgspec.json.encode(report))
            seal(note, path.with_suffix(".json"))
        return path

    def keep_stem(self, job: str, written: Path) -> Path:
        """Gives what a job's client will fetch its name."""
        with write_errors_explained(self.folder):
            seal(written, self.stem(job))
        return self.stem(job)

    def drop(self, job: str) -> None:
        """Deletes what only this job needs, as far as it got."""
        self.part(job).unlink(missing_ok=True)
        self.stem(job).unlink(missing_ok=True)
        self.drop_scratch(job)

    def drop_scratch(self, job: str) -> None:
        """Deletes what a worker left half-written."""
        for path in (self.folder / "scratch").glob(f"{job}.*"):
            path.unlink(missing_ok=True)

    def tidy(self, is_source_needed: Callable[[str], bool], is_job_known: Callable[[str], bool]) -> None:
        """Deletes what a killed engine left behind: half-written files, and those nobody asks for."""
        for name, wanted in (
            ("scratch", None),
            ("sources", is_source_needed),
            ("parts", is_job_known),
            ("stems", is_job_known),
        ):
            for path in (self.folder / name).iterdir():
                if wanted is None or not wanted(path.name):
                    path.unlink(missing_ok=True)

    def make_room(self, nbytes: int) -> None:
        """Makes sure that `nbytes` more fit, at the cost of cached results.

        Raises:
            OutputError: they never will.
            BusyError: not now.
        """
        if nbytes > self._quota_bytes:
            raise OutputError(f"{nbytes} bytes exceed the spool's quota of {self._quota_bytes}")
        over = nbytes - min(
            self._quota_bytes - self._used(), shutil.disk_usage(self.folder).free - RESERVE_BYTES
        )
        if over > 0:
            over -= self._evict(over)
        if over > 0:
            raise BusyError(
                f"the spool {self.folder} lacks {over} bytes for this; forget finished jobs (`airband jobs`) "
                "or make room on its disk",
                retry_s=30.0,
            )

    def evict_older(self, before_s: float) -> None:
        """Drops cached results that nobody used since that time (seconds since 1970)."""
        for path, stat in self._results():
            if stat.st_mtime < before_s:
                self._drop_result(path)

    def _evict(self, nbytes: int) -> int:
        freed = 0
        for path, stat in sorted(self._results(), key=lambda result: result[1].st_mtime):
            if freed >= nbytes:
                break
            self._drop_result(path)
            freed += stat.st_size
        return freed

    def _results(self) -> list[tuple[Path, os.stat_result]]:
        return [(path, path.stat()) for path in (self.folder / "results").glob("*.pcm")]

    def _drop_result(self, path: Path) -> None:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def _used(self) -> int:
        used = 0
        for folder in ("parts", "sources", "results", "stems", "scratch"):
            for entry in os.scandir(self.folder / folder):
                with suppress(FileNotFoundError):  # a worker renames its files while we look
                    used += entry.stat().st_size
        return used


def seal(written: Path, path: Path) -> None:
    """Gives a written file its final name once its bytes are on the disk."""
    with open(written, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(written, path)


@contextmanager
def write_errors_explained(where: Path) -> Iterator[None]:
    """Turns an OSError of a write into an OutputError that names the place."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{where}: {error.strerror or error}; make room or mend its permissions") from None


@contextmanager
def write_errors_logged(what: str, job: str) -> Iterator[None]:
    """Logs an OutputError and goes on: the state folder then holds the job's earlier state."""
    try:
        yield
    except OutputError as error:
        log.error("%s of job %s is not kept: %s", what, job, error)
