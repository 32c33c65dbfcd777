"""`airband plugins scan`: lists the installed plugins, after trying each in the sandbox.

Each plugin's description, or its crash or hang, is kept with its size and time in `plugins.json` of the state
folder, so that the next scan loads only new ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bridge.cli.options import Json, State
from bridge.wire.home import find_home
from presets.errors import OutputError, PluginError

app = typer.Typer(help="Find and try out external plugins (VST3, Audio Unit).", rich_markup_mode=None)


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of a plugin: `type` is float, str or bool; only a float has bounds."""

    type: str
    value: str
    unit: str = ""
    min: float | None = None
    max: float | None = None


class Scanned(msgspec.Struct, frozen=True):
    """A plugin's description of itself, or how it failed.

    Attributes:
        path: of the plugin.
        size, changed_ns: of its files, to recognise an unchanged plugin.
        error: how it failed; "" when it works.
        name: its own.
        latency_frames: at 44.1 kHz.
        channels: which of 1 and 2 it accepts; a mono plugin runs once for each channel.
        parameters: by the names that a preset's `params` uses.
    """

    path: str
    size: int
    changed_ns: int
    error: str = ""
    name: str = ""
    latency_frames: int = 0
    channels: tuple[int, ...] = ()
    parameters: dict[str, Parameter] = {}


def scan(cache: Path, refresh: bool = False) -> Iterator[Scanned]:
    """Yields every plugin in the allowed folders as soon as it is known; writes the cache at the end.

    Args:
        cache: the JSON file of earlier results; created if missing, replaced if it does not parse.
        refresh: load known plugins again too.

    Raises:
        OutputError: the cache's folder cannot be made.
    """
    from render.effects.plugin_folders import installed, plugin_settings
    from render.effects.plugin_host import PluginHost

    settings = plugin_settings()
    known = {} if refresh else _read(cache)
    results: list[Scanned] = []
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{cache.parent}: cannot be made: {error.strerror}", "state") from None
    for path in installed(settings):
        size, changed_ns = _stamp(path)
        result = known.get(str(path))
        if result is None or (result.size, result.changed_ns) != (size, changed_ns):
            facts = {"path": str(path), "size": size, "changed_ns": changed_ns}
            try:
                host = PluginHost(path, None, settings)
                try:
                    facts |= host.describe()
                finally:
                    host.close()
            except PluginError as error:
                facts["error"] = error.message
            result = msgspec.convert(facts, Scanned)
        results.append(result)
        yield result
    written = cache.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # without the cache, the next scan loads them all again
        written.write_bytes(msgspec.json.encode(results))
        os.replace(written, cache)


def register(program: typer.Typer) -> None:
    """Adds the commands to `program`."""
    program.add_typer(app, name="plugins")


@app.command("scan")
def scan_command(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Load plugins again that earlier scans know.")
    ] = False,
    parameters: Annotated[bool, typer.Option("--parameters", help="List every parameter.")] = False,
    state: State = None,
    as_json: Json = False,
) -> None:
    """List the installed plugins, each tried on its own.

    Each is loaded in a process of its own, so that a crash or a hang is only reported.
    """
    found = 0
    for result in scan(find_home(state).state / "plugins.json", refresh):
        found += 1
        if as_json:
            typer.echo(json.dumps(msgspec.to_builtins(result)))
        elif result.error:
            typer.echo(f"FAILED {result.error}")
        else:
            typer.echo(_line(result))
            for name, parameter in result.parameters.items() if parameters else ():
                words = f"{name} = {parameter.value} {parameter.unit} {_bounds(parameter)}".split()
                typer.echo(f"         {' '.join(words)}")
    if not found and not as_json:
        from render.effects.plugin_folders import plugin_settings

        folders = ", ".join(map(str, plugin_settings().roots()))
        typer.echo(f"no plugins in {folders}; AIRBAND_PLUGIN_FOLDERS names other folders")


def _line(result: Scanned) -> str:
    channels = {(1,): "mono", (2,): "stereo", (1, 2): "mono and stereo"}.get(result.channels, "no channels")
    late = f", latency {result.latency_frames} frames" if result.latency_frames else ""
    return f"ok     {result.name}: {channels}{late}, {len(result.parameters)} parameters ({result.path})"


def _bounds(parameter: Parameter) -> str:
    return "" if parameter.min is None else f"({parameter.min:g} to {parameter.max:g})"


def _read(cache: Path) -> dict[str, Scanned]:
    try:
        return {result.path: result for result in msgspec.json.decode(cache.read_bytes(), type=list[Scanned])}
    except (OSError, msgspec.DecodeError):
        return {}


def _stamp(path: Path) -> tuple[int, int]:
    """Size and latest change of a plugin, which may be a file or a folder of files."""
    facts = [part.stat() for part in (path, *path.rglob("*")) if part.is_file()]
    return sum(fact.st_size for fact in facts), max((fact.st_mtime_ns for fact in facts), default=0)
