"""`airband edit`: renders files in place, from the command line or as a DAW's external sample editor."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from bridge.batch.backups import Backups
from bridge.batch.in_place import edit as edit_files
from bridge.batch.plan import Item
from bridge.batch.run import Order, Task
from bridge.batch.sources import globbed, named
from bridge.batch.throughput import Speeds, estimate
from bridge.cli.display import display
from bridge.cli.options import Json, State, takes_preset
from bridge.cli.render import common_code, follow
from bridge.client.client import Client
from bridge.client.model_choice import choose
from bridge.wire.home import find_home
from presets.errors import AirbandError, UsageError
from presets.printable import printable
from presets.schema import Preset


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(edit)


@takes_preset
def edit(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="WAV, FLAC and AIFF files.")],
    undo: Annotated[
        bool, typer.Option("--undo", help="Restore files as they were before the last edit.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --undo: also files changed since; the changes are lost.")
    ] = False,
    drop_metadata: Annotated[
        bool,
        typer.Option("--drop-metadata", help="Also edit files whose metadata cannot all be kept."),
    ] = False,
    state: State = None,
    as_json: Json = False,
    *,
    preset: Preset,
    preset_name: str,
) -> None:
    """Render files in place, as an external sample editor does.

    Length, rate, channels, format, bits and metadata stay the same. A file whose metadata cannot all be kept
    is refused, with the names of what would be lost.

    The old file is kept in the state folder until --undo restores it; several edits are undone one by one.
    --rate changes the rate. A file in which nothing is missing is left unchanged.
    """
    home = find_home(state)
    paths = [Path(os.path.abspath(path)) for path in _named(files)]
    if undo:
        _undo(Backups(home), paths, force, as_json)
        return
    _refuse_what_would_show(context, preset, force)
    rate_hz = preset.rate if _is_typed(context, "rate") else None
    speeds = Speeds(home)
    with Client.connect(state=state) as client:
        order = Order(preset, preset_name, choose(preset.model, client.models))
        shown = display(as_json=as_json)
        tasks = [Task(Item(path, path), order) for path in paths]
        shown.begin(len(tasks), order.choice, estimate(tasks, speeds))
        events = edit_files(client, paths, order, Backups(home), rate_hz, drop_metadata=drop_metadata)
        follow(events, tasks, shown, speeds)


def _named(files: list[str]) -> Iterator[Path]:
    """The files, and those that match where one is a glob; what is not there stays, for its error."""
    for file in files:
        path = Path(named(file, "files"))
        yield from [path] if os.path.lexists(path) else globbed(file) or [path]


def _is_typed(context: typer.Context, knob: str) -> bool:
    source = context.get_parameter_source(knob)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_what_would_show(context: typer.Context, preset: Preset, force: bool) -> None:
    """Refuses changes that the host would notice, and flags that only --undo takes."""
    if preset.start is not None or preset.end is not None:
        raise UsageError("edit keeps a file's length; `airband render` takes --start and --end", "start")
    for knob in ("format", "bit_depth"):
        if _is_typed(context, knob):
            flag = knob.replace("_", "-")
            raise UsageError(f"edit keeps a file's {flag}; `airband render` takes --{flag}", knob)
    if force:
        raise UsageError("--force works only with --undo; an edit always replaces its own file", "force")


def _undo(backups: Backups, paths: list[Path], force: bool, as_json: bool) -> None:
    failures: list[AirbandError] = []
    for path in paths:
        try:
            undone = backups.undo(path.resolve(), force)
        except AirbandError as error:
            failures.append(error)
            typer.echo(f"airband: {printable(error.message)}", err=True)
            continue
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(undone.when_s))
        told = {"what": "undone", "source": str(path), "edited_s": undone.when_s, "digest": undone.before}
        line = f"{printable(str(path))}: restored as it was before the edit of {when}"
        typer.echo(json.dumps(told) if as_json else line)
    if failures:
        raise typer.Exit(common_code(failures))
