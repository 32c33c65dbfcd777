"""The systems of an evaluation: the unprocessed input, a model of the engine, or any external command."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.client.client import Client
from bridge.client.model_choice import choose
from bridge.evaluation.commands import command
from bridge.evaluation.given import Given
from presets.schema import RATE_HZ, make
from presets.version import VERSION
from render.clip import ArrayClip
from render.measure.metrics import Signal
from render.resample import resampled

UNPROCESSED = "unprocessed"
LABEL = re.compile(r"([\w.+-]+)=")
"""An optional label before a command."""


@dataclass(frozen=True, slots=True)
class System:
    """A system, ready to render.

    Attributes:
        render: returns the result, (frames,) at 48 kHz, and the seconds it took (NaN if it was cached).
        weights: of a model, Airband's version and the digest of its weights, since the figures of other
            weights do not count. Empty for other systems.
    """

    render: Callable[[Given], tuple[Signal, float]]
    weights: str = ""


def opened(system: str, stack: ExitStack, state: Path | None) -> System:
    """Opens a system, ready to render.

    Args:
        system: `unprocessed`; or a model's name, optionally with knobs after a colon
            (`audiosr-basic:steps=12,sampler=dpmpp_2m`); or a command, optionally after LABEL=. A command
            contains {in} and {out} and optionally {full}, WAV files of 48 kHz ({in} has the rate of the clip
            that was resampled), or {lines}, see `bridge.evaluation.commands`.
        stack: closes the system.
        state: the engine's state folder.

    Raises:
        UsageError: a command without {in}, {out} or {lines}, or an unknown knob.
    """
    if system == UNPROCESSED:
        return System(_unprocessed)
    if "{" in system or " " in system:
        return System(command(shlex.split(LABEL.sub("", system, count=1)), stack))
    return _model(system, stack.enter_context(Client.connect(state=state)))


def label(system: str) -> str:
    """A system's name in tables: a command's label, or else its first script or, failing that, its program; a
    model's name and knobs."""
    if " " not in system:
        return system
    given = LABEL.match(system)
    if given:
        return given[1]
    words = [word for word in system.split() if "{" not in word]
    scripts = [Path(word).stem for word in words if Path(word).suffix in (".py", ".sh")]
    return (scripts or [Path(words[0]).name])[0]


def _unprocessed(given: Given) -> tuple[Signal, float]:
    clip = resampled(ArrayClip(given.samples[None], given.rate), RATE_HZ)
    return clip.read(0, clip.frames)[0], 0.0


def _model(system: str, client: Client) -> System:
    name, _, words = system.partition(":")
    knobs: dict[str, Any] = {"gate_db": "off"}
    for word in filter(None, words.split(",")):
        knob, _, value = word.partition("=")
        try:
            knobs[knob] = json.loads(value)
        except ValueError:
            knobs[knob] = value
    model = choose(make(model=name, **knobs).model, client.models).model

    def render(given: Given) -> tuple[Signal, float]:
        result = client.submit((given.samples[None], given.rate), model=name, **knobs).wait()
        return result.audio[0], math.nan if result.report.cached else result.seconds

    return System(render, f"{VERSION} {model.digest}")
