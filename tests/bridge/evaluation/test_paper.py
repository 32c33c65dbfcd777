"""The rows of the paper's table, with and without weights, and their Markdown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from bridge.cli import eval
from bridge.evaluation.evaluate import evaluate
from bridge.evaluation.paper import NO_WEIGHTS, NOT_TOLD, markdown, models_here, paper_rows
from render.measure import perceptual

PEER = "peer=some command {in} {out}"


@pytest.fixture(autouse=True)
def without_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `eval` were not installed."""
    for name in perceptual.PACKAGES:
        monkeypatch.setitem(perceptual.PACKAGES, name, "no_such_module")


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ready": True, "hours": None, "vocoder": False} | more


def test_without_weights_every_row_of_the_paper_stands_and_says_so() -> None:
    rows = paper_rows([model("draft", hours=1.0), model("audiosr-basic", ready=False)], [PEER])
    assert [row.label for row in rows] == [
        "Unprocessed",
        "GT-Mel, phase retrieval",
        "GT-Mel, vocoder",
        "NVSR-DNN",
        "NVSR-ResUNet",
        "NuWave",
        "AudioSR-mini",
        "AudioSR",
        "AudioSR-Speech",
        "draft",
        "peer",
    ]
    assert [row.hours for row in rows] == ["none", "none", *[NO_WEIGHTS] * 7, "1.00", NOT_TOLD]
    assert [bool(row.system) for row in rows] == [True, True, *[False] * 7, True, True]


def test_weights_that_are_here_fill_their_rows_with_the_hours_they_took() -> None:
    here = [
        model("draft"),
        model("nvsr-dnn", hours=0.25),
        model("nvsr-dnn-long", hours=9),
        model("nuwave-own", hours=0.2512),
        model("audiosr-basic", vocoder=True),
    ]
    rows = {row.label: row for row in paper_rows(here, [])}
    assert rows["NVSR-DNN (nvsr-dnn)"].hours == "0.25"
    assert rows["NVSR-DNN (nvsr-dnn-long)"].system == "nvsr-dnn-long"
    assert rows["NuWave (nuwave-own)"].system == "nuwave-own:steps=8"
    assert rows["AudioSR (audiosr-basic)"].hours == NOT_TOLD
    assert rows["GT-Mel, vocoder of audiosr-basic"].system.endswith("--vocoder audiosr-basic")
    assert rows["NVSR-ResUNet"].hours == NO_WEIGHTS


def test_the_models_here_are_those_that_airband_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path))
    listed = {m["name"]: m for m in models_here()}
    assert listed["draft"]["ready"]
    assert paper_rows(list(listed.values()), [])[-1].system == "draft"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A second of noise, of two domains."""
    x = 0.1 * np.random.default_rng(1).standard_normal(48000)
    for domain in ("music", "speech"):
        (tmp_path / "data" / domain).mkdir(parents=True)
        soundfile.write(tmp_path / "data" / domain / "a.wav", x, 48000)
    return tmp_path / "data"


def test_a_table_a_domain_with_a_line_a_row_and_cutoff(data: Path, tmp_path: Path) -> None:
    rows = paper_rows([model("draft")], [])[:3]
    measured = evaluate(data, [4000, 8000], [rows[0].system], tmp_path / "rows.csv", lambda done, of: None)
    text = markdown(rows, measured)
    assert [line for line in text.splitlines() if line.startswith("#")] == ["### Music", "### Speech"]
    music = text.split("### Speech")[0].splitlines()
    assert "`lsd_ssr`" in music[2]
    assert "visqol" not in text
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in music[4:] if line]
    assert [line[:3] for line in cells] == [
        ["Unprocessed", "none", "4 kHz"],
        ["Unprocessed", "none", "8 kHz"],
        ["GT-Mel, phase retrieval", "none", "-"],
        ["GT-Mel, vocoder", NO_WEIGHTS, "-"],
    ]
    assert len({len(line) for line in cells}) == 1
    column = [cell.strip() for cell in music[2].split("|")[1:-1]].index("`lsd`")
    assert float(cells[0][column]) > float(cells[1][column]) > 2


@pytest.mark.slow
def test_the_command_measures_a_ceiling_and_draft_and_writes_the_table(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path / "models"))
    app = typer.Typer()
    app.callback()(lambda: None)
    eval.register(app)
    out = tmp_path / "out"
    copy = (
        f'same={sys.executable} -c "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])" {{in}} {{out}}'
    )
    arguments = [
        "eval",
        "--paper",
        "--data",
        str(data),
        "--cutoffs",
        "8000",
        "--system",
        copy,
        "-o",
        str(out),
    ]
    state = ["--state", str(engine.home.state)]
    (data / "speech" / "a.wav").unlink()  # the command under test only copies, so it needs one rate
    said = CliRunner().invoke(app, [*arguments, *state], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert said.exit_code == 0
    lines = (out / "paper.md").read_text().splitlines()
    column = [cell.strip() for cell in lines[2].split("|")].index("`lsd_in`")
    found = {line.split("|")[1].strip(): line.split("|")[column].strip() for line in lines[4:] if line}
    assert float(found["GT-Mel, phase retrieval"]) < float(found["draft"]) < float(found["Unprocessed"])
    assert found["same"] == found["Unprocessed"]
    assert found["AudioSR"] == "-"
