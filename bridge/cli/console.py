"""`airband console`: opens the console in a browser, and serves it until Ctrl-C."""

from __future__ import annotations

import json
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.options import Json, State
from bridge.wire.home import find_home

if TYPE_CHECKING:
    from bridge.console.serve import Address


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(console)


def console(
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port on 127.0.0.1; 0 takes any free one.")
    ] = 0,
    quota_gb: Annotated[
        float, typer.Option("--quota", min=0.001, metavar="GB", help="Total size of dropped files, at most.")
    ] = 10.0,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Hear, compare and steer renders in a browser, until Ctrl-C.

    The page also shows the engine's queue. The address holds a token; whoever has it gets in. Jobs belong to
    the engine, and go on after the console ends.
    """
    from bridge.console.serve import serve

    def ready(address: Address) -> None:
        typer.echo(json.dumps({"url": address.url}) if as_json else f"{address.url}\nCtrl-C ends")
        if opens:
            webbrowser.open(address.url)

    with suppress(KeyboardInterrupt):
        serve(find_home(state), port, int(1e9 * quota_gb), ready)
    if not as_json:
        typer.echo("the console has ended; jobs go on in the engine")
