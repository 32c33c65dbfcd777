"""`airband render`: runs a batch from the command line."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.batch.forecast import forecast
from bridge.batch.manifest.rows import Row, plan_rows, read
from bridge.batch.narrow import by_name, shard
from bridge.batch.plan import Item
from bridge.batch.remuxed import check_video, remuxed
from bridge.batch.results import Results, described, failed_before
from bridge.batch.run import Event, Order, Task, run_tasks, up_to
from bridge.batch.takes import check_takes, judged
from bridge.batch.throughput import Speeds, estimate
from bridge.cli.cancel import cancelling
from bridge.cli.display import Display, JsonLines, display, foretold
from bridge.cli.options import Json, State, takes_preset
from bridge.client.client import Client
from bridge.client.model_choice import choose
from bridge.wire.home import find_home
from presets.errors import AirbandError, OutputError, UsageError
from presets.printable import printable
from presets.schema import Preset
from render.files.parts import part_beside, refusal

PAGE = b'content="Airband"'
"""Text by which the head of an Airband report is recognised."""
WHICH, HOW = "Which of them", "When some fail"


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command()(render)


@takes_preset
def render(
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="OUT",
            help="A file (one input), a folder, or a template such as 'out/{parent}/{stem}-48k{ext}' "
            "({suffix} is the source's own suffix).",
        ),
    ],
    inputs: Annotated[list[str] | None, typer.Argument(metavar="IN", help="Files, folders, globs.")] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into subfolders.")] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=WHICH,
            help="A render per row: .csv, .jsonl or .yaml with the columns path, preset, out and any knob.",
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", rich_help_panel=WHICH, help="Only names (or, with a slash, paths) that match."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", rich_help_panel=WHICH, help="None that match.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="i/n", rich_help_panel=WHICH, help="Only part i of n, for one of n machines."
        ),
    ] = None,
    only_failed: Annotated[
        bool,
        typer.Option(
            "--only-failed", rich_help_panel=WHICH, help="Only those that failed, by the --results file."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be rendered, and how long it would take.")
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=HOW, help="Append a JSON line per item, as it ends."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an .html page to hear and see the results."),
    ] = None,
    takes: Annotated[
        int,
        typer.Option(
            "--takes",
            metavar="N",
            help="Render N seeds of each clip, as NAME-take1 and so on; all are kept, the best is named.",
        ),
    ] = 1,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", rich_help_panel=HOW, help="Stop at the first failure.")
    ] = False,
    max_failures: Annotated[
        int | None, typer.Option(min=1, metavar="N", rich_help_panel=HOW, help="Stop after N failures.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    remux: Annotated[
        bool,
        typer.Option(
            "--remux",
            help="For videos: also write each video with its stem as the sound, beside the stem.",
        ),
    ] = False,
    priority: Annotated[
        int, typer.Option(min=-9, max=9, metavar="N", help="Among your jobs, a higher one goes first.")
    ] = 0,
    state: State = None,
    as_json: Json = False,
    *,
    preset: Preset,
    preset_name: str,
    knobs: dict[str, Any],
    clip: bool,
) -> None:
    """Render files: new above their cut-off, the original below.

    What is done already is skipped; any other existing file is refused without --force. Ctrl-C cancels;
    the same command continues after that, or after a crash or a kill.
    """
    if only_failed and results is None:
        raise UsageError("--only-failed needs the --results of the last time", "only_failed")
    if dry_run and report is not None:
        raise UsageError("--dry-run renders nothing to report on; leave out --report", "report")
    if dry_run and results is not None and not only_failed:
        raise UsageError("--dry-run ends no item, so --results has nothing to hold; leave it out", "results")
    check_takes(takes, preset)
    rows = [Row(tuple(inputs), None, preset, preset_name, takes)] if inputs else []
    rows += read(manifest, preset, preset_name, knobs, takes, clip=clip) if manifest is not None else []
    if not rows:
        raise UsageError("nothing to render is named; give files, folders, globs, or --manifest", "inputs")
    if remux and any(row.preset.start is not None or row.preset.end is not None for row in rows):
        raise UsageError("--remux needs the whole stream rendered; leave out --start and --end", "remux")
    wanted = by_name(include or [], exclude or [])
    pairs, refused = plan_rows(rows, out, recursive=recursive, wanted=wanted)
    if part is not None:
        pairs, refused = shard(part).part(pairs, lambda pair: _clip(pair[0])), shard(part).part(refused)
    if only_failed and results is not None:
        before = failed_before(results)
        pairs = [
            (item, row)
            for item, row in pairs
            if not before.isdisjoint(map(os.path.abspath, (item.out, _clip(item))))
        ]
    failed = [Event(item, "failed", error=error) for item, error in refused]
    if not pairs and not dry_run:
        _tell_all(failed, as_json)
        if failed:
            raise typer.Exit(common_code([error for _, error in refused]))
        typer.echo("nothing to render", err=True)
        return
    speeds = Speeds(find_home(state))
    with ExitStack() as stack:
        client = stack.enter_context(Client.connect(state=state))
        tasks = [
            Task(
                item,
                Order(row.preset, row.preset_name, choose(row.preset.model, client.models), force, priority),
            )
            for item, row in pairs
        ]
        check = check_video if remux else None
        if dry_run:
            if refusals := foretold(forecast(tasks, refused, speeds, check), as_json=as_json):
                raise typer.Exit(common_code(refusals))
            return
        sinks: list[Callable[[Event], None]] = []
        if results is not None:
            sinks.append(stack.enter_context(Results(results)).add)
        if report is not None:
            sinks.append(stack.enter_context(_reported(report)))
        shown = display(as_json=as_json)
        shown.begin(len(tasks) + len(failed), tasks[0].order.choice, estimate(tasks, speeds))
        running = run_tasks(client, tasks, check)
        ended = remuxed(running, tasks) if remux else running
        events = _after(failed, judged(ended, [task.item for task in tasks]))
        most = 1 if fail_fast else max_failures
        follow(events if most is None else up_to(most, events), tasks, shown, speeds, sinks)


def _clip(item: Item) -> Path:
    """The destination that the takes of one clip share."""
    return item.out if item.take is None else item.take.clip


@contextmanager
def _reported(page: Path) -> Iterator[Callable[[Event], None]]:
    """Collects the outcome of each item; writes the page at the end, also of a cancelled batch.

    Raises:
        UsageError: the name is not that of a page, and may be that of a recording.
        OutputError: the page's folder cannot be written, or another page is there.
    """
    ended: list[Event] = []

    def add(event: Event) -> None:
        if event.what != "progress":
            ended.append(event)

    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"report = {page}: a report is a page, and its name ends in .html", "report")
    try:
        is_anothers = page.exists() and not (page.is_file() and PAGE in _head(page))
    except OSError as error:
        raise OutputError(f"{page}: {refusal(error, page)}", "report") from None
    if is_anothers:
        raise OutputError(f"{page}: exists and is not a report by Airband; choose another name", "report")
    with part_beside(page):
        pass  # an unwritable page is reported before the work, not after it
    try:
        yield add
    finally:
        from bridge.report.page import write

        typer.echo(f"airband: writing {printable(str(page))}", err=True)  # which takes seconds
        write(page, ended, title=f"Airband: {page.stem}")


def _head(page: Path) -> bytes:
    with page.open("rb") as file:
        return file.read(1024)


def _tell_all(failed: list[Event], as_json: bool) -> None:
    """Prints the error of every input, when none can be rendered and no engine is needed."""
    for event in failed:
        if as_json:
            JsonLines().show(event)
        else:
            typer.echo(f"airband: {described(event)}", err=True)


def _after(first: Iterable[Event], events: Generator[Event]) -> Generator[Event]:
    with closing(events):
        yield from first
        yield from events


def follow(
    events: Generator[Event],
    tasks: Sequence[Task],
    shown: Display,
    speeds: Speeds,
    sinks: Sequence[Callable[[Event], None]] = (),
) -> None:
    """Shows a batch to its end, passes its events to `sinks`, and measures its speed.

    Raises:
        Cancelled: on Ctrl-C.
        typer.Exit: something failed; with the code that all errors share, or else 1.
    """
    counts: Counter[str] = Counter()
    failures: list[AirbandError] = []
    orders = {task.item: task.order for task in tasks}
    began_s = time.monotonic()
    try:
        with cancelling("finished files stay, nothing is left half-written"), closing(events):
            for event in events:
                counts["unchanged" if event.unchanged else event.what] += 1
                shown.show(event)
                for sink in sinks:
                    sink(event)
                if event.error is not None and event.what == "failed":
                    failures.append(event.error)
                report = event.report if event.what == "done" and not event.unchanged else None
                if report is not None and report.generated and not report.cached:
                    audio_s = report.frames / report.rate_hz
                    order = orders[event.item]
                    speeds.add(order.choice.model, order.preset, event.seconds, audio_s)
    finally:
        shown.end(counts, time.monotonic() - began_s)
        speeds.keep()
    if failures:
        raise typer.Exit(common_code(failures))


def common_code(failures: list[AirbandError]) -> int:
    """The exit code of a command with failed files: the code that all errors share, or else 1."""
    codes = {error.exit_code for error in failures}
    return codes.pop() if len(codes) == 1 else AirbandError.exit_code
