"""`airband eval`: renders and measures systems on a folder of full-band clips (render/measure/).

All systems (bridge/evaluation/systems.py) get the same inputs and are measured alike. Models render without
the
gate: the figures count frames at -95 dBFS like any other, and frames that a gate leaves empty would outweigh
    all
else. Each row is on disk before the next begins, so a run that was interrupted continues where it was.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bridge.evaluation.given import Given
from bridge.evaluation.rows import Appended, Row, kept
from bridge.evaluation.systems import System, opened
from presets.errors import InputError, UsageError
from presets.schema import RATE_HZ
from render.clip import open_clip
from render.measure import perceptual, ssr_eval
from render.measure.protocol import degrade, fitted, measure, reference, subsampled

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
SPEECH = "speech"
"""The domain whose clips are rendered a second time for `lsd_ssr`, truly resampled as in the paper."""


@dataclass(frozen=True, slots=True)
class Task:
    """A row that is still to be measured."""

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
    every: int = 1,
) -> list[Row]:
    """Measures every system on every clip at every cut-off.

    Args:
        data: a folder of clips, or of folders of clips, one per domain.
        cutoffs_hz: frequencies at which the clips are cut, in Hz.
        systems: see `bridge.evaluation.systems.opened`.
        table: CSV that keeps the rows. A row in it is measured again only if it lacks a score that can now be
            taken, or if its model's weights or Airband's version have changed.
        on_row: called with the number of rows measured, and of all rows.
        state: the engine's state folder.
        every: use every n-th clip of each domain, in order of their names, beginning with the first.

    Returns:
        The requested rows, in order of systems, cut-offs, clips.

    Raises:
        UsageError: a folder without clips, a cut-off outside 1 to 23 kHz, `every` below 1, or an invalid
            system.
        RenderError: a command fails, or writes no 48 kHz audio.
        OutputError: the table cannot be written, or is a file of another kind.
    """
    for cutoff_hz in cutoffs_hz:
        if not 1000 <= cutoff_hz <= 23000:
            raise UsageError(f"cutoff = {cutoff_hz:g} Hz is outside 1000 to 23000 Hz", "cutoffs")
    if every < 1:
        raise UsageError(f"every = {every}: take every clip (1), every second (2), ...", "every")
    clips = _clips(data, every)
    tasks = [
        Task(system, domain, path, str(path.relative_to(data)), float(cutoff_hz))
        for system in systems
        for cutoff_hz in cutoffs_hz
        for domain, path in clips
    ]
    rows = {row.key: row for row in kept(table) if row.complete}
    with ExitStack() as stack, Appended(table) as write:
        runners = {name: opened(name, stack, state) for name in dict.fromkeys(systems)}
        wanted = [(task.system, runners[task.system].weights, task.clip, task.cutoff_hz) for task in tasks]
        left = [task for task, key in zip(tasks, wanted, strict=True) if key not in rows]
        for done, task in enumerate(left):
            on_row(len(tasks) - len(left) + done, len(tasks))
            row = _measured(task, runners[task.system])
            write(row)
            rows[row.key] = row
    on_row(len(tasks), len(tasks))
    return [rows[key] for key in wanted]


def _clips(data: Path, every: int) -> list[tuple[str, Path]]:
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder; give one with full-band clips in it", "data")
    paths = sorted(path for path in _below(data) if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UsageError(f"{data}: holds no clips ({', '.join(SUFFIXES)})", "data")
    domains: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        domains[path.parent.name if path.parent != data else "all"].append(path)
    return [(domain, path) for domain, its in domains.items() for path in its[::every]]


def _below(folder: Path) -> Iterator[Path]:
    """All files below a folder, also through links; each folder counts once."""
    seen = {os.path.realpath(folder)}
    for root, folders, files in os.walk(folder, followlinks=True):
        real = {os.path.realpath(Path(root, name)): name for name in sorted(folders, reverse=True)}
        folders[:] = [name for path, name in real.items() if path not in seen]
        seen.update(real)
        yield from (Path(root, name) for name in files)


def _measured(task: Task, system: System) -> Row:
    with open_clip(task.path) as clip:
        full, limit_hz = reference(clip.read(0, clip.frames), clip.rate)
    if task.cutoff_hz >= limit_hz:
        raise InputError(f"{task.path}: ends at {limit_hz:.0f} Hz; cut it lower than that", "data")
    given = degrade(full, task.cutoff_hz)
    made, seconds = system.render(Given(given, RATE_HZ, full))
    figures = measure(full, given, made, task.cutoff_hz, limit_hz)
    absent = perceptual.missing()
    made = fitted(made, len(full))
    as_in_paper = made
    if task.domain == SPEECH:
        as_in_paper = fitted(system.render(Given(*subsampled(full, task.cutoff_hz), full))[0], len(full))
    return Row(
        **asdict(figures),
        lsd_ssr=ssr_eval.lsd(full, as_in_paper),
        visqol=math.nan if "visqol" in absent else perceptual.visqol(full, made),
        zimtohrli=math.nan if "zimtohrli" in absent else perceptual.zimtohrli(full, made),
        system=task.system,
        weights=system.weights,
        domain=task.domain,
        clip=task.clip,
        cutoff_hz=task.cutoff_hz,
        work_ratio=seconds * RATE_HZ / len(given),
    )
