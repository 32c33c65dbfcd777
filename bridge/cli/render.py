"""`airband render`: a batch from the command line to the engine and back."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console

from bridge.batch.plan import plan
from bridge.batch.run import Event, Order, run
from bridge.batch.throughput import Speeds, estimate
from bridge.cli.display import Display, JsonLines, described, display
from bridge.cli.engine import Json, State
from bridge.cli.options import takes_preset
from bridge.client.client import Client
from bridge.client.model_choice import choose
from bridge.wire.home import find_home
from presets.errors import AirbandError, Cancelled
from presets.schema import Preset


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(render)


@takes_preset
def render(
    inputs: Annotated[list[str], typer.Argument(metavar="IN...", help="Files, folders, globs.")],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="A file (one input), a folder, or a template such as 'out/{parent}/{stem}-48k{ext}' "
            "({suffix} is the source's own ending).",
        ),
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into subfolders.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    priority: Annotated[int, typer.Option(min=-9, max=9, help="Higher goes first among your jobs.")] = 0,
    state: State = None,
    as_json: Json = False,
    *,
    preset: Preset,
    preset_name: str,
) -> None:
    """Render files: regenerate what is missing above their cut-off, keep what is below it.

    What is done already is skipped; any other existing file is refused without --force. Ctrl-C cancels.
    """
    items, refused = plan(inputs, out, preset, recursive=recursive)
    failed = [Event(item, "failed", error=error) for item, error in refused]
    if not items:
        _tell_all(failed, as_json)
        raise typer.Exit(common_code([refusal.error for refusal in refused]))
    speeds = Speeds(find_home(state))
    with Client.connect(state=state) as client:
        order = Order(preset, preset_name, choose(preset.model, client.models), force, priority)
        shown = display(Console(), as_json=as_json)
        model = order.choice.model
        ahead = estimate(items, preset, speeds.ratio(model, preset))
        shown.begin(len(items) + len(refused), order.choice, ahead)
        follow(_after(failed, run(client, items, order)), order, shown, speeds)


def _tell_all(failed: list[Event], as_json: bool) -> None:
    """What is wrong with every single input, where no engine is needed any more."""
    for event in failed:
        if as_json:
            JsonLines(sys.stdout).show(event)
        else:
            typer.echo(f"airband: {described(event)}", err=True)


def _after(first: Iterable[Event], events: Generator[Event]) -> Generator[Event]:
    with closing(events):
        yield from first
        yield from events


def follow(events: Generator[Event], order: Order, shown: Display, speeds: Speeds) -> None:
    """Shows a batch to its end, and learns how fast it went.

    Raises:
        Cancelled: at Ctrl-C.
        typer.Exit: something failed; the code is that of the errors, 1 where they differ.
    """
    counts: Counter[str] = Counter()
    failures: list[AirbandError] = []
    began_s = time.monotonic()
    try:
        with closing(events):
            for event in events:
                shown.show(event)
                counts[event.what] += 1
                if event.error is not None:
                    failures.append(event.error)
                report = event.report
                if report is not None and report.generated and not report.cached:
                    audio_s = report.frames / report.rate_hz
                    speeds.add(order.choice.model, order.preset, event.seconds, audio_s)
    except KeyboardInterrupt:
        raise Cancelled("cancelled; what is finished stays, nothing is left half-written") from None
    finally:
        shown.end(counts, time.monotonic() - began_s)
        speeds.keep()
    if failures:
        raise typer.Exit(common_code(failures))


def common_code(failures: list[AirbandError]) -> int:
    """The exit code of a command some of whose files failed: their own where they agree, else 1."""
    codes = {error.exit_code for error in failures}
    return codes.pop() if len(codes) == 1 else AirbandError.exit_code
