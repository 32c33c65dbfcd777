"""What a batch would do, without doing it: rendered, done already, or refused; and how long it would take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from bridge.batch.plan import Item, Refused
from bridge.batch.run import Task, done_already, explained
from bridge.batch.sources import check_source
from bridge.batch.throughput import Speeds, length_s
from presets.errors import AirbandError, OutputError
from render.files.publish import check_destination


class Foreseen(NamedTuple):
    """What would become of one item.

    Attributes:
        what: `render`, `skipped` where it is done already, or `refused`.
        audio_s: seconds of audio to render, where the source's header tells.
        work_s: how long that would take, where it was measured here.
        error: why, when refused.
    """

    item: Item
    what: Literal["render", "skipped", "refused"]
    audio_s: float | None = None
    work_s: float | None = None
    error: AirbandError | None = None


def forecast(tasks: Sequence[Task], refused: Sequence[Refused], speeds: Speeds) -> Iterator[Foreseen]:
    """What would become of each item, in the order of the batch.

    Args:
        tasks: planned.
        refused: what the plan refused.
        speeds: as measured here.
    """
    for item, error in refused:
        yield Foreseen(item, "refused", error=error)
    for item, order in tasks:
        try:
            check_source(item.source)
            if done_already(item, order):
                yield Foreseen(item, "skipped")
                continue
            check_destination(item.out, item.source, force=order.force)
        except AirbandError as refusal:
            told = explained(refusal, item, order) if isinstance(refusal, OutputError) else refusal
            yield Foreseen(item, "refused", error=told)
            continue
        audio_s = length_s(item.source, order.preset)
        ratio = speeds.ratio(order.choice.model, order.preset)
        work_s = None if audio_s is None or ratio is None else audio_s * ratio
        yield Foreseen(item, "render", audio_s, work_s)
