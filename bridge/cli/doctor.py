"""`airband doctor`: prints the findings of `bridge.diagnosis`, and bundles them for a bug report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.options import Json, State
from bridge.wire.home import find_home


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(doctor)


def doctor(
    state: State = None,
    as_json: Json = False,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE.zip", help="Also write all that a bug report needs."),
    ] = None,
) -> None:
    """Find what is wrong with this installation, and how to fix it.

    Exits 1 when something is broken.
    """
    from bridge.diagnosis import examine

    marks = {"good": "ok    ", "note": "note  ", "broken": "BROKEN"}
    broken, findings = False, []
    for finding in examine(find_home(state)):
        findings.append(finding)
        broken = broken or finding.level == "broken"
        if as_json:
            typer.echo(json.dumps(asdict(finding)))
            continue
        typer.echo(f"{marks[finding.level]} {finding.what}: {finding.detail}")
        if finding.advice:
            typer.echo(f"       -> {finding.advice}")
    if bundle is not None:
        from bridge.bundle import write_bundle

        held = write_bundle(find_home(state), bundle, findings)
        typer.echo(f"{bundle} holds {', '.join(held)}; no audio and no keys", err=True)
    if broken:
        raise typer.Exit(1)
