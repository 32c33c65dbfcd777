"""What renders made, by all that decides their samples, until others want the room.

    results/XX/KEY.pcm   interleaved little-endian float32, with KEY.json, its report

XX are the first letters of the key: every job asks what is kept of its own, and a folder with thousands of
files takes as long to look through as a short clip to render. A result is whole when its digest is that of
its note.
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
"""Knobs that change the file, not the samples that a render makes."""
LETTERS = 2
"""Of a key, that name its folder: 256 folders."""
EVICTED_SHARE = 1 / 16
"""Of all results, at the least, where some go: to find the oldest all are looked through, and jobs of a spool
that is full would each do so."""

log = logging.getLogger("airband.engine")


class Note(msgspec.Struct, frozen=True):
    """What stands beside a result: its size, its digest (blake2b-256), and the render's own account."""

    nbytes: int
    digest: str
    report: RenderReport


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


class Results:
    """The results that one spool keeps. Files right in the folder are an earlier engine's: never found, and
    dropped in their turn.

    Args:
        folder: of the results; it is there.
        on_bytes: told how many bytes more there are when one is kept, and how many fewer, as a negative
            number, when some are dropped.
    """

    def __init__(self, folder: Path, on_bytes: Callable[[int], None]) -> None:
        self._folder, self._on_bytes = folder, on_bytes

    def path(self, key: str) -> Path:
        """The samples of a render."""
        return self._folder / key[:LETTERS] / f"{key}.pcm"

    def has(self, start: str) -> bool:
        """Whether results are kept whose keys begin so."""
        with suppress(OSError), os.scandir(self._folder / start[:LETTERS]) as entries:
            return any(entry.name.startswith(start) for entry in entries)
        return False

    def report(self, key: str) -> RenderReport | None:
        """The report of a finished render, or None without a whole one. Marks it as used now."""
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
        """Gives a finished render its name; the note with its report, size and digest comes last.

        They are not synced: a result that a loss of power leaves torn does not match its note.

        Raises:
            OutputError: it cannot be kept.
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
        """The bytes of all of them."""
        return sum(stat.st_size for _, stat in self._files(self._folder))

    def evict_older(self, before_s: float) -> None:
        """Drops what nobody used since that time (seconds since 1970)."""
        self._on_bytes(-sum(self._drop(path) for path, stat in self._samples() if stat.st_mtime < before_s))

    def evict(self, nbytes: int, spare: Path | None = None) -> int:
        """Drops all but `spare`, the oldest first, until `nbytes` are free or more; how many then are."""
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
                    with suppress(OSError):  # a worker renames its files while we look
                        yield entry.path, entry.stat()

    def _drop(self, path: Path) -> int:
        """Deletes a result and its note; what they weighed."""
        weight = 0
        for each in (path.with_suffix(".json"), path):
            with suppress(OSError):
                weight += each.stat().st_size
            remove(each)
        return weight
