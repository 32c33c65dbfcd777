"""A watch folder or a batch that a page started: a thread that does what the command would do.

What is done is recorded in the results' sidecars, so a restarted batch continues where it stopped.
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
"""How many item outcomes are kept for the report; of a longer batch, the latest."""
SENTENCES_SHOWN = 20
"""How many failures, and verdicts on takes, a page is sent; the latest."""
SETTLE_S = 1.0
ENGINE_S = 2.0
"""How long to wait before looking again for a lost engine, in seconds."""

State = Literal["running", "paused", "done", "failed"]


class BatchAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page's request for a batch.

    Attributes:
        kind: `watch` a folder, or `render` a manifest or folder once.
        source, out: paths.
        preset, knobs: for files, or rows of a manifest, without a preset of their own.
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
        """The equivalent command line."""
        made = watch_command if self.kind == "watch" else batch_command
        return made(self.source, self.out, self.preset, self.knobs, recursive=self.recursive)


class Kept(msgspec.Struct, frozen=True):
    """A batch as it is stored in the file."""

    id: str
    asked: BatchAsked
    state: State


class Batch:
    """A watch folder or a batch, running or not.

    Args:
        kept: its id, request and state.
        line: to the engine.
        changed: called when its state changes.
    """

    def __init__(self, kept: Kept, line: EngineLine, changed: Callable[[], None]) -> None:
        self.id, self.asked, self.state = kept.id, kept.asked, kept.state
        self._line, self._changed = line, changed
        self._turn = threading.Lock()  # serialises pages that act at the same moment
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.events: dict[Item, Event] = {}
        self._verdicts: dict[Path, str] = {}
        self.total = 0
        self.why = ""

    def start(self) -> None:
        """Starts or resumes it, skipping what is done; does nothing while it runs."""
        with self._turn:
            if self.state == "running" and self._thread is not None and self._thread.is_alive():
                return
            self._stop = threading.Event()
            self.state, self.why = "running", ""
            self._thread = threading.Thread(target=self._run, args=(self._stop,), daemon=True)
            self._thread.start()
        self._changed()

    def pause(self) -> None:
        """Cancels what is queued or running, and waits for that; finished results stay."""
        with self._turn:
            self._stop.set()
            if self._thread is not None:
                self._thread.join(10)
            if self.state == "running":
                self.state = "paused"
        self._changed()

    def check(self) -> None:
        """Raises UsageError or InputError if it could never run."""
        if self.asked.kind == "watch":
            self._folder()
        else:
            self._planned()

    def told(self) -> dict[str, Any]:
        """Its state, as a page shows it."""
        ends = list(self.events.values())  # a copy: items may end meanwhile
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
            except EngineError as error:  # resumes when the engine is back
                self.why = error.message
                stop.wait(ENGINE_S)
                continue
            except AirbandError as error:
                self.state, self.why = "failed", error.message
                self._changed()
                return
            except Exception as error:  # an unforeseen error ends this batch, which shows it
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
        if event.judged is not None:  # the report finds figures and verdict in the sidecars
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
