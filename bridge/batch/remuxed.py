"""A batch of videos: each finished stem is muxed with its source's picture."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from bridge.batch.plan import Item
from bridge.batch.run import Event, Order, Task, unforeseen, with_flag
from presets.errors import AirbandError, InputError
from presets.report import RenderReport
from render.files.sidecar import read_sidecar


def remuxed(events: Generator[Event], tasks: Sequence[Task]) -> Generator[Event]:
    """Passes on the events of a batch, and writes a video beside each stem: its name, the source's suffix.

    An item whose video cannot be made is reported as failed; its stem stays.

    Args:
        events: of `bridge.batch.run.run_tasks`; closed when this generator is.
        tasks: the batch; their presets render each source whole.
    """
    orders = {task.item: task.order for task in tasks}
    with closing(events):
        for event in events:
            if event.what in ("done", "skipped"):
                try:
                    _remux(event, orders[event.item])
                except AirbandError as error:
                    event = Event(event.item, "failed", error=with_flag(error))
                except (OSError, ValueError) as error:
                    event = Event(event.item, "failed", error=unforeseen(event.item, error))
            yield event


def check_video(task: Task) -> None:
    """Refuses, before its render, an item whose stem could not be muxed with its source's picture.

    Raises:
        InputError: the source holds no picture, or ffprobe cannot tell.
        OutputError: the video's container cannot be written, or another file exists in its place.
    """
    from render.files.remux import check_out, check_picture

    item, order = task
    check_picture(item.source)
    # If the stem exists already, the video may exist too.
    check_out(item.source, video_of(item), force=order.force or item.out.exists())


def video_of(item: Item) -> Path:
    """The path of the video beside an item's stem."""
    return item.out.with_suffix(item.source.suffix)


def _remux(event: Event, order: Order) -> None:
    from render.files.remux import remux

    source, stem = event.item.source, event.item.out
    video = video_of(event.item)
    if event.what == "skipped" and video.exists() and not order.force:
        return
    report = event.report
    if report is None:
        said = read_sidecar(stem)
        if said is None:
            raise InputError(f"{stem}: its sidecar is gone; render it again with --force", "remux")
        report = msgspec.convert(said["render"], RenderReport)
    remux(source, stem, video, stream=order.preset.stream, peak=report.peak, force=order.force)
