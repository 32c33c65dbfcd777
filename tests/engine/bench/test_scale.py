from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.bench import growth, scale
from engine.local import LocalRenderer
from presets.errors import UsageError


def test_the_programme_ends_where_it_says_and_goes_on_at_its_start() -> None:
    samples = growth.programme(48000, 2)
    level = np.abs(np.fft.rfft(np.tile(samples, 2)))
    edge = int(growth.BAND_HZ * 2 * growth.LOOP_S)
    assert level[:, edge + 2 :].max() < 1e-5 * level.max()
    looped = growth.Looped(samples, 48000, 10 * 48000)
    assert np.array_equal(looped.read(growth.LOOP_S * 48000 - 5, 10)[:, 5:], samples[:, :5])


def test_a_filled_store_holds_so_many_jobs_and_takes_more(tmp_path: Path) -> None:
    clip = growth.programme(48000, 1)[:, :480]
    with LocalRenderer(tmp_path) as renderer:
        renderer.submit((clip, 48000), model="null").wait()
    growth.fill(tmp_path / "jobs.sqlite", 300)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as database:
        assert database.execute("SELECT count(DISTINCT job) FROM jobs").fetchone() == (300,)
    with LocalRenderer(tmp_path) as renderer:
        assert renderer.submit((clip, 48000), model="null", seed=1).wait().audio.shape == (1, 480)


def test_a_row_and_a_panel_for_each_point_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = (
        scale.Axis("length", "seconds of stereo", "second of one channel", "soxr", (1,)),
        scale.Axis("jobs", "jobs in the store", "job", "the first row", (1, 40)),
    )
    monkeypatch.setattr(scale, "AXES", axes)
    monkeypatch.setattr(growth, "JOBS", 2)
    assert scale.main(["--model", "draft", "--out", str(tmp_path / "new")]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["1", "1", "40"]
    assert float(rows[0].split(" | ")[2]) > 0
    assert float(rows[0].split(" | ")[7]) > 50  # MB: it holds torch
    times, _, beside, _ = rows[0].split(" | ")[8].split()
    assert beside == "soxr"
    assert float(times) > 1  # a model does more than a resampler
    assert (tmp_path / "new" / "scale.md").read_text().splitlines()[2:] == rows
    assert (tmp_path / "new" / "scale.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(scale, "measured", lambda axis, values, model: [growth.Point(7, 1, 0.5, 0.5)])
    assert scale.main(["--only", "jobs", "--out", str(tmp_path / "new")]) == 0
    merged = (tmp_path / "new" / "scale.md").read_text().splitlines()[2:]
    assert merged[0] == rows[0]
    assert [row.split(" | ")[1] for row in merged] == ["1", "7"]


def test_jobs_cost_relative_to_the_first_row() -> None:
    points = [growth.Point(1, 20, 0.2, 1.0), growth.Point(100, 40, 0.8, 1.0)]
    assert [point.times for point in growth.beside_the_first(iter(points))] == [1.0, pytest.approx(2.0)]


def test_what_is_no_table_of_an_earlier_run_stays(tmp_path: Path) -> None:
    (tmp_path / "scale.json").write_text("[1]")
    with pytest.raises(UsageError, match=r"scale\.json"):
        scale.keep({}, tmp_path)
    assert (tmp_path / "scale.json").read_text() == "[1]"


def test_an_axis_is_taken_up_to_where_it_is_told_to_end() -> None:
    taken = {axis.name: values for axis, values in scale.chosen("jobs,files:200", long=False).items()}
    assert taken == {"jobs": (1, 1000, 10000, 100000), "files": (10, 40, 200)}
    assert max(max(values) for values in scale.chosen("length", long=True).values()) == 7200


@pytest.mark.parametrize("only", ["width", "files:many"])
def test_what_is_no_axis_is_named(only: str) -> None:
    with pytest.raises(UsageError, match=only):
        scale.main(["--only", only])
