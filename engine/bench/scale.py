"""`python -m engine bench scale`: how cost grows with a clip's length, channels and rate, with the jobs in
the store, with clients and with the files of a batch. Prints a table; `--out` keeps it beside a plot.

The plot shows the cost per unit: a flat line means that cost grows in proportion. CPU time is that of the
process that renders; for clients and files, of client, engine and worker together. The last column is a
ratio: of a render to soxr (CPU time; VHQ, the same audio to 48 kHz, or from 48 to 44.1), of a batch to sox
(wall time; a process a file), of a job to one in the first row of its axis (CPU time). With `--out`, the axes
that an earlier run measured are kept, so that a long table can be made in pieces.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log
from pathlib import Path

import msgspec

from engine.bench.growth import Point, beside_the_first, channels, clients, files, lengths, rates, stored
from presets.errors import OutputError, UsageError

CLIP_S = 10.0
"""Seconds of the clips of the axes channels and rate."""
LABEL_SHARE = 0.1
"""Share of a panel's width that a tick label needs; ticks that are closer get none."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that grows.

    Attributes:
        name: as `--only` takes it.
        what: what grows, with its unit.
        unit: what costs are divided by.
        beside: what the cost is relative to.
        short, long: its values, and those that `--long` adds.
    """

    name: str
    what: str
    unit: str
    beside: str
    short: tuple[int, ...]
    long: tuple[int, ...] = ()


AXES = (
    Axis("length", "seconds of stereo", "second of one channel", "soxr", (1, 5, 20, 60), (600, 3600, 7200)),
    Axis("channels", "channels", "second of one channel", "soxr", (1, 2, 4, 8)),
    Axis("rate", "Hz", "second of one channel", "soxr", (8000, 44100, 48000, 96000, 192000, 384000)),
    Axis("jobs", "jobs in the store", "job", "the first row", (1, 1000, 10000, 100000)),
    Axis("clients", "clients", "job", "the first row", (1, 4, 16), (64, 256)),
    Axis("files", "files of 1 s in a batch", "file", "sox", (10, 40), (200, 1000, 10000)),
)


def main(argv: Sequence[str]) -> int:
    """Measures, prints a table and, where asked, writes it and a plot."""
    parser = argparse.ArgumentParser("python -m engine bench scale", description=__doc__)
    names = [axis.name for axis in AXES]
    only = f"axes to measure, of {','.join(names)}; files:200 takes batches of up to 200 files"
    parser.add_argument("--only", default=",".join(names), help=only)
    parser.add_argument("--model", default="draft", help="model that renders (draft)")
    parser.add_argument(
        "--long", action="store_true", help="also what takes minutes: up to 2 h and 10,000 files"
    )
    parser.add_argument("--out", type=Path, help="folder for scale.md and scale.png; made if missing")
    arguments = parser.parse_args(argv)
    found: dict[Axis, list[Point]] = {}
    for axis, values in chosen(arguments.only, arguments.long).items():
        found[axis] = list(announced(axis, measured(axis, values, arguments.model)))
    print("\n".join(table(found)))
    if arguments.out is not None:
        try:
            keep(found, arguments.out)
        except OSError as error:
            raise OutputError(f"{arguments.out} cannot be written: {error.strerror}", "out") from None
    return 0


def keep(found: dict[Axis, list[Point]], folder: Path) -> None:
    """Writes scale.json, scale.md and scale.png: the axes found, and the other axes of an earlier scale.json.

    Raises:
        OSError: the folder cannot be written.
        UsageError: the scale.json there is not a table of this command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scale.json"
    kept: dict[str, list[Point]] = {}
    if path.exists():
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[Point]])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise UsageError(
                f"{path}: not a table of this command ({error}); give another --out", "out"
            ) from None
    kept |= {axis.name: points for axis, points in found.items()}
    whole = {axis: kept[axis.name] for axis in AXES if axis.name in kept}
    path.write_bytes(msgspec.json.encode(kept))
    (folder / "scale.md").write_text("\n".join(table(whole)) + "\n")
    plot(whole, folder / "scale.png")


def chosen(only: str, long: bool) -> dict[Axis, tuple[int, ...]]:
    """The axes that `--only` names, with their values.

    Raises:
        UsageError: there is no such axis, or its last value is no number.
    """
    most: dict[str, float] = {}
    for name, _, end in (item.partition(":") for item in only.split(",")):
        if name not in {axis.name for axis in AXES}:
            raise UsageError(f"--only {name}: the axes are {', '.join(axis.name for axis in AXES)}", "only")
        if end and not end.isdecimal():
            raise UsageError(f"--only {name}:{end}: give a number as the last value, as in files:200", "only")
        most[name] = int(end) if end else inf
    return {
        axis: tuple(
            value
            for value in axis.short + (axis.long if long or most[axis.name] < inf else ())
            if value <= most[axis.name]
        )
        for axis in AXES
        if axis.name in most
    }


def measured(axis: Axis, values: Sequence[int], model: str) -> Iterable[Point]:
    """The points of an axis, one after the other as they are measured."""
    measure: dict[str, Callable[[], Iterable[Point]]] = {
        "length": lambda: lengths(values, model),
        "channels": lambda: channels(values, CLIP_S, model),
        "rate": lambda: rates(values, CLIP_S, model),
        "jobs": lambda: beside_the_first(stored(values)),
        "clients": lambda: beside_the_first(clients(values)),
        "files": lambda: files(values, model),
    }
    return measure[axis.name]()


def announced(axis: Axis, points: Iterable[Point]) -> Iterable[Point]:
    """The points, each printed to stderr as it comes."""
    for point in points:
        print(f"{axis.name} {point.value:g}: {point.wall_s:.2f} s", file=sys.stderr, flush=True)
        yield point


def table(found: dict[Axis, list[Point]]) -> list[str]:
    """Lines of Markdown: a row a point."""
    lines = [
        "| what grows | value | CPU s | wall s | CPU ms | wall ms | per | peak MB | relative cost |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for axis, points in found.items():
        for point in points:
            peak = f"{point.peak_mb:.0f}" if point.peak_mb else ""
            lines.append(
                f"| {axis.what} | {point.value:,.0f} | {point.cpu_s:.2f} | {point.wall_s:.2f} | "
                f"{1000 * point.cpu_s / point.units:.1f} | {1000 * point.wall_s / point.units:.1f} | "
                f"{axis.unit} | {peak} | {point.times:.3g} times {axis.beside} |"
            )
    return lines


def plot(found: dict[Axis, list[Point]], path: Path) -> None:
    """Writes a PNG: the cost of a unit over what grows, an axis a panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7), layout="constrained")
    for place, (axis, points) in enumerate(found.items(), 1):
        panel = figure.add_subplot(2, 3, place)
        values = [point.value for point in points]
        wall = [1000 * point.wall_s / point.units for point in points]
        cpu = [1000 * point.cpu_s / point.units for point in points]
        panel.plot(values, wall, "o-", label="wall")
        panel.plot(values, cpu, "s--", label="CPU")
        panel.legend(frameon=False)
        panel.set_xscale("log")
        gap = LABEL_SHARE * log(values[-1] / values[0])
        apart = [low for low, high in pairwise(values) if log(high / low) > gap] + values[-1:]
        panel.set_xticks(apart, [f"{value:,.0f}" for value in apart], fontsize=8)
        panel.minorticks_off()
        panel.set_ylim(0, 1.3 * max(*wall, *cpu))
        panel.set_xlabel(axis.what)
        panel.set_ylabel(f"ms per {axis.unit}")
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
