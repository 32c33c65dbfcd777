"""A watch folder or a batch that was started from a page: a thread that does what the command does.

What is done stands in the sidecars of the results: one that is started again goes on from there.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec

import presets
from bridge.batch.hot_folder import HotFolder, rounds
from bridge.batch.manifest.rows import Row, plan_rows, read
from bridge.batch.occasions import occasions
from bridge.batch.plan import Item
from bridge.batch.run import Event, Order, Task, run_tasks
from bridge.batch.takes import judged
from bridge.client.model_choice import choose
from bridge.client.request import label
from bridge.console.command_line import batch_command, is_manifest, watch_command
from bridge.console.engine_line import EngineLine
from presets import schema
from presets.errors import AirbandError, EngineError

log = logging.getLogger("airband.console")

EVENTS_MAX = 2000
"""Ends of items that are kept for the report; of a longer batch, the latest."""
SENTENCES_SHOWN = 20
"""Failures, and verdicts on takes, that a page is told: the latest."""
SETTLE_S = 1.0
ENGINE_S = 2.0
"""How long to wait before an engine that was gone is looked for again."""

State = Literal["running", "paused", "done", "failed"]


class BatchAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page asks.

    Attributes:
        kind: `watch` a folder, or `render` a manifest or folder once.
        source, out: paths.
        preset, knobs: for what names none itself.
        recursive: look into subfolders.
    """

    kind: Literal["watch", "render"]
    source: str
    out: str
    preset: str = "music"
    knobs: dict[str, Any] = {}
    recursive: bool = False

    @property
    def command(self) -> str:
        """The command line that does the same."""
        made = watch_command if self.kind == "watch" else batch_command
        return made(self.source, self.out, self.preset, self.knobs, recursive=self.recursive)


class Kept(msgspec.Struct, frozen=True):
    """A batch as its file keeps it."""

    id: str
    asked: BatchAsked
    state: State


class Batch:
    """A watch folder or a batch, under way or not.

    Args:
        kept: what it is.
        line: to the engine.
        changed: called when its state changes.
    """

    def __init__(self, kept: Kept, line: EngineLine, changed: Callable[[], None]) -> None:
        self.id, self.asked, self.state = kept.id, kept.asked, kept.state
        self._line, self._changed = line, changed
        self._turn = threading.Lock()  # of pages that act at the same moment
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.events: dict[Item, Event] = {}
        self._verdicts: dict[Path, str] = {}
        self.total = 0
        self.why = ""

    def start(self) -> None:
        """Goes on, from where the results are; one that is under way is left alone."""
        with self._turn:
            if self.state == "running" and self._thread is not None and self._thread.is_alive():
                return
            self._stop = threading.Event()
            self.state, self.why = "running", ""
            self._thread = threading.Thread(target=self._run, args=(self._stop,), daemon=True)
            self._thread.start()
        self._changed()

    def pause(self) -> None:
        """Calls off what is queued or running, and waits for that; what is finished stays."""
        with self._turn:
            self._stop.set()
            if self._thread is not None:
                self._thread.join(10)
            if self.state == "running":
                self.state = "paused"
        self._changed()

    def check(self) -> None:
        """Raises UsageError or InputError for what could never run."""
        if self.asked.kind == "watch":
            self._folder()
        else:
            self._planned()

    def told(self) -> dict[str, Any]:
        """What a page shows of it."""
        ends = list(self.events.values())  # more may end meanwhile
        verdicts = list(self._verdicts.items())
        counts = Counter(event.what for event in ends)
        failures = [
            {"source": str(event.item.source), "why": str(event.error)}
            for event in ends
            if event.what == "failed"
        ]
        return {
            "id": self.id,
            "kind": self.asked.kind,
            "source": self.asked.source,
            "out": self.asked.out,
            "state": self.state,
            "why": self.why,
            "total": self.total,
            "counts": {name: counts[name] for name in ("done", "skipped", "failed")},
            "failures": failures[-SENTENCES_SHOWN:],
            "takes": [f"{out.name}: {why}" for out, why in verdicts[-SENTENCES_SHOWN:]],
            "command": self.asked.command,
        }

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                with closing(self._looks(stop) if self.asked.kind == "watch" else self._once()) as events:
                    for event in events:
                        if event.what != "progress":
                            self._keep(event)
                        if stop.is_set():
                            return
            except EngineError as error:  # it goes on when the engine is back
                self.why = error.message
                stop.wait(ENGINE_S)
                continue
            except AirbandError as error:
                self.state, self.why = "failed", error.message
                self._changed()
                return
            except Exception as error:  # what nobody foresaw ends this batch, which says so
                log.exception("a batch failed")
                self.state, self.why = "failed", f"{type(error).__name__}: {error}"
                self._changed()
                return
            if self.asked.kind == "render":
                self.state, self.why = "done", ""
                self._changed()
                return

    def _keep(self, event: Event) -> None:
        self.why = ""
        if event.judged is not None:  # figures and verdict stand in the sidecars, where the report finds them
            self._verdicts[event.item.out] = event.judged.why
            return
        self.events.pop(event.item, None)
        self.events[event.item] = event
        while len(self.events) > EVENTS_MAX:
            del self.events[next(iter(self.events))]

    def _looks(self, stop: threading.Event) -> Generator[Event]:
        hot = self._folder()
        for _ in occasions(hot, SETTLE_S, stop):
            with closing(rounds(hot, self._line.client())) as events:
                yield from events

    def _once(self) -> Generator[Event]:
        client = self._line.client()
        pairs, refused = self._planned()
        self.total = len(pairs) + len(refused)
        for item, error in refused:
            yield Event(item, "failed", error=error)
        tasks = [
            Task(item, Order(row.preset, row.preset_name, choose(row.preset.model, client.models)))
            for item, row in pairs
        ]
        yield from judged(run_tasks(client, tasks), [task.item for task in tasks])

    def _folder(self) -> HotFolder:
        preset = self._preset()
        return HotFolder(
            Path(self.asked.source),
            Path(self.asked.out),
            preset,
            label(self.asked.preset),
            recursive=self.asked.recursive,
            settle_s=SETTLE_S,
        )

    def _planned(self) -> tuple[list[tuple[Item, Row]], list[tuple[Item, AirbandError]]]:
        asked, preset = self.asked, self._preset()
        if is_manifest(asked.source):
            rows = read(Path(asked.source), preset, label(asked.preset), asked.knobs)
        else:
            rows = [Row((asked.source,), None, preset, label(asked.preset))]
        pairs, refused = plan_rows(rows, asked.out, recursive=asked.recursive)
        return pairs, [(item, error) for item, error in refused]

    def _preset(self) -> presets.Preset:
        return schema.make(presets.load(self.asked.preset), **self.asked.knobs)
