"""Takes: one clip rendered with several seeds, all kept, the best one marked with the reason.

Take n of a clip has the seed of its preset plus n - 1 and is named `<name>-take<n>`. Once all takes of a clip
are there, each is measured (render/measure/takes.py); its sidecar gets the figures and the verdict, as
`take`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bridge.batch.plan import Item, Take
from bridge.batch.run import Event, Judged
from presets import schema
from presets.errors import AirbandError, UsageError
from presets.report import RenderReport
from presets.schema import RATE_HZ, Preset
from render.files.parts import write_whole
from render.files.sidecar import sidecar_path, written

if TYPE_CHECKING:
    from render.measure.takes import TakeFigures

MOST_TAKES = 100


def check_takes(count: int, preset: Preset) -> int:
    """`count`, if that many takes can be made and judged.

    Raises:
        UsageError: fewer than 1 or more than 100, or takes of a stem that lacks one of the two bands that
            judging needs.
    """
    if not 1 <= count <= MOST_TAKES:
        raise UsageError(f"takes = {count}; allowed: 1 to {MOST_TAKES}", "takes")
    if count > 1 and preset.stem != "full":
        reason = (
            f"judging takes needs the original and the generated band; stem = {preset.stem} holds only one"
        )
        raise UsageError(f"takes = {count}: {reason}; give stem = full", "takes")
    return count


def takes_of(item: Item, count: int, preset: Preset) -> Iterator[tuple[Item, Preset]]:
    """The takes of an item, each with its preset; the item itself if `count` is 1."""
    if count == 1:
        yield item, preset
        return
    for number in range(1, count + 1):
        take = Take(number, count, item.out)
        yield Item(item.source, take.out, take), schema.make(preset, seed=preset.seed + number - 1)


def judged(events: Generator[Event], items: Sequence[Item]) -> Generator[Event]:
    """Passes on the events of a batch, and adds a verdict after the last take of each clip.

    Args:
        events: of `bridge.batch.run.run_tasks`; closed when this generator is.
        items: the batch. Existing takes of a clip that are not part of it are judged too.
    """
    left = Counter(item.take.clip for item in items if item.take is not None)
    with closing(events):
        for event in events:
            yield event
            take = event.item.take
            if take is None or event.what == "progress":
                continue
            left[take.clip] -= 1
            if not left[take.clip] and (verdict := _verdict(event.item, take)) is not None:
                yield verdict


def _verdict(item: Item, take: Take) -> Event | None:
    """The verdict on an item's existing takes; None if there are fewer than two."""
    from render.measure.takes import judge

    siblings = [Take(number, take.of, take.clip) for number in range(1, take.of + 1)]
    try:
        said = {each: found for each in siblings if (found := _said(each.out)) is not None}
        if len(said) < 2:
            return None
        figures = {each: _figures(each.out, found) for each, found in said.items()}
        verdict = judge(list(figures.values()))
        if not any(found["render"]["generated"] for found in said.values()):
            verdict = verdict._replace(why="nothing was generated, so all takes are alike")
        best = list(said)[verdict.best]
        distances = {}
        for (each, found), distance in zip(said.items(), verdict.distances, strict=True):
            distances[each.out] = distance
            marked = {
                "number": each.number,
                "of": take.of,
                "best": each is best,
                "distance": distance,
                "figures": msgspec.to_builtins(figures[each]),
                "why": verdict.why,
            }
            if found.get("take") != marked:
                write_whole(sidecar_path(each.out), written({**found, "take": marked}))
    except AirbandError as error:
        return Event(Item(item.source, take.clip), "failed", error=error)
    judgement = Judged(verdict.why, distances, {each.out: value for each, value in figures.items()})
    return Event(Item(item.source, best.out, best), "best", judged=judgement)


def _said(out: Path) -> dict[str, Any] | None:
    try:
        said: dict[str, Any] = json.loads(sidecar_path(out).read_bytes())
    except (OSError, ValueError):
        return None
    return said if out.exists() and "render" in said else None


def _figures(out: Path, said: dict[str, Any]) -> TakeFigures:
    """A take's figures: from its sidecar, or measured now."""
    from render.clip import open_clip
    from render.measure.takes import TOP_HZ, TakeFigures, take_figures
    from render.resample import resampled

    try:
        return msgspec.convert(said["take"]["figures"], TakeFigures)
    except (KeyError, TypeError, msgspec.ValidationError):
        pass
    report = msgspec.convert(said["render"], RenderReport)
    over_db = max(0.0, _db(report.peak) - max(0.0, _db(report.source.peak)))
    if report.cutoff_hz is None:
        return TakeFigures(None, None, None, None, None, over_db)
    top_hz = min(TOP_HZ, 0.97 * report.rate_hz / 2, said["preset"].get("ceiling") or TOP_HZ)
    with open_clip(out) as clip:
        return take_figures(resampled(clip, RATE_HZ), report.cutoff_hz, top_hz, over_db=over_db)


def _db(peak: float) -> float:
    return 20 * math.log10(max(peak, 1e-10))
