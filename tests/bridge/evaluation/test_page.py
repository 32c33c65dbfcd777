"""The evaluation's page is true: its columns are those of the command, and its command runs."""

import re
import shlex
from pathlib import Path

import typer

from bridge.cli import eval
from bridge.evaluation.rows import FORMATS

PAGE = (Path(__file__).parents[3] / "bridge" / "evaluation" / "README.md").read_text()


def test_every_column_is_explained_in_the_order_shown() -> None:
    table = PAGE.split("| column | what it is | best |")[1].split("\n\n")[0]
    shown = re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)
    assert shown == [name for name in FORMATS if name != "clips"]


def test_the_tables_columns_are_figures() -> None:
    header = next(line for line in PAGE.splitlines() if line.startswith("| system | cut at | domain |"))
    assert set(re.findall(r"`([a-z_]+)`", header)) <= set(FORMATS)


def test_the_commands_flags_exist() -> None:
    app = typer.Typer()
    eval.register(app)
    known = {flag for option in typer.main.get_command(app).params for flag in option.opts}
    lines = re.findall(r"^\$ airband eval (.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    assert {word for line in lines for word in shlex.split(line) if word.startswith("--")} <= known
