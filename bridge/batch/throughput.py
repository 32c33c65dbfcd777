"""How fast each model runs on this machine, to estimate how long a batch will take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from bridge.batch.run import Task
from bridge.batch.sources import check_source
from bridge.wire.home import Home
from bridge.wire.messages import Model
from presets.errors import AirbandError
from presets.schema import Preset, frames_at
from render.sources.promises import read_shape

MEMORY_S = 600.0
"""Older measurements count half after this many seconds of rendered audio."""

AUDIOSR_COSTS = ("steps", "sampler", "cache_interval", "cfg_scale", "guided_share", "vocoder")
"""The knobs on which AudioSR's time per second of audio depends."""


class Speed(msgspec.Struct):
    """Seconds of work, and of audio rendered in it; old renders fade from both at the same rate."""

    work_s: float = 0.0
    audio_s: float = 0.0


class Speeds:
    """The measurements kept in a state folder; none if the file is missing or damaged.

    Args:
        home: the engine's folders.
    """

    def __init__(self, home: Home) -> None:
        self._path = home.state / "speeds.json"
        self._known: dict[str, Speed] = {}
        with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
            self._known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Speed])

    def ratio(self, model: Model, preset: Preset) -> float | None:
        """Seconds of work per second of audio for this model and preset; None if that was not measured."""
        speed = self._known.get(_name(model, preset))
        return speed.work_s / speed.audio_s if speed is not None and speed.audio_s > 0 else None

    def add(self, model: Model, preset: Preset, work_s: float, audio_s: float) -> None:
        """Adds a render to the measurements."""
        speed = self._known.setdefault(_name(model, preset), Speed())
        fade = 0.5 ** (audio_s / MEMORY_S)
        speed.work_s = fade * speed.work_s + work_s
        speed.audio_s = fade * speed.audio_s + audio_s

    def keep(self) -> None:
        """Writes the measurements; does nothing if the folder cannot be written."""
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            part.write_bytes(msgspec.json.encode(self._known))
            part.replace(self._path)


def estimate(tasks: Sequence[Task], speeds: Speeds) -> str:
    """The work ahead in one line: seconds of audio, and how long they will take if that is known."""
    ahead = [task for task in tasks if not _output_exists(task)]
    lengths = [length_s(task.item.source, task.order.preset) for task in ahead]
    ratios = [speeds.ratio(task.order.choice.model, task.order.preset) for task in ahead]
    seconds = sum(length for length in lengths if length is not None)
    files, unknown = f"{len(tasks)} file{'s' if len(tasks) > 1 else ''}", lengths.count(None)
    if not ahead:
        taken = "the output's name is" if len(tasks) == 1 else "all outputs' names are"
        return f"{files}, nothing to render: {taken} taken already"
    if len(ahead) < len(tasks):
        files = f"{len(ahead)} of {files} to render"
    if unknown == len(ahead):
        return f"{files}, of unknown length, so there is no estimate"
    what = f"{files}, {seconds:.1f} s of audio"
    if unknown:
        what += f" and {unknown} of unknown length"
    if None in ratios:
        return f"{what}; how long this takes here is not known yet, the first file will tell"
    work_s = sum((length or 0.0) * (ratio or 0.0) for length, ratio in zip(lengths, ratios, strict=True))
    per_s = f", at the {work_s / seconds:.2g} s per second measured here" if seconds else ""
    return f"{what}; about {max(work_s, 0.1):.1f} s of work{per_s}"


def _output_exists(task: Task) -> bool:
    """Whether an item's destination exists: the item will be skipped or refused, with no work."""
    item, order = task
    return not order.force and item.out != item.source and os.path.exists(item.out)


def length_s(path: Path, preset: Preset) -> float | None:
    """Seconds of a source that a preset renders; None if the file's header does not tell its length."""
    try:
        check_source(path)
        shape = read_shape(path)
    except (AirbandError, OSError):
        return None
    if shape is None or shape.frames is None or not shape.rate:
        return None
    first = frames_at(preset.start, shape.rate, preset.fps) or 0
    end = frames_at(preset.end, shape.rate, preset.fps)
    return max(0, (shape.frames if end is None else min(end, shape.frames)) - first) / shape.rate


def _name(model: Model, preset: Preset) -> str:
    """The key of a measurement: the model, for AudioSR also those knobs, and whether holes are filled."""
    steps = ""
    if model.name.startswith("audiosr"):
        steps = "".join(f" {getattr(preset, knob)}" for knob in AUDIOSR_COSTS)
    holes = " fill_holes" if preset.fill_holes else ""
    return f"{model.name} {model.device}{steps}{holes}"
