"""`airband inspect`: what files really contain, as a table, as JSON, as a picture."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.engine import Json
from presets.errors import AirbandError, InputError

if TYPE_CHECKING:
    from render.measure.inspect import Inspection


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(inspect)


def inspect(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders, globs.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into subfolders.")] = False,
    as_json: Json = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="DIR", help="Draw each file's spectrogram, band and holes as a PNG."),
    ] = None,
) -> None:
    """Say what files really contain: band, codec shelf and holes, level, hum, clipping, real bits and rate.

    The cut-off is the one that `render` would take. Files that cannot be read are named and passed over; the
    exit code is 3 then.
    """
    from bridge.batch.sources import check_source, found
    from render.measure.inspect import inspect as look
    from render.measure.plots import band

    failures = 0
    for path, _, error in found(inputs, None, recursive):
        try:
            if error is not None:
                raise error
            check_source(path)
            seen = look(path)
            if plot is not None:
                plot.mkdir(parents=True, exist_ok=True)
                band(plot / f"{path.name}.png", path, seen)
        except AirbandError as problem:
            failures += 1
            if as_json:
                typer.echo(
                    json.dumps({"source": str(path), "code": problem.code, "message": problem.message})
                )
            else:
                typer.echo(f"{path}: {problem.message}", err=True)
            continue
        typer.echo(json.dumps(as_plain(path, seen)) if as_json else told(path, seen))
    if failures:
        raise typer.Exit(InputError.exit_code)


def as_plain(path: Path, seen: Inspection) -> dict[str, object]:
    """An inspection as one JSON object: what the table says, with `cutoff_hz` and `reason` at the top."""
    said = asdict(seen)
    cutoff = said.pop("cutoff")
    return {"source": str(path), "cutoff_hz": cutoff["hz"], "reason": cutoff["reason"], **said}


def told(path: Path, seen: Inspection) -> str:
    """An inspection as a small table."""
    faults, holes = seen.faults, seen.holes
    rows = [
        ("audio", f"{seen.encoding}, {seen.rate} Hz, {seen.channels} ch, {seen.seconds:.2f} s"),
        ("band", _band(seen)),
        ("cut-off", seen.cutoff.reason),
        ("holes", f"{100 * holes.share:.1f} % of the octave below the shelf" if holes else "no shelf"),
        ("codec", ", ".join(seen.codec) or "no encoder's shelf"),
        ("bits", "more than 24, or decoded" if faults.bits is None else f"{faults.bits}"),
        ("channels", faults.stereo + _correlation(faults.correlation)),
        ("level", f"{_number(seen.lufs)} LUFS, true peak {_number(seen.true_peak_dbtp)} dBTP"),
        ("floor", f"{_number(faults.noise_floor_dbfs)} dBFS in the quietest twentieth"),
        ("clipping", f"{faults.clipped_runs} flat tops, {faults.clipped_samples} samples"),
        ("DC", ", ".join(f"{mean:+.6f}" for mean in faults.dc)),
        ("hum", f"{faults.hum.hz:.0f} Hz at {faults.hum.dbfs:.0f} dBFS" if faults.hum else "none"),
        *(("note", finding) for finding in seen.findings),
    ]
    return "\n".join([str(path), *(f"  {name:9} {text}" for name, text in rows)])


def _band(seen: Inspection) -> str:
    if not seen.ends:
        return "silent"
    ends = sorted(hz for _, hz in seen.ends)
    low, middle, high = ends[0], ends[len(ends) // 2], ends[-1]
    return f"to {middle / 1000:.1f} kHz ({low / 1000:.1f} to {high / 1000:.1f} over the seconds)"


def _correlation(value: float | None) -> str:
    return "" if value is None else f", correlation {value:+.2f}"


def _number(value: float | None) -> str:
    return "-inf" if value is None else f"{value:.1f}"
