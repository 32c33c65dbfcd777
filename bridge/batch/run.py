"""Runs a batch: submits jobs a few ahead, skips those already done, and reports events.

A source that fails does not stop the others; an engine that cannot be reached does. When the caller stops
(Ctrl-C, or an error of its own), queued and running jobs are cancelled. Stems appear complete or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from bridge.batch.plan import Item
from bridge.batch.sources import check_source
from bridge.client.ahead import Ahead
from bridge.client.job import Job
from bridge.client.model_choice import Choice
from bridge.client.renderer import Renderer
from bridge.client.request import with_like
from presets.errors import AirbandError, BusyError, EngineError, InputError, OutputError, WireError
from presets.printable import is_utf8
from presets.report import RenderReport
from presets.schema import Preset
from render.files import publish
from render.files.encode import file_digest
from render.files.publish import check_destination
from render.files.sidecar import find_result

if TYPE_CHECKING:
    from render.measure.takes import TakeFigures

FORCE = "--force replaces it"
"""The way out that the refusal of a destination ends with on the command line."""


class Judged(NamedTuple):
    """The comparison of a clip's takes.

    Attributes:
        why: why the best take is the best, in one sentence.
        distances: for each take's path, its distance from usual and expected values; see
            `render.measure.takes.Verdict`.
        figures: the measurements, for each take's path.
    """

    why: str
    distances: Mapping[Path, float]
    figures: Mapping[Path, TakeFigures]

    @property
    def is_measured(self) -> bool:
        """Whether the takes have any figures to compare."""
        from render.measure.takes import told

        return any(map(told, self.figures.values()))


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one item of a batch.

    Attributes:
        what: `progress` comes many times; `done`, `failed` or `skipped` (done already) ends the item. `best`
            follows the takes of a clip, and names the best one.
        stage, step, of, eta_s: the engine's progress, for `progress`.
        seconds: duration of the work, for `done`.
        report: the render's report, for `done`.
        unchanged: why a file to be edited was left unchanged, if it was, for `done`.
        error: the reason, for `failed`; why the engine does not take the job yet, for `progress`.
        judged: the comparison of the takes, for `best`.
    """

    item: Item
    what: Literal["skipped", "progress", "done", "failed", "best"]
    stage: str = ""
    step: int = 0
    of: int = 0
    eta_s: float | None = None
    seconds: float = 0.0
    report: RenderReport | None = None
    unchanged: str = ""
    error: AirbandError | None = None
    judged: Judged | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """The settings that all items of a batch share."""

    preset: Preset
    preset_name: str
    choice: Choice
    force: bool = False
    priority: int = 0


class Task(NamedTuple):
    """An item, and the settings for its render."""

    item: Item
    order: Order


def run(renderer: Renderer, items: Iterable[Item], order: Order) -> Generator[Event]:
    """Renders items with the same settings; see `run_tasks`."""
    return run_tasks(renderer, [Task(item, order) for item in items])


def run_tasks(
    renderer: Renderer, tasks: Sequence[Task], check: Callable[[Task], None] | None = None
) -> Generator[Event]:
    """Renders a batch; close the iterator to cancel the rest.

    An error of one item ends that item alone, also if its source vanishes, changes or becomes unreadable
    during the batch, or its name is not valid text.

    Args:
        renderer: the engine or in-process renderer.
        tasks: the batch.
        check: called just before an item is submitted; raises AirbandError to refuse it.

    Raises:
        EngineError: the engine went away and did not come back.
    """
    with closing(Ahead(renderer, tasks, partial(_start, renderer, check))) as ahead:
        for (item, order), started in ahead:
            if isinstance(started, Event):
                yield started
            elif isinstance(started, BusyError):
                yield Event(item, "progress", "waits for room", error=started)
            elif isinstance(started, OutputError):
                yield Event(item, "failed", error=started)
            else:
                yield from _follow(item, started, order)


def up_to(failures: int, events: Generator[Event]) -> Generator[Event]:
    """Passes on events until so many items have failed; then cancels all queued and running jobs."""
    with closing(events):
        for event in events:
            yield event
            failures -= event.what == "failed"
            if failures <= 0:
                return


def _start(renderer: Renderer, check: Callable[[Task], None] | None, task: Task, job: str) -> Job | Event:
    item, order = task
    with _alone(item) as failures:
        check_source(item.source)
        if check:
            check(task)
        by_path = renderer.local and is_utf8(str(item.out))
        if not by_path:  # otherwise the engine checks the destination itself
            if done_already(item, order):
                return Event(item, "skipped")
            try:
                check_destination(item.out, item.source, force=order.force)
            except OutputError as error:
                raise explained(error, item, order) from None
        return renderer.submit(
            Path(os.path.abspath(item.source)),  # so that a name beginning with ~ is not taken for a home
            order.preset,
            preset_name=order.preset_name,
            deliver="path" if by_path else "file",
            out=Path(os.path.abspath(item.out)) if by_path else None,
            force=order.force,
            priority=order.priority,
            job=job,
        )
    return failures[0]


@contextmanager
def _alone(item: Item) -> Iterator[list[Event]]:
    """Turns an error of an item into its `failed` event, so that the other items go on."""
    failures: list[Event] = []
    try:
        yield failures
    except WireError as error:  # about this item's messages, not a lost engine
        failures.append(Event(item, "failed", error=error))
    except EngineError:
        raise
    except AirbandError as error:
        failures.append(Event(item, "failed", error=with_flag(error)))
    except (OSError, ValueError) as error:
        failures.append(Event(item, "failed", error=unforeseen(item, error)))


def unforeseen(item: Item, error: OSError | ValueError) -> InputError:
    """A system error about an item: its source has vanished meanwhile, or a name is not valid text."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"{item.source}: {reason}", "source")


def done_already(item: Item, order: Order) -> bool:
    """Whether an item's destination holds the result of this same render of this same source."""
    model, digest = order.choice.model, partial(file_digest, item.source)
    return find_result(item.out, digest, order.preset, model.name, model.digest) is not None


def explained(error: OutputError, item: Item, order: Order) -> AirbandError:
    """A refusal of a destination, with the command line's way out; see `render.files.publish.explained`."""
    model, digest = order.choice.model, partial(file_digest, item.source)
    preset = with_like(order.preset, local=True)
    return with_flag(publish.explained(error, item.out, digest, preset, model.name, model.digest))


def with_flag(error: AirbandError) -> AirbandError:
    """The error; if it is the refusal of a destination, its way out is a flag of the command line."""
    if not isinstance(error, OutputError) or not error.message.endswith(publish.FORCE):
        return error
    return OutputError(error.message.removesuffix(publish.FORCE) + FORCE, error.field)


def _follow(item: Item, job: Job, order: Order) -> Iterator[Event]:
    with _alone(item) as failures:
        for step in job.progress():
            yield Event(item, "progress", step.stage, step.step, step.of, step.eta_s)
        result = job.wait()
        if result.path is None:
            result.save(item.out, force=order.force)
        what: Literal["skipped", "done"] = "skipped" if result.already else "done"
        yield Event(item, what, seconds=result.seconds, report=result.report)
    for failure in failures:
        if isinstance(failure.error, OutputError) and done_already(item, order):
            yield Event(item, "skipped")  # finished by a job that a killed batch left behind
        else:
            yield failure
