"""Shows a batch to its user: bars in a terminal, lines in a log, JSON for a script."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import typer

from bridge.batch.forecast import Foreseen
from bridge.batch.results import OTHER_ENDS, about, compared, comparison, described, summary
from bridge.batch.run import Event
from bridge.client.model_choice import Choice
from presets.errors import AirbandError
from presets.printable import printable
from presets.report import plain

if TYPE_CHECKING:
    from rich.progress import Progress

BARS_AFTER_S = 0.3
"""Bars appear after this many seconds: loading what draws them takes a tenth of a warm command."""
SOURCE_CHARS = 32
STYLES: dict[str, dict[str, Any]] = {"failed": {"fg": typer.colors.RED}, "skipped": {"dim": True}}


class Display(Protocol):
    """Shows the events of a batch."""

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """A batch of `count` files is planned; no job has been submitted."""

    def show(self, event: Event) -> None:
        """Shows an event."""

    def end(self, counts: Counter[str], seconds: float) -> None:
        """The batch is over, or was cancelled."""


class Lines:
    """One line for each finished file, for logs and pipes."""

    def __init__(self) -> None:
        self._over = 0
        self._total = 0
        self._explained = False

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """See `Display.begin`."""
        self._over, self._total = 0, count
        model = choice.model
        self._print(f"model {model.name} on {model.device or 'cpu'} ({choice.reason})\n{estimate}")

    def show(self, event: Event) -> None:
        """See `Display.show`."""
        if event.judged is not None:
            for line in compared(event, explained=self._explained):
                self._print(line)
            self._explained |= event.judged.is_measured
        elif event.what == "progress" and event.error is not None:
            self._print(printable(f"{event.item.source}: {event.stage}: {event.error.message}"))
        elif event.what != "progress":
            self._over += 1
            self._print(f"[{self._over}/{self._total}] {described(event)}", event.what)

    def end(self, counts: Counter[str], seconds: float) -> None:
        """See `Display.end`."""
        self._print(summary(counts, self._total, seconds))

    def _print(self, line: str, what: str = "") -> None:
        print(line, flush=True)


class Bars(Lines):
    """The same lines, and if a batch takes a while, a bar for the current file and one for all."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: Progress | None = None
        self._drawing = threading.Lock()

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """See `Display.begin`."""
        super().begin(count, choice, estimate)
        self._timer = threading.Timer(BARS_AFTER_S, self._draw)
        self._timer.daemon = True
        self._timer.start()

    def _draw(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        bars = Progress(
            TextColumn("{task.description:34}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            transient=True,
        )
        self._file = bars.add_task("", total=None, left="")
        self._whole = bars.add_task("in total", total=self._total, left="", visible=self._total > 1)
        with self._drawing:  # lines printed from now on go above the bars
            bars.start()
            self._bars = bars

    def show(self, event: Event) -> None:
        """See `Display.show`."""
        with self._drawing:
            super().show(event)
        if self._bars is None:
            return
        from rich.markup import escape

        name = escape(printable(event.item.source.name)[-SOURCE_CHARS:])
        share = event.step / event.of if event.of else 0.0
        if event.what == "progress":
            left = f"{event.stage}, {event.eta_s:.0f} s left" if event.eta_s is not None else event.stage
            self._bars.update(
                self._file, description=name, completed=event.step, total=event.of or None, left=left
            )
        self._bars.update(self._whole, completed=self._over + share, left=f"{self._over} of {self._total}")

    def end(self, counts: Counter[str], seconds: float) -> None:
        """See `Display.end`."""
        self._timer.cancel()
        self._timer.join()
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        super().end(counts, seconds)

    def _print(self, line: str, what: str = "") -> None:
        is_coloured = what in STYLES and "NO_COLOR" not in os.environ
        super()._print(typer.style(line, **STYLES[what]) if is_coloured else line)


class JsonLines:
    """Every event as one JSON object on a line, with its kind in `what`."""

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """See `Display.begin`."""
        model = choice.model
        self._print(what="begin", files=count, model=model.name, device=model.device, why=choice.reason)

    def show(self, event: Event) -> None:
        """See `Display.show`."""
        fields: dict[str, Any] = {"source": str(event.item.source), "out": str(event.item.out)}
        if event.what == "progress":
            fields |= {"stage": event.stage, "step": event.step, "of": event.of, "eta_s": event.eta_s}
        elif event.what == "done":
            fields |= {"seconds": event.seconds, "report": event.report and plain(event.report)}
            fields |= {"unchanged": event.unchanged} if event.unchanged else {}
        elif event.judged is not None:
            fields |= comparison(event.judged)
        if event.error is not None:
            fields |= {"code": event.error.code, "message": event.error.message, "field": event.error.field}
        self._print(what=event.what, **fields)

    def end(self, counts: Counter[str], seconds: float) -> None:
        """See `Display.end`."""
        self._print(what="end", **{what: counts[what] for what in ("done", *OTHER_ENDS)}, seconds=seconds)

    def _print(self, **fields: Any) -> None:
        print(json.dumps(fields), flush=True)


def display(*, as_json: bool) -> Display:
    """The display to use: JSON if asked for, bars in a terminal, else lines."""
    if as_json:
        return JsonLines()
    return Bars() if sys.stdout is not None and sys.stdout.isatty() else Lines()


def foretold(foreseen: Iterable[Foreseen], *, as_json: bool) -> list[AirbandError]:
    """Prints what a batch would do, a line per item, and totals; returns the errors of refused items."""
    counts: Counter[str] = Counter()
    refused: list[AirbandError] = []
    audio_s = work_s = 0.0
    unknown = 0
    for each in foreseen:
        counts[each.what] += 1
        if each.error is not None:
            refused.append(each.error)
        audio_s, work_s = audio_s + (each.audio_s or 0.0), work_s + (each.work_s or 0.0)
        unknown += each.what == "render" and each.work_s is None
        if as_json:
            fields = {"source": str(each.item.source), "out": str(each.item.out), "audio_s": each.audio_s}
            why = {} if each.error is None else {"code": each.error.code, "message": each.error.message}
            print(json.dumps({"what": each.what, **fields, "work_s": each.work_s, **why}), flush=True)
            continue
        if each.error is not None:
            print(about(each.item.source, each.error))
            continue
        way = "would be rendered" if each.what == "render" else "done already"
        length = f" ({each.audio_s:.1f} s)" if each.audio_s is not None else ""
        print(printable(f"{each.item.source} -> {each.item.out}{length}: {way}"))
    total = {"render": counts["render"], "skipped": counts["skipped"], "refused": counts["refused"]}
    if as_json:
        print(json.dumps({"what": "end", **total, "audio_s": audio_s, "work_s": None if unknown else work_s}))
    else:
        took = "time not known yet" if unknown else f"about {work_s:.1f} s of work"
        print(
            f"{total['render']} would be rendered, {audio_s:.1f} s of audio, {took}; "
            f"{total['skipped']} done already, {total['refused']} refused"
        )
    return refused
