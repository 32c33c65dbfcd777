"""A batch under way: jobs sent a few ahead, skipped where they are done, told of event by event.

A source that fails does not stop the others; an engine that cannot be reached does. When the caller lets go
(Ctrl-C, or an error of its own), what is queued or running is cancelled; stems appear whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
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
from presets.errors import AirbandError, EngineError, InputError, OutputError, WireError
from presets.printable import is_utf8
from presets.report import RenderReport
from presets.schema import Preset
from render.files.encode import file_digest
from render.files.publish import FORCE, check_destination
from render.files.sidecar import find_result, unlike

if TYPE_CHECKING:
    from render.measure.takes import TakeFigures


class Judged(NamedTuple):
    """How the takes of a clip compare.

    Attributes:
        why: why the best is the best, in a sentence.
        distances: of each take by its name, from what is usual and expected; see
            `render.measure.takes.Verdict`.
        figures: of each take by its name.
    """

    why: str
    distances: Mapping[Path, float]
    figures: Mapping[Path, TakeFigures]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one item of a batch.

    Attributes:
        what: `skipped` is done already; `progress` comes many times; the others once and last. `best` comes
            after the takes of a clip, for the best of them.
        stage, step, of, eta_s: of a progress, as the engine tells it.
        seconds: of work, when done.
        report: the render's own account, when done.
        unchanged: why a file that was to be replaced was left as it is, when done so.
        error: why, when failed.
        judged: how the takes compare, when best.
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
    """What is the same for every item of a batch."""

    preset: Preset
    preset_name: str
    choice: Choice
    force: bool = False
    priority: int = 0


class Task(NamedTuple):
    """An item, and how it is rendered."""

    item: Item
    order: Order


def run(renderer: Renderer, items: Iterable[Item], order: Order) -> Generator[Event]:
    """Renders items alike; see `run_tasks`."""
    return run_tasks(renderer, [Task(item, order) for item in items])


def run_tasks(
    renderer: Renderer, tasks: Sequence[Task], check: Callable[[Task], None] | None = None
) -> Generator[Event]:
    """Renders a batch; close the iterator to cancel what is left of it.

    Whatever is wrong with one item ends that item alone: also a source that vanishes, changes or is closed to
    us on the way, and a name that is no text.

    Args:
        renderer: who renders.
        tasks: the batch.
        check: raises AirbandError for an item that is not worth the work; called just before it is sent.

    Raises:
        EngineError: the engine went away and did not come back.
    """
    with closing(Ahead(renderer, tasks, partial(_start, renderer, check))) as ahead:
        for (item, order), started in ahead:
            if isinstance(started, Event):
                yield started
            else:
                yield from _follow(item, started, order)


def up_to(failures: int, events: Generator[Event]) -> Generator[Event]:
    """The events of a batch that so many failures call off: what is queued or running is cancelled."""
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
        if not by_path:  # an engine that writes the file looks at the destination itself
            if done_already(item, order):
                return Event(item, "skipped")
            try:
                check_destination(item.out, item.source, force=order.force)
            except OutputError as error:
                raise explained(error, item, order) from None
        return renderer.submit(
            Path(os.path.abspath(item.source)),  # a name that begins with ~ is a name, not a home
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
    """Keeps what goes wrong with an item from the others, as its event."""
    failures: list[Event] = []
    try:
        yield failures
    except WireError as error:  # of this item's messages, not of the engine
        failures.append(Event(item, "failed", error=error))
    except EngineError:
        raise
    except AirbandError as error:
        failures.append(Event(item, "failed", error=error))
    except (OSError, ValueError) as error:
        failures.append(Event(item, "failed", error=unforeseen(item, error)))


def unforeseen(item: Item, error: OSError | ValueError) -> InputError:
    """What the system says of an item: a source that vanishes meanwhile, a name that is no text."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"{item.source}: {reason}", "source")


def done_already(item: Item, order: Order) -> bool:
    """Whether an item's destination holds the result of this very render of this very source."""
    model, digest = order.choice.model, partial(file_digest, item.source)
    return find_result(item.out, digest, order.preset, model.name, model.digest) is not None


def explained(error: OutputError, item: Item, order: Order) -> OutputError:
    """A refusal of a destination; of one that holds another render of ours it says which."""
    if order.force:
        return error
    model, digest = order.choice.model, partial(file_digest, item.source)
    found = unlike(item.out, digest, with_like(order.preset, local=True), model.name, model.digest)
    if found is None:
        return error
    return OutputError(f"{item.out}: exists, and {found}; {FORCE}", error.field)


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
        if not isinstance(failure.error, OutputError):
            yield failure
        elif done_already(item, order):
            yield Event(item, "skipped")  # a job that a killed batch had left behind
        else:
            yield replace(failure, error=explained(failure.error, item, order))
