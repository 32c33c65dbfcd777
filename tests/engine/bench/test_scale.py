from __future__ import annotations

import sqlite3
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
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        assert database.execute("SELECT count(DISTINCT job) FROM jobs").fetchone() == (300,)
    with LocalRenderer(tmp_path) as renderer:
        assert renderer.submit((clip, 48000), model="null", seed=1).wait().audio.shape == (1, 480)


def test_a_row_and_a_panel_for_each_point_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = (
        scale.Axis("length", "seconds of stereo", "s of a channel", (1,)),
        scale.Axis("jobs", "jobs in the store", "job", (1, 40)),
    )
    monkeypatch.setattr(scale, "AXES", axes)
    monkeypatch.setattr(growth, "JOBS", 2)
    assert scale.main(["--model", "draft", "--out", str(tmp_path / "new")]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["1", "1", "40"]
    assert float(rows[0].split(" | ")[2]) > 0
    assert float(rows[0].split(" | ")[7].rstrip("| ")) > 50  # MB: it holds torch
    assert (tmp_path / "new" / "scale.md").read_text().splitlines()[2:] == rows
    assert (tmp_path / "new" / "scale.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_axis_is_named() -> None:
    with pytest.raises(UsageError, match="width"):
        scale.main(["--only", "width"])
