from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.batch.plan import Item
from bridge.batch.run import Order, Task
from bridge.batch.throughput import Speeds, estimate, length_s
from bridge.client.model_choice import Choice
from bridge.wire.home import find_home
from bridge.wire.messages import Model
from presets.schema import Preset, make

DRAFT = Model("draft", ready=True, device="cpu")
AUDIOSR = Model("audiosr-basic", ready=True, device="cuda:0")


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    for name, seconds in (("a.wav", 2), ("b.wav", 3)):
        soundfile.write(tmp_path / name, np.zeros(seconds * 8000), 8000)
    (tmp_path / "c.m4a").write_bytes(b"not for libsndfile")
    order = Order(Preset(), "music", Choice(DRAFT, "no GPU"))
    return [Task(Item(tmp_path / name, tmp_path / "out.wav"), order) for name in ("a.wav", "b.wav", "c.m4a")]


def test_what_is_not_measured_is_not_guessed(tmp_path: Path, tasks: list[Task]) -> None:
    assert Speeds(find_home(tmp_path)).ratio(DRAFT, Preset()) is None
    said = estimate(tasks, Speeds(find_home(tmp_path)))
    assert said.startswith(
        "3 files, 5.0 s of audio and 1 of unknown length; how long this takes here is not known"
    )


def test_nothing_is_guessed_of_files_that_do_not_tell_their_length(tmp_path: Path, tasks: list[Task]) -> None:
    speeds = Speeds(find_home(tmp_path))
    speeds.add(DRAFT, Preset(), work_s=2.0, audio_s=1.0)
    said = estimate(tasks[2:], speeds)
    assert said == "1 file, of unknown length, so there is no estimate"


def test_measurements_outlive_the_process_and_belong_to_model_device_and_steps(tmp_path: Path) -> None:
    speeds = Speeds(find_home(tmp_path))
    speeds.add(DRAFT, Preset(), work_s=1.0, audio_s=20.0)
    speeds.add(AUDIOSR, make(steps=50), work_s=30.0, audio_s=20.0)
    speeds.keep()
    again = Speeds(find_home(tmp_path))
    assert again.ratio(DRAFT, make(steps=3)) == pytest.approx(0.05)
    assert again.ratio(AUDIOSR, make(steps=50)) == pytest.approx(1.5)
    assert again.ratio(AUDIOSR, make(steps=8)) is None
    assert again.ratio(Model("draft", ready=True, device="mps"), Preset()) is None
    assert again.ratio(DRAFT, make(fill_holes=True)) is None


def test_new_measurements_outweigh_old_ones(tmp_path: Path) -> None:
    speeds = Speeds(find_home(tmp_path))
    speeds.add(DRAFT, Preset(), work_s=600.0, audio_s=600.0)
    speeds.add(DRAFT, Preset(), work_s=6.0, audio_s=600.0)
    assert speeds.ratio(DRAFT, Preset()) == pytest.approx((300 + 6) / (300 + 600))


def test_an_estimate_is_the_audio_times_the_ratio(tmp_path: Path, tasks: list[Task]) -> None:
    speeds = Speeds(find_home(tmp_path))
    speeds.add(DRAFT, Preset(), work_s=2.0, audio_s=1.0)
    assert "about 10.0 s of work, at the 2 s per second" in estimate(tasks[:2], speeds)
    assert "1 file, 2.0 s" in estimate(tasks[:1], speeds)


def test_what_is_there_already_is_no_work(tmp_path: Path, tasks: list[Task]) -> None:
    speeds = Speeds(find_home(tmp_path))
    speeds.add(DRAFT, Preset(), work_s=2.0, audio_s=1.0)
    item, order = tasks[0]
    done = Task(replace(item, out=tmp_path / "done.wav"), order)
    done.item.out.touch()
    assert estimate([done], speeds) == "1 file, nothing to render: the output's name is taken already"
    assert estimate([done] * 2, speeds) == "2 files, nothing to render: all outputs' names are taken already"
    assert estimate([done, tasks[1]], speeds).startswith(
        "1 of 2 files to render, 3.0 s of audio; about 6.0 s"
    )
    for works in (Task(done.item, replace(order, force=True)), Task(Item(item.source, item.source), order)):
        assert "2.0 s of audio; about 4.0 s" in estimate([works], speeds)


@pytest.mark.parametrize(
    ("knobs", "seconds"), [({"start": 1}, 3.0), ({"end": "8000smp"}, 2.0), ({"start": 1, "end": 2.5}, 2.5)]
)
def test_a_selection_counts_for_its_length(
    tasks: list[Task], knobs: dict[str, object], seconds: float
) -> None:
    lengths = [length_s(task.item.source, make(**knobs)) for task in tasks]
    assert lengths == [pytest.approx(lengths[0]), pytest.approx(seconds - (lengths[0] or 0)), None]


def test_mp3_tells_its_length_and_a_flac_of_a_pipe_none(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 30000)
    soundfile.write(tmp_path / "a.mp3", noise, 22050)
    assert length_s(tmp_path / "a.mp3", Preset()) == pytest.approx(30000 / 22050, abs=0.1)
    soundfile.write(tmp_path / "a.flac", noise, 22050)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    assert content[:4] == b"fLaC"
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # as from an encoder that cannot go back to write the count
    (tmp_path / "a.flac").write_bytes(content)
    assert length_s(tmp_path / "a.flac", Preset()) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"draft cpu": 3}'])
def test_a_damaged_file_only_means_that_nothing_is_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "speeds.json").write_text(text)
    assert Speeds(find_home(tmp_path)).ratio(DRAFT, Preset()) is None


def test_a_folder_that_is_not_there_keeps_none(tmp_path: Path) -> None:
    speeds = Speeds(find_home(tmp_path / "none"))
    speeds.add(DRAFT, Preset(), 1.0, 1.0)
    speeds.keep()
    assert not (tmp_path / "none").exists()
