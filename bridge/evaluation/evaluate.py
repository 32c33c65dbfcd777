"""`airband eval`: systems rendered and measured on a folder of full-band clips (render/measure/).

A system is a model of the engine, any external command, or nothing at all; every one gets the same input and
is held to the same figures. Models render without the gate: the figures count frames at -95 dBFS like any
other, and what a gate leaves empty there would be all they tell. Each row is on disk before the next begins,
so a run that ends early goes on where it was.
"""

from __future__ import annotations

import math
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bridge.client.client import Client
from bridge.evaluation.rows import Appended, Row, kept
from presets.errors import InputError, RenderError, UsageError
from presets.schema import RATE_HZ
from render.clip import open_clip
from render.measure import perceptual
from render.measure.metrics import Signal
from render.measure.protocol import degrade, fitted, measure, reference

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
UNPROCESSED = "unprocessed"
COMMAND_TIMEOUT_S = 600.0
System = Callable[[Signal], tuple[Signal, float]]
"""(frames,) at 48 kHz in; what it made of it and the seconds that took, NaN where it was there before."""


@dataclass(frozen=True, slots=True)
class Task:
    """A row still to be measured."""

    system: str
    domain: str
    path: Path
    clip: str
    cutoff_hz: float


def evaluate(
    data: Path,
    cutoffs_hz: Sequence[float],
    systems: Sequence[str],
    table: Path,
    on_row: Callable[[int, int], None],
    state: Path | None = None,
) -> list[Row]:
    """Every system on every clip at every cut-off.

    Args:
        data: a folder of clips, or of folders of clips, one a domain.
        cutoffs_hz: where the clips are cut, Hz.
        systems: `unprocessed`, names of models, or commands with {in} and {out} (48 kHz float WAV).
        table: CSV the rows are kept in; those in it already are not measured again, but for those that lack
            a score that can be taken now.
        on_row: called with how many rows there are, and how many there will be.
        state: the engine's state folder.

    Returns:
        The rows asked for, in the order of systems, cut-offs, clips.

    Raises:
        UsageError: a folder without clips, a cut-off outside 1 to 23 kHz, a command without {in} or {out}.
        RenderError: a command that fails, or writes no 48 kHz audio.
        OutputError: a table that cannot be written, or is no table of ours.
    """
    for cutoff_hz in cutoffs_hz:
        if not 1000 <= cutoff_hz <= 23000:
            raise UsageError(f"cutoff = {cutoff_hz:g} Hz is outside 1000 to 23000 Hz", "cutoffs")
    clips = _clips(data)
    tasks = [
        Task(system, domain, path, str(path.relative_to(data)), float(cutoff_hz))
        for system in systems
        for cutoff_hz in cutoffs_hz
        for domain, path in clips
    ]
    rows = {row.key: row for row in kept(table) if row.complete}
    wanted = [(task.system, task.clip, task.cutoff_hz) for task in tasks]
    left = [task for task, key in zip(tasks, wanted, strict=True) if key not in rows]
    with ExitStack() as opened, Appended(table) as write:
        runners = {name: _runner(name, opened, state) for name in dict.fromkeys(task.system for task in left)}
        for done, task in enumerate(left):
            on_row(len(tasks) - len(left) + done, len(tasks))
            row = _measured(task, runners[task.system])
            write(row)
            rows[row.key] = row
    on_row(len(tasks), len(tasks))
    return [rows[key] for key in wanted]


def _clips(data: Path) -> list[tuple[str, Path]]:
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder; give one with full-band clips in it", "data")
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UsageError(f"{data}: holds no clips ({', '.join(SUFFIXES)})", "data")
    return [(path.parent.name if path.parent != data else "all", path) for path in paths]


def _measured(task: Task, run: System) -> Row:
    with open_clip(task.path) as clip:
        full, limit_hz = reference(clip.read(0, clip.frames), clip.rate)
    if task.cutoff_hz >= limit_hz:
        raise InputError(f"{task.path}: ends at {limit_hz:.0f} Hz; cut it lower than that", "data")
    given = degrade(full, task.cutoff_hz)
    made, seconds = run(given)
    figures = measure(full, given, made, task.cutoff_hz, limit_hz)
    absent = perceptual.missing()
    made = fitted(made, len(full))
    return Row(
        **asdict(figures),
        visqol=math.nan if "visqol" in absent else perceptual.visqol(full, made),
        zimtohrli=math.nan if "zimtohrli" in absent else perceptual.zimtohrli(full, made),
        system=task.system,
        domain=task.domain,
        clip=task.clip,
        cutoff_hz=task.cutoff_hz,
        work_ratio=seconds * RATE_HZ / len(given),
    )


def _runner(system: str, opened: ExitStack, state: Path | None) -> System:
    if system == UNPROCESSED:
        return lambda given: (given, 0.0)
    if "{" in system or " " in system:
        words = shlex.split(system)
        if not any("{in}" in word for word in words) or not any("{out}" in word for word in words):
            raise UsageError(f"system {system!r}: a command names its files {{in}} and {{out}}", "system")
        return lambda given: _command(words, given)
    client = opened.enter_context(Client.connect(state=state))

    def model(given: Signal) -> tuple[Signal, float]:
        result = client.submit((given[None], RATE_HZ), model=system, gate_db="off").wait()
        return result.audio[0], math.nan if result.report.cached else result.seconds

    return model


def _command(words: Sequence[str], given: Signal) -> tuple[Signal, float]:
    import soundfile

    with tempfile.TemporaryDirectory(prefix="airband-eval-") as folder:
        source, made = Path(folder, "in.wav"), Path(folder, "out.wav")
        soundfile.write(source, given, RATE_HZ, subtype="FLOAT")
        arguments = [word.replace("{in}", str(source)).replace("{out}", str(made)) for word in words]
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
        if not made.exists():
            raise RenderError(f"{words[0]}: ended well but wrote no {{out}}", "system")
        with open_clip(made) as clip:
            if clip.rate != RATE_HZ:
                raise RenderError(f"{words[0]}: wrote {clip.rate} Hz; 48000 Hz is measured", "system")
            return clip.read(0, clip.frames).mean(axis=0), seconds
