"""`airband doctor`: prints what `bridge.diagnosis` finds."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from bridge.cli.engine import Json, State
from bridge.wire.home import find_home


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(doctor)


def doctor(state: State = None, as_json: Json = False) -> None:
    """Find what is wrong with this installation and say what to do; exits 1 when something is broken."""
    from bridge.diagnosis import examine

    marks = {"good": "ok    ", "note": "note  ", "broken": "BROKEN"}
    broken = False
    for finding in examine(find_home(state)):
        broken = broken or finding.level == "broken"
        if as_json:
            typer.echo(json.dumps(asdict(finding)))
            continue
        typer.echo(f"{marks[finding.level]} {finding.what}: {finding.detail}")
        if finding.advice:
            typer.echo(f"       -> {finding.advice}")
    if broken:
        raise typer.Exit(1)
