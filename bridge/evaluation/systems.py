"""What an evaluation renders with: nothing at all, a model of the engine, or any external command."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.client.client import Client
from bridge.client.model_choice import choose
from presets.errors import OutputError, RenderError, UsageError
from presets.schema import RATE_HZ, make
from presets.version import VERSION
from render.clip import ArrayClip, open_clip
from render.measure.metrics import Signal
from render.resample import resampled

UNPROCESSED = "unprocessed"
COMMAND_TIMEOUT_S = 600.0
LABEL = re.compile(r"([\w.+-]+)=")
"""What may stand before a command, to call it by."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a system gets.

    Attributes:
        samples: (frames,) float32, the degraded clip.
        rate: its rate, Hz.
        full: (frames,) at 48 kHz, the clip it was made from: a command may be a ceiling, which needs it.
    """

    samples: NDArray[np.float32]
    rate: int
    full: Signal


@dataclass(frozen=True, slots=True)
class System:
    """A system, ready to render.

    Attributes:
        render: what it makes, (frames,) at 48 kHz, and the seconds that takes; NaN where it was there before.
        weights: of a model, Airband's version and the digest of its weights: what another one rendered is
            not its figure. Empty where a name says all that is known.
    """

    render: Callable[[Given], tuple[Signal, float]]
    weights: str = ""


def opened(system: str, stack: ExitStack, state: Path | None) -> System:
    """A system, ready to render.

    Args:
        system: `unprocessed`; the name of a model, and after a colon the knobs it is to have
            (`audiosr-basic:steps=12,sampler=dpmpp_2m`); or a command with {in} and {out}, WAV files of 48
            kHz ({in} has the rate of the clip that was resampled), perhaps {full}, perhaps LABEL= before it.
        stack: closes what it holds.
        state: the engine's state folder.

    Raises:
        UsageError: a command without {in} or {out}, or knobs that there are not.
    """
    if system == UNPROCESSED:
        return System(_unprocessed)
    if "{" in system or " " in system:
        words = shlex.split(LABEL.sub("", system, count=1))
        if not any("{in}" in word for word in words) or not any("{out}" in word for word in words):
            raise UsageError(f"system {system!r}: a command names its files {{in}} and {{out}}", "system")
        return System(lambda given: _command(words, given))
    return _model(system, stack.enter_context(Client.connect(state=state)))


def label(system: str) -> str:
    """What to call a system: the label of a command, or the first file of it that is neither an interpreter
    nor an argument; of a model, its name and knobs."""
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


def _command(words: Sequence[str], given: Given) -> tuple[Signal, float]:
    import soundfile

    with tempfile.TemporaryDirectory(prefix="airband-eval-") as folder:
        files = {name: Path(folder, f"{name}.wav") for name in ("in", "out", "full")}
        try:
            soundfile.write(files["in"], given.samples, given.rate, subtype="FLOAT")
            if any("{full}" in word for word in words):
                soundfile.write(files["full"], given.full, RATE_HZ, subtype="FLOAT")
        except (OSError, soundfile.SoundFileError) as error:
            raise OutputError(
                f"{folder}: cannot be written: {error}; TMPDIR=FOLDER in the environment takes another disk",
                "system",
            ) from None
        arguments = list(words)
        for name, path in files.items():
            arguments = [word.replace(f"{{{name}}}", str(path)) for word in arguments]
        begin = time.perf_counter()
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
        except OSError as error:
            raise RenderError(f"{words[0]}: cannot be run: {error.strerror}", "system") from None
        except subprocess.TimeoutExpired:
            raise RenderError(f"{words[0]}: not done after {COMMAND_TIMEOUT_S:g} s", "system") from None
        seconds = time.perf_counter() - begin
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["it said nothing"]
            raise RenderError(f"{words[0]}: exit code {done.returncode}: {said[-1]}", "system")
        if not files["out"].exists():
            raise RenderError(f"{words[0]}: ended well but wrote no {{out}}", "system")
        with open_clip(files["out"]) as clip:
            if clip.rate != RATE_HZ:
                raise RenderError(f"{words[0]}: wrote {clip.rate} Hz; 48000 Hz is measured", "system")
            return clip.read(0, clip.frames).mean(axis=0), seconds
