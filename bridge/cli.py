"""The `airband` command: what each subcommand takes, and which part of the house does it.

Exit codes are those of presets.errors: 0 done; 1 other; 2 usage (a knob, preset, model or path that makes no
sense); 3 input; 4 output; 5 engine; 6 model; 7 render; 8 host; 130 cancelled. `airband doctor` exits
1 when something is broken.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bridge import (
    cli_audacity,
    cli_edit,
    cli_engine,
    cli_eval,
    cli_presets,
    cli_render,
    cli_watch,
    keys,
    plugins,
)
from bridge.daw import install
from presets.errors import AirbandError
from presets.version import VERSION

app = typer.Typer(
    name="airband",
    help="Regenerates the missing band of audio, and keeps the low band the original's.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="0 done, 1 other, 2 usage, 3 input, 4 output, 5 engine, 6 model, 7 render, 8 DAW, 130 cancelled.",
)
cli_render.register(app)
cli_edit.register(app)
cli_audacity.register(app)
cli_watch.register(app)
cli_eval.register(app)
cli_engine.register(app)
app.add_typer(cli_presets.app, name="presets")
app.add_typer(plugins.app, name="plugins")
app.add_typer(install.app, name="daw")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"airband {VERSION}")
        raise typer.Exit


@app.callback()
def airband(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Regenerates the missing band of audio, and keeps the low band the original's."""


@app.command()
def doctor(state: cli_engine.State = None, as_json: cli_engine.Json = False) -> None:
    """Find what is wrong with this installation and say what to do; exits 1 when something is broken."""
    from bridge.doctor import examine

    marks = {"good": "ok    ", "note": "note  ", "broken": "BROKEN"}
    broken = False
    for finding in examine(keys.home(state)):
        broken = broken or finding.level == "broken"
        if as_json:
            typer.echo(json.dumps(asdict(finding)))
            continue
        typer.echo(f"{marks[finding.level]} {finding.what}: {finding.detail}")
        if finding.advice:
            typer.echo(f"       -> {finding.advice}")
    if broken:
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the files go.")] = Path(
        "airband-demo"
    ),
    state: cli_engine.State = None,
    as_json: cli_engine.Json = False,
) -> None:
    """Render a recording that ships, cut at 4 kHz, and measure the result against the original."""
    from bridge.demo import demonstrate, told

    shown = demonstrate(folder, state)
    typer.echo(json.dumps(asdict(shown), default=str) if as_json else told(shown))


def main() -> None:
    """The entry point: runs the command and turns errors into a line and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a DAW's script cancels with it
    try:
        app()
    except AirbandError as error:
        print(f"airband: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
