"""`airband audacity`: renders Audacity's selection and puts it back on new tracks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from bridge.batch.plan import Item
from bridge.batch.run import Order, Task, run_tasks
from bridge.batch.throughput import Speeds, estimate
from bridge.cli.display import display
from bridge.cli.options import Json, State, takes_preset
from bridge.cli.render import follow
from bridge.client.client import Client
from bridge.client.model_choice import choose
from bridge.daw.audacity.pipe import Pipe
from bridge.daw.audacity.selection import placed, selected, taken
from bridge.wire.home import find_home
from presets import schema
from presets.errors import UsageError
from presets.schema import Preset


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(audacity)


@takes_preset
def audacity(
    state: State = None,
    as_json: Json = False,
    *,
    preset: Preset,
    preset_name: str,
) -> None:
    """Render what is selected in Audacity onto new tracks.

    Each new track starts at the same time as its selection; the selected tracks stay, and one that is
    rendered whole is muted. Audacity must run with its module mod-script-pipe enabled (`airband daw
    install audacity`).
    """
    for knob in ("start", "end", "format", "bit_depth"):
        if getattr(preset, knob) != getattr(Preset(), knob):
            flag = knob.replace("_", "-")
            raise UsageError(
                f"--{flag} cannot be used here: Audacity sets the range, and takes 32-bit float", knob
            )
    with Pipe() as pipe, tempfile.TemporaryDirectory(prefix="airband-") as name:
        folder = Path(name).resolve()
        chosen = selected(pipe)
        stretches = taken(pipe, chosen, folder)
        results: list[Path] = []
        speeds = Speeds(find_home(state))
        with Client.connect(state=state) as client:
            choice = choose(preset.model, client.models)
            shown = display(as_json=as_json)
            for stretch in stretches:
                item = Item(stretch.source, stretch.source.with_suffix(".airband.wav"))
                wanted = schema.make(
                    preset, start=f"{stretch.start}smp", end=f"{stretch.end}smp", format="wav", bit_depth=32
                )
                tasks = [Task(item, Order(wanted, preset_name, choice))]
                shown.begin(1, choice, estimate(tasks, speeds))
                follow(run_tasks(client, tasks), tasks, shown, speeds)
                results.append(item.out)
        twice = placed(pipe, stretches, results, "Airband")
    if twice and not as_json:
        names = ", ".join(map(repr, twice))
        typer.echo(f"part of {names} sounds twice now, since only whole tracks are muted: mute or cut one")
