"""The bars that a batch has in a terminal."""

from __future__ import annotations

from collections import Counter

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from bridge.batch.run import Event
from bridge.cli.display import Lines
from bridge.client.model_choice import Choice
from presets.printable import printable

SOURCE_CHARS = 32


class Bars(Lines):
    """The lines, with a bar for the file under way and one for the whole."""

    def begin(self, count: int, choice: Choice, estimate: str) -> None:
        """See `Display.begin`."""
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
