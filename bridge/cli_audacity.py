"""`airband audacity`: what is selected in Audacity, rendered and put back on new tracks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer
from rich.console import Console

from bridge import keys
from bridge.audacity import placed, selected, taken
from bridge.audacity_pipe import Pipe
from bridge.batch import Item
from bridge.choice import choose
from bridge.cli_engine import Json, State
from bridge.cli_render import follow
from bridge.client import Client
from bridge.course import Order, run
from bridge.display import display
from bridge.knobs import takes_preset
from bridge.speeds import Speeds, estimate
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
    """Render what is selected in Audacity onto new tracks at the same time; the tracks selected stay.

    Audacity must run with its module mod-script-pipe enabled (`airband daw install audacity`).
    """
    for knob in ("start", "end", "format", "bit_depth"):
        if getattr(preset, knob) != getattr(Preset(), knob):
            flag = knob.replace("_", "-")
            raise UsageError(
                f"--{flag} has no place here: Audacity's selection and its 32-bit float decide", knob
            )
    with Pipe() as pipe, tempfile.TemporaryDirectory(prefix="airband-") as name:
        folder = Path(name).resolve()
        chosen = selected(pipe)
        stretches = taken(pipe, chosen, folder)
        results: list[Path] = []
        speeds = Speeds(keys.home(state))
        with Client.connect(state=state) as client:
            choice = choose(preset.model, client.models)
            shown = display(Console(), as_json=as_json)
            for stretch in stretches:
                item = Item(stretch.source, stretch.source.with_suffix(".airband.wav"))
                wanted = schema.make(
                    preset, start=f"{stretch.start}smp", end=f"{stretch.end}smp", format="wav", bit_depth=32
                )
                order = Order(wanted, preset_name, choice)
                shown.begin([item], choice, estimate([item], wanted, speeds.ratio(choice.model, wanted)))
                follow(run(client, [item], order), order, shown, speeds)
                results.append(item.out)
        placed(pipe, stretches, results, "Airband")
