"""`airband eval`: models, commands and the input itself, measured alike."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from bridge.cli import eval
from bridge.evaluation.evaluate import UNPROCESSED, Row, evaluate, summary
from presets.errors import OutputError, RenderError, UsageError

COPY = f'{sys.executable} -c "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])" {{in}} {{out}}'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains: two seconds of bright noise in each, one at 44.1 kHz in stereo."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    for name, rate, channels in (("music/a.wav", 48000, 1), ("effects/b.flac", 44100, 2)):
        (folder / name).parent.mkdir()
        soundfile.write(folder / name, 0.1 * rng.standard_normal((2 * rate, channels)), rate)
    (folder / "manifest.csv").write_text("not,a,clip\n")
    return folder


def quiet(done: int, of: int) -> None:
    assert 0 <= done <= of


def measured(data: Path, table: Path, *systems: str, cutoffs_hz: tuple[float, ...] = (8000,)) -> list[Row]:
    return evaluate(data, cutoffs_hz, systems, table, quiet)


def test_a_command_that_copies_measures_as_the_input_itself(data: Path, tmp_path: Path) -> None:
    rows = measured(data, tmp_path / "rows.csv", UNPROCESSED, COPY, cutoffs_hz=(4000, 8000))
    assert [row.key for row in rows] == [
        (system, clip, cutoff_hz)
        for system in (UNPROCESSED, COPY)
        for cutoff_hz in (4000, 8000)
        for clip in ("effects/b.flac", "music/a.wav")
    ]
    for untouched, copied in zip(rows[:4], rows[4:], strict=True):
        assert untouched.domain == copied.domain == Path(untouched.clip).parent.name
        assert (copied.lsd, copied.bias_db, copied.texture) == (
            untouched.lsd,
            untouched.bias_db,
            untouched.texture,
        )
        assert (copied.null_db, copied.lag, copied.length) == (-math.inf, 0, 0)
        assert untouched.work_ratio == 0 < copied.work_ratio
    assert all(row.lsd > 5 for row in rows)


def test_a_command_that_returns_the_truth_is_perfect(data: Path, tmp_path: Path) -> None:
    """Low-pass noise, made whole again: the command adds back what it reads from beside the clips."""
    script = tmp_path / "truth.py"
    script.write_text(
        "import sys, soundfile\n"
        "x, r = soundfile.read(sys.argv[1]); y, r = soundfile.read(sys.argv[3])\n"
        "soundfile.write(sys.argv[2], y[: len(x)], r, subtype='FLOAT')\n"
    )
    only = tmp_path / "only"
    only.mkdir()
    (only / "a.wav").write_bytes((data / "music" / "a.wav").read_bytes())
    (row,) = measured(
        only, tmp_path / "rows.csv", f"{sys.executable} {script} {{in}} {{out}} {only / 'a.wav'}"
    )
    assert row.domain == "all"
    assert row.lsd < 1e-3
    assert row.texture == pytest.approx(1, abs=1e-3)
    assert row.envelope == pytest.approx(1, abs=1e-3)
    assert abs(row.bias_db) < 0.01


def test_a_run_goes_on_where_the_last_one_ended(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    first = measured(data, table, UNPROCESSED)
    counted: list[int] = []
    both = evaluate(data, [8000, 4000], [UNPROCESSED], table, lambda done, of: counted.append(done))
    assert both[:2] == first
    assert counted == [2, 3, 4]
    with table.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert measured(data, table, UNPROCESSED) == first


def test_a_model_is_rendered_by_the_engine(data: Path, tmp_path: Path, engine: Any) -> None:
    table = tmp_path / "rows.csv"
    rows = evaluate(data, [8000], ["draft", UNPROCESSED], table, quiet, engine.home.state)
    assert all(row.lsd < 0.5 * other.lsd for row, other in zip(rows[:2], rows[2:], strict=True))
    assert all(row.null_db <= -90 and row.lag == row.length == 0 for row in rows)


def test_a_summary_holds_means_and_the_worst_null(data: Path, tmp_path: Path) -> None:
    rows = measured(data, tmp_path / "rows.csv", UNPROCESSED)
    lines = summary([*rows, *rows])
    assert [(line["domain"], line["clips"]) for line in lines] == [("effects", 2), ("music", 2)]
    assert lines[1]["lsd"] == pytest.approx(rows[1].lsd)
    assert lines[1]["null_db"] == -math.inf


def test_the_command_prints_a_table_and_writes_what_scripts_read(data: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    eval.register(app)
    out = tmp_path / "out"
    arguments = ["eval", "--data", str(data), "--cutoffs", "8000", "--system", UNPROCESSED, "-o", str(out)]
    said = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"}, catch_exceptions=False)
    assert said.exit_code == 0
    assert "unprocessed" in said.stdout
    assert "effects" in said.stdout
    found = json.loads((out / "summary.json").read_text())
    assert [line["null_db"] for line in found["summary"]] == ["-inf", "-inf"]
    assert len(found["rows"]) == 2
    assert (out / "lsd.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("system", "error", "message"),
    [
        ("cp {in} here", UsageError, "{in} and {out}"),
        ("no-such-program {in} {out}", RenderError, "cannot be run"),
        (f"{sys.executable} -c pass {{in}} {{out}}", RenderError, "wrote no"),
        (f"{sys.executable} -c 1/0 {{in}} {{out}}", RenderError, "exit code 1: ZeroDivisionError"),
    ],
)
def test_a_system_that_does_not_work_is_named(
    data: Path, tmp_path: Path, system: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        measured(data, tmp_path / "rows.csv", system)


def test_what_makes_no_sense_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "rows.csv"
    with pytest.raises(UsageError, match="500 Hz is outside"):
        measured(data, table, UNPROCESSED, cutoffs_hz=(500,))
    with pytest.raises(UsageError, match="no such folder"):
        measured(tmp_path / "nowhere", table, UNPROCESSED)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no clips"):
        measured(tmp_path / "empty", table, UNPROCESSED)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="not a table"):
        measured(data, table, UNPROCESSED)
