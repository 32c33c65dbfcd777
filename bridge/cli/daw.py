"""`airband daw`: installs Airband's scripts and plugins into hosts; starts the engine for plugins."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.options import State
from bridge.client.client import Client
from bridge.daw.audacity.pipe import Pipe
from bridge.daw.audacity.timeline import import_takes
from bridge.daw.build import build_plugins, plugins_from, verify_plugins
from bridge.daw.install import install_host, uninstall_host
from bridge.daw.offer import note_choices, preset_knobs
from bridge.daw.places import Host, looked_at, root_of
from bridge.daw.reapack import reapack_index
from bridge.daw.takes import delivered_takes, takes_folder
from bridge.wire.home import Home, find_home, prepare
from presets.errors import InputError, UsageError

app = typer.Typer(help="Airband inside a DAW.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def daw() -> None:
    """Airband inside a DAW."""


def register(program: typer.Typer) -> None:
    """Adds the commands to `program`."""
    program.add_typer(app, name="daw")


@app.command()
def install(
    host: Annotated[
        Host,
        typer.Argument(
            metavar="HOST", help="reaper, ardour, audacity, or plugin: all hosts of LV2, VST3, CLAP."
        ),
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Install into DIR instead of the host's settings folder (REAPER: its resource path), "
            "or, for plugins, instead of your home folder.",
        ),
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="For plugins: a folder of built ones, or DPF 1.6's source instead of dpf-source.",
        ),
    ] = None,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Remove what was installed.")] = False,
    state: State = None,
) -> None:
    """Install Airband into a host, or remove it.

    Plugins are built first, from the sources that come with Airband, in a minute or two; each VST3 is tried
    in a process of its own before anything is installed.
    """
    home = find_home(state)
    root = Path(os.path.abspath(into)) if into is not None else root_of(host)
    if origin is not None and (host is not Host.plugin or uninstall):
        raise UsageError("--from goes with the installation of plugins", "from")
    if uninstall:
        told = uninstall_host(host, root, home)
    elif host is Host.plugin:
        told = [*install_host(host, root, home, _built(home, origin)), "where hosts look:", *looked_at(root)]
    else:
        told = install_host(host, root, home)
    for line in told:
        typer.echo(line)


def _built(home: Home, origin: Path | None) -> Path:
    found = plugins_from(origin) if origin is not None else None
    if found is None:
        prepare(home)
        note_choices(home, ())  # the LV2 bundles list the presets by name
        typer.echo("building the plugins, a minute or two...")
        found = build_plugins(home, origin)
    for line in verify_plugins(found):
        typer.echo(line)
    return found


@app.command()
def engine(state: State = None) -> None:
    """Start the engine for plugins, if none runs.

    Native plugins run this. It returns once the engine can be reached, and prints its models and presets as
    one line of JSON.
    """
    home = find_home(state)
    with Client.connect(state=state) as client:
        models = [model.name for model in client.models]
    note_choices(home, models)
    typer.echo(json.dumps({"models": models, "presets": preset_knobs()}))


@app.command()
def reapack(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where the folder of REAPER scripts is published.")
    ],
) -> None:
    """Print the ReaPack index of the REAPER scripts.

    It is the index.xml that REAPER's package manager reads to install the scripts published at URL.
    """
    typer.echo(reapack_index(url, datetime.now(UTC)), nl=False)


@app.command("audacity-takes")
def audacity_takes(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Folder of takes, if Airband Send delivers to another one."),
    ] = None,
) -> None:
    """Put what Airband Send delivered into a running Audacity.

    Each take is imported once, at its time, on a new track. REAPER and Ardour have actions for that, which
    `airband daw install` installs.
    """
    takes, damaged = delivered_takes(takes_folder() if folder is None else folder)
    with Pipe() as pipe:
        imported = import_takes(pipe, takes)
    typer.echo("\n".join(f"{name}: imported" for name in imported) or "no new takes")
    if damaged:
        raise InputError("; ".join(damaged), "folder")
