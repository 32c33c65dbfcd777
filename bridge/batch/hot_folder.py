"""A watched folder: finds, at each scan, the files that are complete and not yet rendered.

What is done is recorded in the results' sidecars, so a watcher that was killed continues where it was. A file
counts as complete once its size and time have not changed for a while. A complete file that the engine cannot
read is reported once, and tried again when it changes. Nothing is deleted: results of deleted files stay.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import presets
from bridge.batch.owner import is_ours, rivals
from bridge.batch.plan import Item, in_folder
from bridge.batch.run import FORCE, Event, Order, run
from bridge.batch.sources import check_source, listed, unlisted
from bridge.client.model_choice import choose
from bridge.client.renderer import Renderer
from presets.errors import AirbandError, EngineError, OutputError, UsageError
from presets.schema import Preset

PRESET_FILE = "airband.toml"
"""A preset in a folder: for its files, and for those of subfolders without a preset of their own."""


@dataclass(frozen=True, slots=True)
class Look:
    """A file's appearance, its preset, and another source (`rival`) that would become the same result."""

    size: int
    changed_ns: int
    inode: int
    preset: Preset | None = None
    rival: Path | None = None


@dataclass(slots=True)
class FileState:
    """The last look at a file; its destination (None: it cannot have one); since when both are unchanged
    (monotonic seconds); and whether the file was dealt with in this state."""

    look: Look
    out: Path | None
    since_s: float
    over: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A complete file to render; `force` if the result replaces an earlier one."""

    item: Item
    preset: Preset
    preset_name: str
    force: bool


class HotFolder:
    """A watched folder.

    Attributes:
        look_s: how long the last scan took, in seconds.

    Args:
        folder: the folder to watch.
        out: the folder for results; never scanned.
        preset, preset_name: for files in folders without a preset file.
        recursive: watch subfolders too; their results lie in the same subfolders of `out`.
        settle_s: how long a file must stay unchanged, in seconds.

    Raises:
        UsageError: the folder does not exist, `out` is a file, or results would lie among the sources.
    """

    def __init__(
        self,
        folder: Path,
        out: Path,
        preset: Preset,
        preset_name: str,
        *,
        recursive: bool = False,
        settle_s: float = 1.0,
    ) -> None:
        if not os.path.isdir(folder):
            raise UsageError(f"{folder}: no such folder", "folder")
        if os.path.exists(out) and not os.path.isdir(out):
            raise UsageError(f"{out}: is a file; results need a folder", "out")
        if os.path.realpath(out) == os.path.realpath(folder):
            raise UsageError(f"{out}: is the folder under watch; results need another", "out")
        self.folder, self.out = folder, out
        self._given = (preset, preset_name)
        self.recursive, self._settle_s = recursive, settle_s
        self._seen: dict[Path, FileState] = {}
        self._presets: dict[Path, tuple[Look, Preset | None]] = {}
        self._unlisted: set[str] = set()
        self.look_s = 0.0

    @property
    def restless(self) -> bool:
        """Whether some file has changed too recently, or was not yet dealt with."""
        return any(not state.over for state in self._seen.values())

    def scan(self, now_s: float) -> Iterator[Ready | Event]:
        """Scans the folder. Yields files to render, and new errors: of preset files, and of folders that can
        no longer be listed.

        Args:
            now_s: the time, monotonic.
        """
        began_s = time.monotonic()
        there: dict[Path, Look] = {}
        of_folder: dict[Path, tuple[Preset | None, str]] = {}
        closed: list[OSError] = []
        for source in listed(self.folder, self.out, self.recursive, closed.append):
            if (folder := source.parent) not in of_folder:
                try:
                    of_folder[folder] = self._preset_for(folder)
                except AirbandError as error:
                    of_folder[folder] = (None, "")
                    yield Event(Item(Path(error.field or ""), self.out), "failed", error=error)
            preset = of_folder[folder][0]
            if preset is not None and (look := _look(source, preset)) is not None:
                there[source] = look
        refusals = [unlisted(problem, self.folder) for problem in closed]
        for refusal in refusals:
            if refusal.message not in self._unlisted:
                yield Event(Item(Path(refusal.field or ""), self.out), "failed", error=refusal)
        self._unlisted = {refusal.message for refusal in refusals}
        outs = {source: self._out_of(source, look) for source, look in there.items()}
        rival = rivals({source: out for source, out in outs.items() if out is not None})
        for source, look in there.items():
            if source in rival:
                look = replace(look, rival=rival[source])
            seen = self._seen.get(source)
            if seen is None or seen.look != look:
                self._seen[source] = FileState(look, outs[source], now_s)
            elif not seen.over and now_s - seen.since_s >= self._settle_s:
                try:
                    item = self._item(source, look)
                except AirbandError as error:
                    seen.over = True
                    yield Event(Item(source, self.out), "failed", error=error)
                else:
                    assert look.preset is not None
                    yield Ready(item, look.preset, of_folder[source.parent][1], is_ours(item))
        self._seen = {source: state for source, state in self._seen.items() if source in there}
        self.look_s = time.monotonic() - began_s

    def over(self, source: Path) -> None:
        """Marks a file as dealt with, whatever the outcome: it is ignored until it changes."""
        if source in self._seen:
            self._seen[source].over = True

    def changed(self, source: Path) -> bool:
        """Whether a file looks different from when it was last scanned; the next scan takes it as new."""
        seen = self._seen.get(source)
        now = _look(source)
        return seen is None or now != replace(seen.look, preset=None, rival=None)

    def _item(self, source: Path, look: Look) -> Item:
        check_source(source)
        assert look.preset is not None
        out = self._out(source, look.preset)
        if look.rival is not None:
            reason = f"{source} and {look.rival} would both become {out}; rename or move one of them"
            raise UsageError(reason, str(source))
        return Item(source, out)

    def _out(self, source: Path, preset: Preset) -> Path:
        return in_folder(source, self.out / source.parent.relative_to(self.folder), preset)

    def _out_of(self, source: Path, look: Look) -> Path | None:
        """A file's destination; None for a format that has none, which is reported when its turn comes."""
        seen = self._seen.get(source)
        if seen is not None and seen.look.preset is look.preset:
            return seen.out
        assert look.preset is not None
        with suppress(UsageError):
            return self._out(source, look.preset)
        return None

    def _preset_for(self, folder: Path) -> tuple[Preset | None, str]:
        """The preset for a folder's files; None if its file is damaged, which raises the first time."""
        while True:
            path = folder / PRESET_FILE
            if (look := _look(path)) is not None:
                known = self._presets.get(path)
                if known is None or known[0] != look:
                    self._presets[path] = (look, None)
                    try:
                        self._presets[path] = (look, presets.load(str(path)))
                    except AirbandError as error:
                        error.field = str(path)
                        raise
                return self._presets[path][1], folder.resolve().name
            if folder == self.folder:
                return self._given
            folder = folder.parent


def rounds(hot: HotFolder, renderer: Renderer) -> Generator[Event]:
    """Scans the folder once and renders what it found; close the iterator to cancel.

    Files that vanish before they are read are ignored.

    Raises:
        EngineError: the engine went away and did not come back.
    """
    orders: list[tuple[Order, list[Item]]] = []
    for found in list(hot.scan(time.monotonic())):
        if isinstance(found, Event):
            yield found
            continue
        try:
            order = Order(
                found.preset, found.preset_name, choose(found.preset.model, renderer.models), found.force
            )
        except EngineError:
            raise
        except AirbandError as error:
            hot.over(found.item.source)
            yield Event(found.item, "failed", error=error)
            continue
        if not orders or orders[-1][0] != order:
            orders.append((order, []))
        orders[-1][1].append(found.item)
    for order, items in orders:
        with closing(run(renderer, items, order)) as events:
            for event in events:
                if event.what == "failed" and (hot.changed(event.item.source) or not _counts(event, order)):
                    continue
                if event.what != "progress":
                    hot.over(event.item.source)
                yield _without_force(event)


def _without_force(event: Event) -> Event:
    """The event, with other advice than --force, which `watch` lacks: it replaces only its own results."""
    error = event.error
    if not isinstance(error, OutputError) or not error.message.endswith(FORCE):
        return event
    reason = error.message.removesuffix(FORCE)
    way_out = "a watch replaces its own results alone: move that file away, then save the source again"
    return replace(event, error=OutputError(reason + way_out, error.field))


def _counts(failed: Event, order: Order) -> bool:
    """False for a file that is gone, and for one whose result appeared while it was being rendered.

    Such a result comes from a job that a killed watcher left behind; the next scan replaces it.
    """
    overtaken = isinstance(failed.error, OutputError) and not order.force and is_ours(failed.item)
    return os.path.exists(failed.item.source) and not overtaken


def _look(path: Path, preset: Preset | None = None) -> Look | None:
    try:
        about = path.stat()
    except OSError:
        try:
            about = path.lstat()  # a broken link is reported too
        except OSError:
            return None
    return Look(about.st_size, about.st_mtime_ns, about.st_ino, preset)
