"""Cached results of renders, by a key of all that decides their samples, until their room is needed.

    results/XX/KEY.pcm   interleaved little-endian float32, with KEY.json, its note

XX are the first letters of the key. Every job looks for a result of its own, and scanning a folder of
thousands of files takes as long as rendering a short clip. A result is complete if its digest matches its
note.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from bridge.wire.messages import Audio
from engine.state.disk import file_digest, remove, write_errors_explained
from presets.report import RenderReport
from presets.schema import Preset

DELIVERY_KNOBS = frozenset({"description", "format", "bit_depth", "dither"})
"""Knobs that change the file, but not the samples of a render."""
LETTERS = 2
"""How many letters of a key name its folder; two make 256 folders."""
EVICTED_SHARE = 1 / 16
"""Smallest share of all results to drop at a time: finding the oldest means scanning all of them, and with a
full spool every job would do so."""

log = logging.getLogger("airband.engine")


class Note(msgspec.Struct, frozen=True):
    """The note beside a result: its size, its digest (blake2b-256), and the render's report."""

    nbytes: int
    digest: str
    report: RenderReport


def content_key(digest: str, audio: Audio | None, params: Preset, facts: dict[str, str]) -> str:
    """The name of a result: equal keys mean equal samples.

    Args:
        digest: of the source's bytes.
        audio: their layout if they are bare samples; None for a file, which has a header.
        params: the preset, with `model` resolved.
        facts: all else that decides the samples: weights, engine version, dtype, device class.
    """
    knobs = {name: value for name, value in msgspec.to_builtins(params).items() if name not in DELIVERY_KNOBS}
    content = {"digest": digest, "audio": msgspec.to_builtins(audio), "knobs": knobs, "facts": facts}
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=32).hexdigest()


class Results:
    """The results in one spool.

    Files directly in the folder come from an earlier engine: they are never found, and dropped in their turn.

    Args:
        folder: holds the results; it must exist.
        on_bytes: called with the number of bytes added when a result is kept, and with a negative number when
            some are dropped.
    """

    def __init__(self, folder: Path, on_bytes: Callable[[int], None]) -> None:
        self._folder, self._on_bytes = folder, on_bytes

    def path(self, key: str) -> Path:
        """The file for the samples of a render."""
        return self._folder / key[:LETTERS] / f"{key}.pcm"

    def has(self, start: str) -> bool:
        """Whether there are results whose keys begin with `start`."""
        with suppress(OSError), os.scandir(self._folder / start[:LETTERS]) as entries:
            return any(entry.name.startswith(start) for entry in entries)
        return False

    def report(self, key: str) -> RenderReport | None:
        """The report of a finished render, and None if it is missing or damaged. Marks it as used now."""
        path = self.path(key)
        try:
            note = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Note)
            is_whole = note.nbytes == path.stat().st_size and note.digest == file_digest(path)
            os.utime(path)
        except (OSError, msgspec.DecodeError):
            return None
        if not is_whole:
            log.warning("the result %s is damaged and is rendered again", path)
            self._on_bytes(-self._drop(path))
            return None
        return note.report

    def keep(self, key: str, written: Path, report: RenderReport) -> Path:
        """Gives a finished render its name, and then its note with report, size and digest.

        The files are not synced: a result damaged by a power failure does not match its note.

        Raises:
            OutputError: it cannot be stored.
        """
        path = self.path(key)
        with write_errors_explained(self._folder):
            nbytes = written.stat().st_size
            content = msgspec.json.encode(Note(nbytes, file_digest(written), report))
            path.parent.mkdir(mode=0o700, exist_ok=True)
            os.replace(written, path)
            note = written.with_suffix(".json")
            note.write_bytes(content)
            os.replace(note, path.with_suffix(".json"))
        self._on_bytes(nbytes + len(content))
        return path

    def weigh(self) -> int:
        """Size of all results, in bytes."""
        return sum(stat.st_size for _, stat in self._files(self._folder))

    def evict_older(self, before_s: float) -> None:
        """Drops results that nobody has used since that time (seconds since 1970)."""
        self._on_bytes(-sum(self._drop(path) for path, stat in self._samples() if stat.st_mtime < before_s))

    def evict(self, nbytes: int, spare: Path | None = None) -> int:
        """Drops results except `spare`, oldest first, until `nbytes` are freed or more; returns how many."""
        freed, dropped, found = 0, 0, sorted(self._samples(), key=lambda result: result[1].st_mtime)
        wanted = max(nbytes, EVICTED_SHARE * sum(stat.st_size for _, stat in found))
        for path, stat in found:
            if freed >= wanted:
                break
            if path == spare:
                continue
            dropped += self._drop(path)
            freed += stat.st_size
        self._on_bytes(-dropped)
        return freed

    def _samples(self) -> Iterator[tuple[Path, os.stat_result]]:
        return ((Path(path), stat) for path, stat in self._files(self._folder) if path.endswith(".pcm"))

    def _files(self, folder: os.PathLike[str] | str) -> Iterator[tuple[str, os.stat_result]]:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._files(entry.path)
                else:
                    with suppress(OSError):  # a worker may rename its files meanwhile
                        yield entry.path, entry.stat()

    def _drop(self, path: Path) -> int:
        """Deletes a result and its note; returns their size."""
        weight = 0
        for each in (path.with_suffix(".json"), path):
            with suppress(OSError):
                weight += each.stat().st_size
            remove(each)
        return weight
