"""`airband watch`: a hot folder. Bounces go in, restored files come out, until Ctrl-C."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from bridge.batch.hot_folder import HotFolder, rounds
from bridge.batch.occasions import occasions
from bridge.batch.results import described
from bridge.batch.sources import named
from bridge.cli.display import JsonLines
from bridge.cli.options import Json, State, takes_preset
from bridge.client.client import Client
from presets.printable import printable
from presets.schema import Preset


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(watch)


@takes_preset
def watch(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where files arrive.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Where the results go.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Watch subfolders too.")] = False,
    settle_s: Annotated[
        float,
        typer.Option(
            "--settle", min=0.05, max=3600, metavar="S", help="Seconds for which a file must not change."
        ),
    ] = 1.0,
    state: State = None,
    as_json: Json = False,
    *,
    preset: Preset,
    preset_name: str,
) -> None:
    """Render what arrives in a folder, until Ctrl-C.

    A file is rendered once it has stopped growing. Files already done are not rendered again, even after a
    restart. A file `airband.toml` in the folder is a preset for its files, instead of the flags. Results
    are never rendered, and never deleted.
    """
    watched, results = Path(named(folder, "folder")), Path(named(out, "out"))
    hot = HotFolder(watched, results, preset, preset_name, recursive=recursive, settle_s=settle_s)
    log = JsonLines()
    with Client.connect(state=state) as client:
        _say("watching", f"{folder} -> {out}; Ctrl-C ends", as_json)
        try:
            for _ in occasions(hot, settle_s):
                with closing(rounds(hot, client)) as events:
                    for event in events:
                        if as_json:
                            log.show(event)
                        elif event.what in ("done", "failed"):
                            _say(event.what, described(event), as_json)
        except KeyboardInterrupt:
            _say("end", "ended; finished files stay, nothing is left half-written", as_json)


def _say(what: str, text: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"what": what, "text": text}), flush=True)
    else:
        print(f"{time.strftime('%H:%M:%S')} {printable(text)}", flush=True)
