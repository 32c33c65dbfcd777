"""`airband eval` on the command line: what it takes, its progress, its table and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bridge.cli.engine import State

LOG_COLUMNS = 160
"""Width of the table where no terminal says its own."""

COLUMNS = {
    "clips": "{}",
    "lsd": "{:.2f}",
    "lsd_hf": "{:.2f}",
    "bias_db": "{:+.1f}",
    "texture": "{:.2f}",
    "envelope": "{:.2f}",
    "null_db": "{:.0f}",
    "lag": "{}",
    "length": "{:+}",
    "work_ratio": "{:.3f}",
}


def register(app: typer.Typer) -> None:
    """Adds the command to `app`."""
    app.command("eval")(evaluate)


def evaluate(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Clips, or folders of them, one a domain.")
    ],
    cutoffs: Annotated[
        str, typer.Option("--cutoffs", metavar="HZ,HZ", help="Where to cut them.")
    ] = "4000,8000",
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            help="A model, `unprocessed`, or a command with {in} and {out}; repeatable. [default: draft]",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where tables and plots go.")
    ] = Path("airband-eval"),
    state: State = None,
) -> None:
    """Measure models, or any other system, on full-band clips that are cut and rendered again."""
    from bridge.evaluation import evaluate as evaluation
    from presets.errors import UsageError
    from render.measure.plots import box_plots

    try:
        cutoffs_hz = [float(word) for word in cutoffs.split(",")]
    except ValueError:
        raise UsageError(f"cutoffs = {cutoffs!r}: give frequencies in Hz, as 4000,8000", "cutoffs") from None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("measuring")
        rows = evaluation.evaluate(
            data,
            cutoffs_hz,
            system or ["draft"],
            out / "rows.csv",
            lambda done, of: progress.update(shown, completed=done, total=of),
            state,
        )
    evaluation.write_json(out / "summary.json", rows)
    groups: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        panel = groups.setdefault(f"{row.domain}, cut at {row.cutoff_hz:g} Hz", {})
        panel.setdefault(_short(row.system), []).append(row.lsd)
    box_plots(out / "lsd.png", groups, "LSD")
    console = Console()
    if not console.is_terminal:
        console.width = LOG_COLUMNS
    console.print(_table(evaluation.summary(rows)))
    typer.echo(f"wrote {out / 'rows.csv'}, {out / 'summary.json'}, {out / 'lsd.png'}")


def _table(lines: list[dict[str, str | float | int]]) -> Table:
    table = Table("system", "cut at", "domain", caption="means; of the null the worst clip")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for line in lines:
        figures = [form.format(line[name]) for name, form in COLUMNS.items()]
        table.add_row(_short(str(line["system"])), f"{line['cutoff_hz']:g}", str(line["domain"]), *figures)
    return table


def _short(system: str) -> str:
    """A system's name: of a command, the first file that is neither an interpreter nor an argument."""
    words = [word for word in system.split() if "{" not in word]
    scripts = [Path(word).stem for word in words if Path(word).suffix in (".py", ".sh")]
    return (scripts or [Path(words[0]).name])[0]
