"""`airband presets`: lists the presets, shows one, and prints the JSON Schema for editors."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import typer

import presets
from bridge.cli.options import Json
from presets import schema

app = typer.Typer(help="List the presets, show one, print their JSON Schema.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    print_schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of a preset file, for editors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the presets, show one, print their JSON Schema."""
    if context.invoked_subcommand is not None:
        return
    if print_schema:
        typer.echo(json.dumps(schema.json_schema(), indent=2))
    elif as_json:
        typer.echo(json.dumps([_plain(name) for name in presets.names()]))
    else:
        for name in presets.names():
            typer.echo(f"{name:12} {presets.load(name).description}")


def register(program: typer.Typer) -> None:
    """Adds the commands to `program`."""
    program.add_typer(app, name="presets")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A preset or a .toml file.")],
    as_json: Json = False,
) -> None:
    """Print a preset's file.

    With --json, every knob as it will be used.
    """
    presets.load(name)
    if as_json:
        typer.echo(json.dumps(_plain(name)))
    else:
        path = presets.path_of(name)
        typer.echo(f"# {path}\n{path.read_text(encoding='utf-8').rstrip()}")


def _plain(name: str) -> dict[str, Any]:
    return {"name": name, "path": str(presets.path_of(name)), **msgspec.to_builtins(presets.load(name))}
