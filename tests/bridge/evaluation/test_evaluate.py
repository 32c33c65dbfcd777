"""`airband eval`: models, commands and the unprocessed input, measured alike."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner, Result

from bridge.cli import eval
from bridge.evaluation.evaluate import evaluate
from bridge.evaluation.rows import EVERY_CLIP, Row, summary, write_csv
from bridge.evaluation.systems import UNPROCESSED, label
from presets.errors import OutputError, RenderError, UsageError
from presets.version import VERSION
from render.measure import perceptual

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


@pytest.fixture(autouse=True)
def without_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `eval` were not installed: its scores take seconds per clip."""
    for name in perceptual.PACKAGES:
        monkeypatch.setitem(perceptual.PACKAGES, name, "no_such_module")


def quiet(done: int, of: int) -> None:
    assert 0 <= done <= of


def measured(data: Path, table: Path, *systems: str, cutoffs_hz: tuple[float, ...] = (8000,)) -> list[Row]:
    return evaluate(data, cutoffs_hz, systems, table, quiet)


def test_clips_in_linked_folders_are_measured_each_once(data: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    for name, to in (("music", data / "music"), ("again", data / "music"), ("round", tmp_path / "linked")):
        (tmp_path / "linked" / name).symlink_to(to)
    rows = measured(tmp_path / "linked", tmp_path / "rows.csv", UNPROCESSED)
    assert [(row.domain, row.clip) for row in rows] == [("again", "again/a.wav")]


def test_a_command_that_copies_measures_as_the_input_itself(data: Path, tmp_path: Path) -> None:
    rows = measured(data, tmp_path / "rows.csv", UNPROCESSED, COPY, cutoffs_hz=(4000, 8000))
    assert [row.key for row in rows] == [
        (system, "", clip, cutoff_hz)
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
    """Low-passed noise, made complete again: the command adds what it reads from files beside the clips."""
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
    assert repr(both[:2]) == repr(first)
    assert counted == [2, 3, 4]
    with table.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert repr(measured(data, table, UNPROCESSED)) == repr(first)


def test_a_run_killed_within_a_row_measures_that_row_again(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    rows = measured(data, table, UNPROCESSED)
    whole = table.read_bytes()
    table.write_bytes(whole[:-25])
    assert repr(measured(data, table, UNPROCESSED)) == repr(rows)
    assert table.read_bytes() == whole


def test_a_model_is_rendered_by_the_engine(data: Path, tmp_path: Path, engine: Any) -> None:
    table = tmp_path / "rows.csv"
    rows = evaluate(data, [8000], ["draft", UNPROCESSED], table, quiet, engine.home.state)
    assert all(row.lsd < 0.5 * other.lsd for row, other in zip(rows[:2], rows[2:], strict=True))
    assert all(row.null_db <= -90 and row.lag == row.length == 0 for row in rows)


def test_what_other_weights_rendered_is_measured_again(data: Path, tmp_path: Path, engine: Any) -> None:
    table = tmp_path / "rows.csv"
    (row, other) = evaluate(data, [8000], ["null"], table, quiet, engine.home.state)
    assert row.weights == f"{VERSION} none"
    kept = table.read_text().replace(row.weights, "0.0.1 none", 1)
    table.write_text(kept)
    counted: list[int] = []
    again = evaluate(data, [8000], ["null"], table, lambda done, of: counted.append(done), engine.home.state)
    assert counted == [1, 2]
    assert repr(again[1]) == repr(other)
    assert again[0].lsd == row.lsd
    assert table.read_text().startswith(kept)


def test_every_second_clip_of_a_domain_from_the_first_on(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for domain, names in {"music": "abc", "effects": "de"}.items():
        (folder / domain).mkdir(parents=True)
        for name in names:
            (folder / domain / f"{name}.wav").write_bytes((data / "music" / "a.wav").read_bytes())
    rows = evaluate(folder, [8000], [UNPROCESSED], tmp_path / "rows.csv", quiet, every=2)
    assert [row.clip for row in rows] == ["effects/d.wav", "music/a.wav", "music/c.wav"]


RATES = (
    "import sys, soundfile, soxr\n"
    "x, r = soundfile.read(sys.argv[1]); open(sys.argv[3], 'a').write(f'{r} {len(x)}\\n')\n"
    "soundfile.write(sys.argv[2], soxr.resample(x, r, 48000), 48000, subtype='FLOAT')\n"
)
"""A script that records its arguments and converts its input to 48 kHz."""


def test_speech_alone_is_rendered_again_really_resampled(data: Path, tmp_path: Path) -> None:
    """The paper's distance between two sounds equal below 8 kHz and empty above, by different low-passes."""
    folder, script, notes = tmp_path / "clips", tmp_path / "rates.py", tmp_path / "notes.txt"
    script.write_text(RATES)
    for domain in ("music", "speech"):
        (folder / domain).mkdir(parents=True)
        (folder / domain / "a.wav").write_bytes((data / "music" / "a.wav").read_bytes())
    command = f"{sys.executable} {script} {{in}} {{out}} {notes}"
    music, speech = measured(folder, tmp_path / "rows.csv", command)
    assert notes.read_text().splitlines() == ["48000 96000", "48000 96000", "16000 32000"]
    assert music.lsd == pytest.approx(speech.lsd, abs=1e-6), (
        "its other figures are of the protocol's own input"
    )
    assert music.lsd_ssr != speech.lsd_ssr
    assert music.lsd_ssr > 3 < speech.lsd_ssr


def test_a_command_may_be_shown_the_whole_clip_and_be_called_something(data: Path, tmp_path: Path) -> None:
    """An upper bound: the command returns the original."""
    script = tmp_path / "copy.py"
    script.write_text("import shutil, sys; shutil.copy(sys.argv[2], sys.argv[3])")
    command = f"the-truth={sys.executable} {script} {{in}} {{full}} {{out}}"
    rows = measured(data, tmp_path / "rows.csv", command)
    assert label(command) == "the-truth"
    assert label(f"{sys.executable} {script} {{in}} {{out}}") == "copy"
    assert label("draft:seed=1") == "draft:seed=1"
    assert all(row.lsd < 1e-6 and row.lsd_ssr < 1e-6 and row.lag == row.length == 0 for row in rows)


def test_a_command_may_stay_and_read_its_clips_from_lines(data: Path, tmp_path: Path) -> None:
    """It starts once, returns the originals, and has ended when the table is written."""
    script = tmp_path / "copy.py"
    script.write_text(
        "import os, shutil, sys\n"
        "assert sys.argv[1:] == ['-']\n"
        f"open({str(tmp_path / 'starts')!r}, 'a').write(f'{{os.getpid()}} ')\n"
        "for line in sys.stdin:\n"
        "    given, full, out = line.rstrip('\\n').split('\\t')\n"
        "    shutil.copy(full, out)\n"
        "    print('written', flush=True)\n"
    )
    rows = measured(data, tmp_path / "rows.csv", f"truth={sys.executable} {script} {{lines}}")
    assert len(rows) == 2
    assert all(row.lsd < 1e-6 for row in rows)
    (started,) = (tmp_path / "starts").read_text().split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started), 0)


def test_a_model_takes_knobs(data: Path, tmp_path: Path, engine: Any) -> None:
    systems = ["null", "draft", "draft:high_gain_db=-6,stereo=mono"]
    rows = evaluate(data, [8000], systems, tmp_path / "rows.csv", quiet, engine.home.state)
    whole, quieter = rows[2:4], rows[4:]
    for row, other in zip(whole, quieter, strict=True):
        # 6 dB on the generated band; the correction of the input's own slope just above the cut-off stays.
        assert -6.1 < other.power_db - row.power_db < -4
    with pytest.raises(UsageError, match="unknown knob 'loudness'"):
        evaluate(data, [8000], ["draft:loudness=1"], tmp_path / "rows.csv", quiet, engine.home.state)


def test_a_summary_holds_means_and_the_worst_null(data: Path, tmp_path: Path) -> None:
    rows = measured(data, tmp_path / "rows.csv", UNPROCESSED)
    lines = summary([*rows, *rows])
    assert [(line["domain"], line["clips"]) for line in lines] == [("effects", 2), ("music", 2)]
    assert lines[1]["lsd"] == pytest.approx(rows[1].lsd)
    assert lines[1]["null_db"] == -math.inf


def test_a_csv_holds_every_clip_and_every_domain(data: Path, tmp_path: Path) -> None:
    rows = measured(data, tmp_path / "rows.csv", UNPROCESSED, cutoffs_hz=(4000, 8000))
    write_csv(tmp_path / "all.csv", rows)
    with (tmp_path / "all.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["cutoff_hz"], line["clip"]) for line in lines] == [
        (cutoff, clip)
        for cutoff in ("4000.0", "8000.0")
        for name in ("effects/b.flac", "music/a.wav")
        for clip in (name, EVERY_CLIP)
    ]
    assert lines[0]["lsd_in"] == lines[1]["lsd_in"] == str(round(rows[0].lsd_in, 4))
    write_csv(tmp_path / "all.csv", rows[:1])
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 3
    (tmp_path / "mine.csv").write_text("my,own\n")
    with pytest.raises(OutputError, match="exists and is not a table"):
        write_csv(tmp_path / "mine.csv", rows)
    assert (tmp_path / "mine.csv").read_text() == "my,own\n"


def test_scores_without_their_packages_are_left_out_with_a_word(data: Path, tmp_path: Path) -> None:
    said = told(data, tmp_path / "out", "--csv", str(tmp_path / "all.csv"))
    assert "visqol" not in said.stdout
    assert "left out: visqol, zimtohrli; pip install 'airband[eval]'" in said.stderr
    assert "visqol" not in (tmp_path / "all.csv").read_text()


def test_scores_are_taken_later_of_rows_that_lack_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zimtohrli")
    table = tmp_path / "rows.csv"
    (first, _) = measured(data, table, UNPROCESSED)
    assert math.isnan(first.zimtohrli)
    monkeypatch.setitem(perceptual.PACKAGES, "zimtohrli", "zimtohrli")
    (again, _) = measured(data, table, UNPROCESSED)
    assert 1 <= again.zimtohrli < 4
    assert again.lsd == first.lsd
    assert measured(data, table, UNPROCESSED)[0].zimtohrli == again.zimtohrli


def told(data: Path, out: Path, *more: str) -> Result:
    """The output of `airband eval` for the unprocessed input at 8 kHz."""
    app = typer.Typer()
    app.callback()(lambda: None)
    eval.register(app)
    arguments = ["eval", "--data", str(data), "--cutoffs", "8000", "--system", UNPROCESSED, "-o", str(out)]
    return CliRunner().invoke(app, [*arguments, *more], env={"COLUMNS": "200"}, catch_exceptions=False)


def test_the_command_prints_a_table_and_writes_what_scripts_read(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = told(data, out)
    assert said.exit_code == 0
    assert "unprocessed" in said.stdout
    assert "effects" in said.stdout
    found = json.loads((out / "summary.json").read_text())
    assert [line["null_db"] for line in found["summary"]] == ["-inf", "-inf"]
    assert len(found["rows"]) == 2
    assert (out / "lsd_in.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_disk_without_room_for_a_commands_input_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise soundfile.LibsndfileError(2, "Error writing: ")

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(OutputError, match=r"airband-eval-\w+: cannot be written: .*; TMPDIR=FOLDER"):
        measured(data, tmp_path / "rows.csv", COPY)


@pytest.mark.parametrize(
    ("system", "error", "message"),
    [
        ("cp {in} here", UsageError, "{in} and {out}"),
        ("no-such-program {in} {out}", RenderError, "cannot be run"),
        ("no-such-program {lines}", RenderError, "cannot be run"),
        (f"{sys.executable} -c 1/0 {{lines}}", RenderError, "exit code 1: ZeroDivisionError"),
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
    with pytest.raises(UsageError, match="every = 0"):
        evaluate(data, [8000], [UNPROCESSED], table, quiet, every=0)
    with pytest.raises(UsageError, match="no such folder"):
        measured(tmp_path / "nowhere", table, UNPROCESSED)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no clips"):
        measured(tmp_path / "empty", table, UNPROCESSED)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="not a table"):
        measured(data, table, UNPROCESSED)
