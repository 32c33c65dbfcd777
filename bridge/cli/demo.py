"""`airband demo`: renders a bundled recording and measures the result."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.cancel import cancelling
from bridge.cli.options import Json, State


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(demo)


def demo(
    folder: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the files go.")] = Path(
        "airband-demo"
    ),
    state: State = None,
    as_json: Json = False,
) -> None:
    """Render a bundled recording, and measure the result.

    It is cut at 4 kHz, rendered from the cut, and compared with the original.
    """
    from bridge.evaluation.demo import demonstrate, told

    with cancelling("no unfinished demo is left"):
        shown = demonstrate(folder, state)
    typer.echo(json.dumps(asdict(shown), default=str) if as_json else told(shown))
