"""Predicts what a batch would do (render, skip or refuse each item) and how long it would take.

Of a compressed source only the header and the end are read; damage in between shows only in a render.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from bridge.batch.plan import Item, Refused
from bridge.batch.run import Task, done_already, explained, unforeseen
from bridge.batch.sources import check_source
from bridge.batch.throughput import Speeds
from bridge.client.request import with_like
from bridge.wire.transfer import FileBytes
from presets.errors import AirbandError, OutputError
from presets.schema import Preset
from render.files.publish import check_destination
from render.files.recordings import recordings
from render.sources.pcm_header import read_header
from render.sources.promises import Shape, read_shape, shows_cut

AHEAD = 16
"""How many items are examined ahead while a decoder reads one."""


class Foreseen(NamedTuple):
    """The predicted outcome of one item.

    Attributes:
        what: `render`, `skipped` if it is done already, or `refused`.
        audio_s: seconds of audio to render; None if that is unknown without decoding.
        work_s: seconds the render would take; None if no such render was measured on this machine.
        error: the reason, if refused.
    """

    item: Item
    what: Literal["render", "skipped", "refused"]
    audio_s: float | None = None
    work_s: float | None = None
    error: AirbandError | None = None


def forecast(
    tasks: Sequence[Task],
    refused: Sequence[Refused],
    speeds: Speeds,
    check: Callable[[Task], None] | None = None,
) -> Iterator[Foreseen]:
    """Yields the predicted outcome of each item, in the order of the batch.

    Args:
        tasks: the planned renders.
        refused: the items that the plan refused.
        speeds: measured on this machine.
        check: as for `run_tasks`; it may call a program, so several items are checked in parallel.
    """
    for item, error in refused:
        yield Foreseen(item, "refused", error=error)
    decoders = ThreadPoolExecutor(os.cpu_count())
    try:
        ahead: deque[Foreseen | Future[Foreseen]] = deque()
        for task in tasks:
            foreseen = _at_once(task, speeds)
            if foreseen is None or (check and foreseen.what == "render"):
                ahead.append(decoders.submit(_by_programs, task, speeds, foreseen, check))
            else:
                ahead.append(foreseen)
            while ahead and (isinstance(ahead[0], Foreseen) or len(ahead) > AHEAD):
                yield _settled(ahead.popleft())
        yield from map(_settled, ahead)
    finally:
        decoders.shutdown(cancel_futures=True)


def _settled(foreseen: Foreseen | Future[Foreseen]) -> Foreseen:
    return foreseen if isinstance(foreseen, Foreseen) else foreseen.result()


def _at_once(task: Task, speeds: Speeds) -> Foreseen | None:
    """The outcome of an item; None if a decoder is needed to tell."""
    item, order = task
    preset = order.preset
    try:
        check_source(item.source)
        FileBytes(Path(os.path.abspath(item.source))).close()
        if done_already(item, order):
            return Foreseen(item, "skipped")
        check_destination(item.out, item.source, force=order.force)
        if (like := with_like(preset, local=True).like) is not None:
            recordings(Path(like))
        shape = _told_by_header(item.source, preset)
        return None if shape is None else _render_of(task, shape, speeds)
    except (AirbandError, OSError, ValueError) as refusal:
        return _refused(task, refusal)


def _by_programs(
    task: Task, speeds: Speeds, foreseen: Foreseen | None, check: Callable[[Task], None] | None
) -> Foreseen:
    """The outcome of an item whose header tells too little, or that must be checked."""
    foreseen = foreseen or _by_decoder(task, speeds)
    if check and foreseen.what == "render":
        try:
            check(task)
        except (AirbandError, OSError, ValueError) as refusal:
            return _refused(task, refusal)
    return foreseen


def _by_decoder(task: Task, speeds: Speeds) -> Foreseen:
    """The outcome of a source whose header tells too little: by ffprobe, or by opening it with a decoder."""
    from render.clip import open_clip
    from render.sources import ffmpeg

    source, preset = task.item.source, task.order.preset
    try:
        told = None if read_shape(source) else ffmpeg.probe(source, preset.stream)
        if told is not None and told.rate:
            seconds = None if told.is_estimate else told.seconds
            frames = None if seconds is None else round(seconds * told.rate)
            return _render_of(task, Shape(told.rate, told.channels, frames), speeds)
        with open_clip(source, stream=preset.stream, accept_truncated=preset.accept_truncated) as clip:
            return _render_of(task, Shape(clip.rate, clip.channels, clip.frames), speeds)
    except (AirbandError, OSError, ValueError) as refusal:
        return _refused(task, refusal)


def _told_by_header(source: Path, preset: Preset) -> Shape | None:
    """The shape of a source by its header; None if only a decoder can tell, or a coded file seems truncated.

    Raises:
        InputError: plain PCM that a render would refuse.
    """
    from render.clip import open_clip

    with source.open("rb") as file:
        header = read_header(file)
    if header is not None and header.subtype:  # PCM, read in place: opening it reads no more than the header
        with open_clip(source, stream=preset.stream, accept_truncated=preset.accept_truncated) as clip:
            return Shape(clip.rate, clip.channels, clip.frames)
    shape = None if preset.stream else read_shape(source)
    return None if shape is None or (not preset.accept_truncated and shows_cut(source)) else shape


def _render_of(task: Task, shape: Shape, speeds: Speeds) -> Foreseen:
    """The outcome of a source of the given shape.

    Raises:
        InputError, UsageError: as the render itself would raise.
    """
    from render.band.cutoff import given
    from render.limits import check_shape
    from render.render import selection

    item, order = task
    preset = order.preset
    check_shape(shape.rate, shape.channels, 1 if shape.frames is None else shape.frames, item.source.name)
    if not isinstance(preset.cutoff, str):
        given(preset.cutoff, shape.rate / 2)
    if shape.frames is None:
        return Foreseen(item, "render")
    first, end = selection(preset, shape.rate, shape.frames)
    audio_s, ratio = (end - first) / shape.rate, speeds.ratio(order.choice.model, preset)
    return Foreseen(item, "render", audio_s, None if ratio is None else audio_s * ratio)


def _refused(task: Task, error: AirbandError | OSError | ValueError) -> Foreseen:
    item, order = task
    told = error if isinstance(error, AirbandError) else unforeseen(item, error)
    told = explained(told, item, order) if isinstance(told, OutputError) else told
    return Foreseen(item, "refused", error=told)
