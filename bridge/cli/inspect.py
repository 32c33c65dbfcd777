"""`airband inspect`: the actual content of audio files, as a table, as JSON, as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.batch.results import about
from bridge.cli.cancel import cancelling
from bridge.cli.options import Json
from bridge.cli.render import common_code
from presets.errors import AirbandError, UsageError
from presets.printable import printable
from render.files.sidecar import with_ending

if TYPE_CHECKING:
    from render.measure.inspect import Inspection


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(inspect)


def inspect(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE", help="Files, folders, globs.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into subfolders.")] = False,
    as_json: Json = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="DIR", help="Draw each file's spectrogram, band and holes as a PNG."),
    ] = None,
) -> None:
    """Say what files really contain: band, codec, level, real bits.

    It also finds a codec's shelf and holes, hum, DC, clipping, and stereo that is mono. The cut-off is the
    one that `render` would use. Files that cannot be read are reported and skipped; of a truncated file,
    the rest is inspected.
    """
    if plot is not None and os.path.exists(plot) and not os.path.isdir(plot):
        raise UsageError(f"--plot {plot}: is a file; give a folder, which is created if missing", "plot")
    stays = "no file was changed" if plot is None else f"what was drawn stays in {plot}"
    with cancelling(stays):
        failures = list(_inspected(inputs, recursive, as_json, plot))
    if failures:
        raise typer.Exit(common_code(failures))


def _inspected(
    inputs: Sequence[str], recursive: bool, as_json: bool, plot: Path | None
) -> Iterator[AirbandError]:
    """Prints, and draws, what each file contains; yields the errors of those that cannot be read."""
    from bridge.batch.sources import check_source, found
    from render.measure.inspect import inspect as look

    drawn: set[Path] = set()
    for path, below, error in found(inputs, None, recursive):
        try:
            if error is not None:
                raise error
            check_source(path)
            seen = look(path)
            if plot is not None:
                from render.measure.plots import band

                band(_picture(plot / below, path, drawn), path, seen)
        except AirbandError as problem:
            if as_json:
                typer.echo(
                    json.dumps({"source": str(path), "code": problem.code, "message": problem.message})
                )
            else:
                typer.echo(f"airband: {about(path, problem)}", err=True)
            yield problem
            continue
        typer.echo(json.dumps(as_plain(path, seen)) if as_json else told(path, seen))


def _picture(folder: Path, path: Path, drawn: set[Path]) -> Path:
    """The name of a file's picture; of several files with one name, the later ones get a number."""
    picture, number = with_ending(folder / path.name, ".png"), 1
    while picture in drawn:
        number += 1
        picture = with_ending(folder / path.name, f"-{number}.png")
    drawn.add(picture)
    return picture


def as_plain(path: Path, seen: Inspection) -> dict[str, object]:
    """An inspection as one JSON object: what the table shows, with `cutoff_hz` and `reason` at the top."""
    said = asdict(seen)
    cutoff = said.pop("cutoff")
    return {"source": str(path), "cutoff_hz": cutoff["hz"], "reason": cutoff["reason"], **said}


def told(path: Path, seen: Inspection) -> str:
    """An inspection as a small table."""
    from render.measure.facts import facts

    return "\n".join([printable(str(path)), *(f"  {name:9} {text}" for name, text in facts(seen))])
