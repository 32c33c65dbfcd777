"""`python -m engine bench scale`: how cost grows with a clip's length, channels and rate, with the jobs in
the store, with clients and with the files of a batch. Prints a table; `--out` keeps it beside a plot.

What is linear has one cost for each unit, whatever its size: those columns are what is plotted. CPU time is
that of the process that renders; for clients and files it is the client's alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.bench.growth import Point, channels, clients, files, lengths, rates, stored
from presets.errors import OutputError, UsageError

CLIP_S = 10.0
"""Length of the clips whose channels and rates grow."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that grows.

    Attributes:
        name: as `--only` takes it.
        what: that grows, with its unit.
        unit: that costs are told for.
        short, long: the values it takes, and those that `--long` adds.
    """

    name: str
    what: str
    unit: str
    short: tuple[int, ...]
    long: tuple[int, ...] = ()


AXES = (
    Axis("length", "seconds of stereo", "s of a channel", (1, 5, 20, 60), (600, 7200)),
    Axis("channels", "channels", "s of a channel", (1, 2, 4, 8)),
    Axis("rate", "Hz", "s of a channel", (8000, 44100, 48000, 96000, 192000, 384000)),
    Axis("jobs", "jobs in the store", "job", (1, 1000, 10000, 100000)),
    Axis("clients", "clients", "job", (1, 4, 16), (64, 256)),
    Axis("files", "files of 1 s in a batch", "file", (10, 40), (1000, 10000)),
)


def main(argv: Sequence[str]) -> int:
    """Measures, prints a table and, where asked, writes it and a plot."""
    parser = argparse.ArgumentParser("python -m engine bench scale", description=__doc__)
    names = [axis.name for axis in AXES]
    parser.add_argument("--only", default=",".join(names), help=f"some of {','.join(names)}")
    parser.add_argument("--model", default="draft", help="that renders (draft)")
    parser.add_argument("--long", action="store_true", help="also what takes minutes: 2 h, 10,000 files")
    parser.add_argument("--out", type=Path, help="folder for scale.md and scale.png; made if missing")
    arguments = parser.parse_args(argv)
    chosen = arguments.only.split(",")
    if unknown := sorted(set(chosen) - set(names)):
        raise UsageError(f"--only {','.join(unknown)}: there are {', '.join(names)}", "only")
    found: dict[Axis, list[Point]] = {}
    for axis in AXES:
        if axis.name in chosen:
            points = measured(axis, arguments.long, arguments.model)
            found[axis] = list(told(axis, points))
    lines = table(found)
    print("\n".join(lines))
    if arguments.out is not None:
        try:
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / "scale.md").write_text("\n".join(lines) + "\n")
            plot(found, arguments.out / "scale.png")
        except OSError as error:
            raise OutputError(f"{arguments.out} cannot be written: {error.strerror}", "out") from None
    return 0


def measured(axis: Axis, long: bool, model: str) -> Iterable[Point]:
    """The points of an axis, one after the other as they are measured."""
    values = axis.short + (axis.long if long else ())
    measure: dict[str, Callable[[], Iterable[Point]]] = {
        "length": lambda: lengths(values, model),
        "channels": lambda: channels(values, CLIP_S, model),
        "rate": lambda: rates(values, CLIP_S, model),
        "jobs": lambda: stored(values),
        "clients": lambda: clients(values),
        "files": lambda: files(values, model),
    }
    return measure[axis.name]()


def told(axis: Axis, points: Iterable[Point]) -> Iterable[Point]:
    """The points, each announced on stderr as it comes."""
    for point in points:
        print(f"{axis.name} {point.value:g}: {point.wall_s:.2f} s", file=sys.stderr, flush=True)
        yield point


def table(found: dict[Axis, list[Point]]) -> list[str]:
    """Lines of Markdown: a row a point."""
    lines = [
        "| grows | value | CPU s | wall s | CPU ms | wall ms | for each | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for axis, points in found.items():
        for point in points:
            peak = f"{point.peak_mb:.0f}" if point.peak_mb else ""
            lines.append(
                f"| {axis.what} | {point.value:,.0f} | {point.cpu_s:.2f} | {point.wall_s:.2f} | "
                f"{1000 * point.cpu_s / point.units:.1f} | {1000 * point.wall_s / point.units:.1f} | "
                f"{axis.unit} | {peak} |"
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
        panel.plot(values, wall, "o-", label="by the clock")
        panel.plot(
            values, [1000 * point.cpu_s / point.units for point in points], "s--", label="CPU, own process"
        )
        panel.legend(frameon=False)
        panel.set_xscale("log")
        panel.set_ylim(0, 1.3 * max(wall))
        panel.set_xlabel(axis.what)
        panel.set_ylabel(f"ms a {axis.unit}")
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
