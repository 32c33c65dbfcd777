"""A batch under way: jobs sent a few ahead, skipped where they are done, told of event by event.

A source that fails does not stop the others; an engine that cannot be reached does. When the caller lets go
(Ctrl-C, or an error of its own), what is queued or running is cancelled; stems appear whole or not at all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from bridge.batch.plan import Item
from bridge.client.job import Job
from bridge.client.model_choice import Choice
from bridge.client.renderer import Renderer
from bridge.client.request import DeliverAs
from presets.errors import AirbandError, BusyError, EngineError
from presets.report import RenderReport
from presets.schema import Preset
from render.files.encode import file_digest
from render.files.publish import check_destination
from render.files.sidecar import is_done, render_key, sidecar_path

AHEAD = 4
"""Jobs sent before the first of them is done: enough to keep an engine of several devices busy."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one item of a batch.

    Attributes:
        what: `skipped` is done already; `progress` comes many times; the others once and last.
        stage, step, of, eta_s: of a progress, as the engine tells it.
        seconds: of work, when done.
        report: the render's own account, when done.
        unchanged: why a file that was to be replaced was left as it is, when done so.
        error: why, when failed.
    """

    item: Item
    what: Literal["skipped", "progress", "done", "failed"]
    stage: str = ""
    step: int = 0
    of: int = 0
    eta_s: float | None = None
    seconds: float = 0.0
    report: RenderReport | None = None
    unchanged: str = ""
    error: AirbandError | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is the same for every item of a batch."""

    preset: Preset
    preset_name: str
    choice: Choice
    force: bool = False
    priority: int = 0


def run(renderer: Renderer, items: Sequence[Item], order: Order) -> Generator[Event]:
    """Renders a batch; close the iterator to cancel what is left of it.

    Raises:
        EngineError: the engine went away and did not come back.
    """
    waiting, flight = deque(items), deque[tuple[Item, Job]]()
    try:
        while waiting or flight:
            while waiting and len(flight) < AHEAD:
                try:
                    started = _start(renderer, waiting[0], order)
                except BusyError as busy:
                    if flight:
                        break
                    time.sleep(busy.retry_s)
                    continue
                item = waiting.popleft()
                if isinstance(started, Event):
                    yield started
                else:
                    flight.append((item, started))
            if flight:
                yield from _follow(*flight[0], order)
                flight.popleft()
    finally:
        for _, job in flight:
            with suppress(AirbandError):
                job.cancel()


def _start(renderer: Renderer, item: Item, order: Order) -> Job | Event:
    try:
        if _done_already(item, order):
            return Event(item, "skipped")
        check_destination(item.out, item.source, force=order.force)
        deliver: DeliverAs = "path" if renderer.local else "file"
        return renderer.submit(
            item.source,
            order.preset,
            preset_name=order.preset_name,
            deliver=deliver,
            out=item.out if renderer.local else None,
            force=order.force,
            priority=order.priority,
        )
    except EngineError:
        raise
    except AirbandError as error:
        return Event(item, "failed", error=error)


def _done_already(item: Item, order: Order) -> bool:
    if not sidecar_path(item.out).exists() or not item.source.is_file():
        return False
    model = order.choice.model
    return is_done(item.out, render_key(file_digest(item.source), order.preset, model.name, model.digest))


def _follow(item: Item, job: Job, order: Order) -> Iterator[Event]:
    try:
        for step in job.progress():
            yield Event(item, "progress", step.stage, step.step, step.of, step.eta_s)
        result = job.wait()
        if result.path is None:
            result.save(item.out, force=order.force)
    except EngineError:
        raise
    except AirbandError as error:
        yield Event(item, "failed", error=error)
    else:
        yield Event(item, "done", seconds=result.seconds, report=result.report)
