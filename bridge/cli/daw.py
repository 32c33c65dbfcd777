"""`airband daw install HOST`: puts Airband where a host looks for scripts or plugins, or takes it away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.engine import State
from bridge.daw.install import install_host, uninstall_host
from bridge.daw.places import Host, root_of
from bridge.wire.home import find_home

app = typer.Typer(help="Airband inside a DAW.", rich_markup_mode=None)


@app.callback()
def daw() -> None:
    """Airband inside a DAW."""


@app.command()
def install(
    host: Annotated[Host, typer.Argument(help="Which host; `plugin`: all that load LV2, VST3, CLAP.")],
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="In place of the host's settings folder (REAPER's resource path); of home for plugins.",
        ),
    ] = None,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take away what was installed.")] = False,
    state: State = None,
) -> None:
    """Put Airband where a host looks for scripts or plugins, or take it away again."""
    home = find_home(state)
    root = Path(os.path.abspath(into)) if into is not None else root_of(host)
    for line in (uninstall_host if uninstall else install_host)(host, root, home):
        typer.echo(line)
