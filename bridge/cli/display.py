"""A batch as its user sees it: bars in a terminal, lines in a log, JSON for a script."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.markup import escape

from bridge.batch.forecast import Foreseen
from bridge.batch.results import OTHER_ENDS, compared, comparison, described, summary
from bridge.batch.run import Event
from bridge.client.model_choice import Choice
from presets.printable import printable
from presets.report import plain

SOURCE_CHARS = 32


class Display(Protocol):
    """Where the events of a batch go."""

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """A batch of `count` files is planned, and nothing sent yet."""

    def show(self, event: Event) -> None:
        """Something happened."""

    def end(self, counts: Counter[str], seconds: float) -> None:
        """The batch is over, or was called off."""


class Lines:
    """One line for each file that is over: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._over = 0
        self._total = 0
        self._explained = False

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """See `Display.begin`."""
        self._total = count
        model = choice.model
        text = f"model {model.name} on {model.device or 'cpu'} ({choice.reason})\n{estimate}"
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def show(self, event: Event) -> None:
        """See `Display.show`."""
        if event.judged is not None:
            for line in compared(event, explained=self._explained):
                self._console.print(escape(line), highlight=False, soft_wrap=True)
            self._explained = True
        elif event.what != "progress":
            self._over += 1
            style = {"failed": "red", "skipped": "dim"}.get(event.what)
            line = f"[{self._over}/{self._total}] {described(event)}"
            self._console.print(escape(line), style=style, highlight=False, soft_wrap=True)

    def end(self, counts: Counter[str], seconds: float) -> None:
        """See `Display.end`."""
        self._console.print(summary(counts, self._total, seconds), highlight=False)


class Bars(Lines):
    """The lines, with a bar for the file under way and one for the whole."""

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """See `Display.begin`."""
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # no script needs them

        super().begin(count, choice, estimate)
        self._bars = Progress(
            TextColumn("{task.description:34}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
        )
        self._file = self._bars.add_task("", total=None, left="")
        self._whole = self._bars.add_task("in total", total=count, left="", visible=count > 1)
        self._bars.start()

    def show(self, event: Event) -> None:
        """See `Display.show`."""
        super().show(event)
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
        self._bars.stop()
        super().end(counts, seconds)


class JsonLines:
    """Every event as one JSON object a line; `what` tells them apart."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

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
        elif event.error is not None:
            fields |= {"code": event.error.code, "message": event.error.message, "field": event.error.field}
        self._print(what=event.what, **fields)

    def end(self, counts: Counter[str], seconds: float) -> None:
        """See `Display.end`."""
        self._print(what="end", **{what: counts[what] for what in ("done", *OTHER_ENDS)}, seconds=seconds)

    def _print(self, **fields: Any) -> None:
        print(json.dumps(fields), file=self._file, flush=True)


def display(console: Console, *, as_json: bool) -> Display:
    """The display that fits: JSON if asked for, bars in a terminal, else lines."""
    if as_json:
        return JsonLines(console.file)  # type: ignore[arg-type]
    return Bars(console) if console.is_terminal else Lines(console)


def foretold(lots: Iterable[Foreseen], *, as_json: bool) -> None:
    """What a batch would do: a line an item, and the sum."""
    counts: Counter[str] = Counter()
    audio_s = work_s = 0.0
    unknown = 0
    for lot in lots:
        counts[lot.what] += 1
        audio_s, work_s = audio_s + (lot.audio_s or 0.0), work_s + (lot.work_s or 0.0)
        unknown += lot.what == "render" and lot.work_s is None
        if as_json:
            fields = {"source": str(lot.item.source), "out": str(lot.item.out), "audio_s": lot.audio_s}
            why = {} if lot.error is None else {"code": lot.error.code, "message": lot.error.message}
            print(json.dumps({"what": lot.what, **fields, "work_s": lot.work_s, **why}), flush=True)
            continue
        way = {"render": "would be rendered", "skipped": "done already", "refused": str(lot.error)}[lot.what]
        length = f" ({lot.audio_s:.1f} s)" if lot.audio_s is not None else ""
        print(printable(f"{lot.item.source} -> {lot.item.out}{length}: {way}"))
    total = {"render": counts["render"], "skipped": counts["skipped"], "refused": counts["refused"]}
    if as_json:
        print(json.dumps({"what": "end", **total, "audio_s": audio_s, "work_s": None if unknown else work_s}))
        return
    took = "how long is not known yet" if unknown else f"about {work_s:.1f} s of work"
    print(
        f"{total['render']} would be rendered, {audio_s:.1f} s of audio, {took}; "
        f"{total['skipped']} done already, {total['refused']} refused"
    )
