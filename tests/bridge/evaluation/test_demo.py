from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.evaluation.demo import CUTOFF_HZ, FILES, Shown, demonstrate


@pytest.fixture(scope="module")
def shown(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return demonstrate(tmp_path_factory.mktemp("demo") / "out", engine.home.state)


def test_the_render_is_closer_to_the_original_and_leaves_the_low_band_alone(shown: Shown) -> None:
    assert shown.lsd_after < 0.5 * shown.lsd_before
    assert shown.null_db <= -90
    assert shown.lag == 0
    assert (shown.model, shown.why) == ("draft", "no official AudioSR weights installed")


def test_it_leaves_three_sounds_of_one_length_and_a_picture(shown: Shown) -> None:
    assert tuple(path.name for path in shown.files) == FILES
    reference, given, made = (soundfile.read(path)[0] for path in shown.files[:3])
    assert len(reference) == len(given) == len(made)
    high = slice(int(1.5 * CUTOFF_HZ * len(reference) / 48000), None)
    levels = [np.sum(np.abs(np.fft.rfft(x))[high] ** 2) for x in (reference, given, made)]
    assert levels[1] < 1e-9 * levels[0]
    assert levels[2] > 0.01 * levels[0]
    assert shown.files[3].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_again_it_replaces_its_own_files_and_measures_no_speed(
    shown: Shown, engine: Any, airband: Callable[..., Any]
) -> None:
    said = airband("demo", "-o", shown.files[0].parent, "--state", engine.home.state, "--json")
    assert said.code == 0, said
    again = said.events[0]
    assert (again["lsd_after"], again["null_db"]) == (shown.lsd_after, shown.null_db)
    assert again["work_ratio"] is None


def test_in_words(shown: Shown, engine: Any, airband: Callable[..., Any]) -> None:
    out = airband("demo", "-o", shown.files[0].parent, "--state", engine.home.state).out
    assert "model                  draft (no official AudioSR weights installed)" in out
    assert f"{shown.lsd_before:.2f} cut at 4 kHz, {shown.lsd_after:.2f} rendered" in out
    assert out.count("wrote  ") == len(FILES)


def test_a_demo_that_does_not_end_leaves_none_of_its_files(
    tmp_path: Path, airband: Callable[..., Any]
) -> None:
    (tmp_path / "no state").touch()
    said = airband("demo", "-o", tmp_path / "out", "--state", tmp_path / "no state")
    assert said.code != 0
    assert list((tmp_path / "out").iterdir()) == []


def test_a_strangers_files_are_not_replaced(engine: Any, tmp_path: Path, airband: Callable[..., Any]) -> None:
    (tmp_path / "input.wav").write_bytes(b"precious")
    said = airband("demo", "-o", tmp_path, "--state", engine.home.state)
    assert said.code == 4
    assert "is not a demo's" in said.err
    assert (tmp_path / "input.wav").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["input.wav"]
