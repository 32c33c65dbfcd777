"""`airband eval` on the command line: what it takes, its progress, its table and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bridge.cli.engine import State

LOG_COLUMNS = 200
"""Width of the table where no terminal says its own."""

COLUMNS = {
    "clips": "{}",
    "lsd": "{:.2f}",
    "lsd_hf": "{:.2f}",
    "lsd_in": "{:.2f}",
    "bias_db": "{:+.1f}",
    "power_db": "{:+.1f}",
    "power_abs_db": "{:.1f}",
    "shelf_db": "{:+.1f}",
    "visqol": "{:.2f}",
    "zimtohrli": "{:.2f}",
    "texture": "{:.2f}",
    "partials": "{:.2f}",
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
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Every clip's figures, and every domain's, in one table."),
    ] = None,
    state: State = None,
) -> None:
    """Measure models, or any other system, on full-band clips that are cut and rendered again."""
    from bridge.evaluation import rows as tables
    from bridge.evaluation.evaluate import evaluate as measured
    from presets.errors import UsageError
    from render.measure.perceptual import missing
    from render.measure.plots import box_plots

    try:
        cutoffs_hz = [float(word) for word in cutoffs.split(",")]
    except ValueError:
        raise UsageError(f"cutoffs = {cutoffs!r}: give frequencies in Hz, as 4000,8000", "cutoffs") from None
    if table is not None:
        tables.check_csv(table)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("measuring")
        rows = measured(
            data,
            cutoffs_hz,
            system or ["draft"],
            out / "rows.csv",
            lambda done, of: progress.update(shown, completed=done, total=of),
            state,
        )
    tables.write_json(out / "summary.json", rows)
    if table is not None:
        tables.write_csv(table, rows)
    groups: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        panel = groups.setdefault(f"{row.domain}, cut at {row.cutoff_hz:g} Hz", {})
        panel.setdefault(_short(row.system), []).append(row.lsd_in)
    box_plots(out / "lsd_in.png", groups, "LSD-in")
    console = Console()
    if not console.is_terminal:
        console.width = LOG_COLUMNS
    absent = missing()
    console.print(_table(tables.summary(rows), [name for name in COLUMNS if name not in absent]))
    if absent:
        typer.echo(f"left out: {', '.join(absent)}; pip install 'airband[eval]'", err=True)
    written = [out / name for name in ("rows.csv", "summary.json", "lsd_in.png")] + ([table] if table else [])
    typer.echo(f"wrote {', '.join(map(str, written))}")


def _table(lines: list[dict[str, str | float | int]], names: list[str]) -> Table:
    table = Table("system", "cut at", "domain", caption="means; of the null the worst clip")
    for name in names:
        table.add_column(name, justify="right")
    for line in lines:
        figures = [COLUMNS[name].format(line[name]) for name in names]
        table.add_row(_short(str(line["system"])), f"{line['cutoff_hz']:g}", str(line["domain"]), *figures)
    return table


def _short(system: str) -> str:
    """A system's name: of a command, the first file that is neither an interpreter nor an argument."""
    words = [word for word in system.split() if "{" not in word]
    scripts = [Path(word).stem for word in words if Path(word).suffix in (".py", ".sh")]
    return (scripts or [Path(words[0]).name])[0]
