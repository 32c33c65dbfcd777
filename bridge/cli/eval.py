"""`airband eval` on the command line: its options, progress, table and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bridge.cli.cancel import cancelling
from bridge.cli.options import State

if TYPE_CHECKING:
    from bridge.evaluation.rows import Row

LOG_COLUMNS = 200
"""Width of the table in characters, where no terminal gives one."""

CUTOFFS_HZ = (4000.0, 8000.0)


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command("eval")(evaluate)


def evaluate(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Clips, or folders of clips, one per domain.")
    ],
    cutoffs: Annotated[
        str,
        typer.Option(
            "--cutoffs",
            metavar="HZ,HZ",
            help="Where to cut the clips. [default: 4000,8000; with --paper 4000,8000,12000,16000]",
        ),
    ] = "",
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="SYSTEM",
            help="A model, optionally with knobs (draft:seed=1), `unprocessed`, or a command with {in} and "
            "{out}; repeatable. [default: draft]",
        ),
    ] = None,
    paper: Annotated[
        bool,
        typer.Option("--paper", help="Make the table of AudioSR's paper: all models here, and --system."),
    ] = False,
    every: Annotated[int, typer.Option("--every", metavar="N", help="Use every Nth clip of a domain.")] = 1,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where tables and plots go.")
    ] = Path("airband-eval"),
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Also write the figures of all clips and domains as one table."
        ),
    ] = None,
    state: State = None,
) -> None:
    """Measure models, or other systems, on full-band clips.

    Each clip is cut, rendered, and compared with the original.
    """
    from bridge.evaluation import paper as papers
    from bridge.evaluation import rows as tables
    from bridge.evaluation.evaluate import evaluate as measured
    from bridge.evaluation.systems import label
    from presets.errors import UsageError
    from render.measure.perceptual import missing
    from render.measure.plots import box_plots

    usual_hz = papers.CUTOFFS_HZ if paper else CUTOFFS_HZ
    try:
        cutoffs_hz = [float(word) for word in cutoffs.split(",")] if cutoffs else list(usual_hz)
    except ValueError:
        raise UsageError(
            f"cutoffs = {cutoffs!r}: give frequencies in Hz, like 4000,8000", "cutoffs"
        ) from None
    if table is not None:
        tables.check_csv(table)
    paper_rows = papers.paper_rows(papers.models_here(), system or []) if paper else []
    systems = [row.system for row in paper_rows if row.system] or system or ["draft"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal = Console(stderr=True)
    kept = f"what was measured stays in {out / 'rows.csv'}, and the same command continues"
    with (
        cancelling(kept),
        Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress,
    ):
        shown = progress.add_task("measuring")
        rows = measured(
            data,
            cutoffs_hz,
            systems,
            out / "rows.csv",
            lambda done, of: progress.update(shown, completed=done, total=of),
            state,
            every,
        )
    tables.write_json(out / "summary.json", rows)
    if table is not None:
        tables.write_csv(table, rows)
    groups: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        panel = groups.setdefault(f"{row.domain}, cut at {row.cutoff_hz:g} Hz", {})
        panel.setdefault(label(row.system), []).append(row.lsd_in)
    box_plots(out / "lsd_in.png", groups, "LSD-in")
    console = Console()
    if not console.is_terminal:
        console.width = LOG_COLUMNS
    absent = missing()
    console.print(_table(rows))
    if absent:
        typer.echo(f"left out: {', '.join(absent)}; pip install 'airband[eval]'", err=True)
    if paper:
        (out / "paper.md").write_text(papers.markdown(paper_rows, rows))
    names = ["rows.csv", "summary.json", "lsd_in.png", *(["paper.md"] if paper else [])]
    written = [out / name for name in names] + ([table] if table else [])
    typer.echo(f"wrote {', '.join(map(str, written))}")


def _table(rows: Sequence[Row]) -> Table:
    from bridge.evaluation.rows import FORMATS, summary
    from bridge.evaluation.systems import label
    from render.measure.perceptual import missing

    absent = missing()
    names = [name for name in FORMATS if name not in absent]
    table = Table("system", "cut at", "domain", caption="means; of the null the worst clip")
    for name in names:
        table.add_column(name, justify="right")
    for line in summary(rows):
        figures = [FORMATS[name].format(line[name]) for name in names]
        table.add_row(label(str(line["system"])), f"{line['cutoff_hz']:g}", str(line["domain"]), *figures)
    return table
