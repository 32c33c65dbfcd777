"""`airband keys`: CURVE keys for engines that are reached over tcp."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bridge.cli.options import Json, State
from bridge.wire.curve_keys import allow, allowed, own_keys, revoke
from bridge.wire.home import find_home

app = typer.Typer(
    help="Who may reach an engine over tcp.",
    no_args_is_help=True,
)


A_KEY_MAY_BEGIN_WITH_A_DASH = {"ignore_unknown_options": True}


def register(program: typer.Typer) -> None:
    """Adds the commands to `program`."""
    program.add_typer(app, name="keys")


@app.command()
def new(state: State = None, as_json: Json = False) -> None:
    """Print this machine's public key, to be allowed on other machines.

    The key pair is made on first use; its secret half stays in the state folder.
    """
    public = own_keys(find_home(state).state).public
    typer.echo(json.dumps({"key": public}) if as_json else public)


@app.command(name="allow", context_settings=A_KEY_MAY_BEGIN_WITH_A_DASH)
def allow_key(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="40 characters, from `airband keys new` on that machine.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in `airband keys list`.")] = "",
    state: State = None,
) -> None:
    """Let a key connect to this machine's engine over tcp.

    This takes effect at once, also for a running engine.
    """
    allow(find_home(state).allow_list, key, name)


@app.command(name="list")
def list_keys(state: State = None, as_json: Json = False) -> None:
    """List the engine's public key, and the keys that may connect.

    Clients pass the engine's key as `server_key`.
    """
    home = find_home(state)
    engine, clients = own_keys(home.state, "engine").public, allowed(home.allow_list)
    if as_json:
        typer.echo(json.dumps({"engine": engine, "allowed": clients}))
        return
    typer.echo(f"engine   {engine}")
    for key, name in clients.items():
        typer.echo(f"allowed  {key} {name}".rstrip())


@app.command(name="revoke", context_settings=A_KEY_MAY_BEGIN_WITH_A_DASH)
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key, or its name.")],
    state: State = None,
) -> None:
    """Stop a key from connecting.

    Its open connections are refused at once, too.
    """
    revoke(find_home(state).allow_list, key)
