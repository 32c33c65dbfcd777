"""A small corpus of known sounds, and the checks that all trainers' tests share."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from engine.models.audiosr.networks import Networks
from engine.training.audiosr.parts import write_part
from engine.training.data import pack
from engine.training.loop import Run
from engine.training.task import Task


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of 12 steady chords of 2 s, in two domains."""
    root = tmp_path_factory.mktemp("chords")
    t = np.arange(96000) / 48000
    for domain in ("music", "speech"):
        (root / domain).mkdir()
        for k in range(6):
            partials = [
                np.sin(2 * np.pi * f * t) / n for n, f in enumerate(220 * (1 + k) * np.arange(1, 9), 1)
            ]
            clip = 0.1 * sum(partials)
            sf.write(root / domain / f"{k}.wav", clip.astype(np.float32), 48000)
    pack([root], root / "pack.i16")
    return root / "pack.i16"


@pytest.fixture(scope="session")
def tiny(packed: Path) -> dict[str, Any]:
    """Configuration values that make a run of any trainer small."""
    return {
        "pack": str(packed),
        "held_out": 0.2,
        "batch": 2,
        "warmup_steps": 1,
        "decay_share": 0.5,
        "weight_decay": 0.0,
        "precision": "fp32",
        "checkpoint_steps": 2,
        "validation_steps": 1000,
        "validation_examples": 2,
        "threads": 1,
        "workers": 0,
    }


@pytest.fixture(scope="session")
def encoded(pristine_networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an autoencoder, `vae.safetensors`, where the first test that encodes stores `latents`."""
    folder, networks = tmp_path_factory.mktemp("encoded"), pristine_networks
    state = {n: t for n, t in networks.state_dict().items() if n.startswith(("encoder", "decoder"))}
    write_part(folder / "vae.safetensors", "vae", networks.configuration.vae, state, 0.5)
    return folder


@pytest.fixture
def as_toml() -> Callable[[dict[str, Any]], str]:
    """`as_toml(values)`: a configuration as the text of a TOML file."""

    def inline(value: Any) -> str:
        """As JSON, except for tables."""
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{name} = {inline(item)}" for name, item in value.items()) + " }"
        return json.dumps(value)

    return lambda values: "".join(f"{name} = {inline(value)}\n" for name, value in values.items())


def logged(folder: Path, part: str = "train") -> list[dict[str, str]]:
    """The rows of a run's log, without their times."""
    with (folder / "log.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == part]
    for row in rows:
        del row["seconds"]
    return rows


LOOKED_AT_STEPS = 10
"""Steps between checks of whether a loss has fallen."""


class _First(torch.utils.data.Dataset[Any]):
    """The first items of a dataset, over and over."""

    def __init__(self, whole: Any, count: int) -> None:
        self.items = [whole[index] for index in range(count)]

    def __getitem__(self, index: int) -> Any:
        return self.items[index % len(self.items)]


@pytest.fixture
def overfit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[float]]:
    """`overfit(task, name)`: trains on the first batch alone until the loss `name` is a tenth of its first
    value, or for all steps; returns that loss at each step."""

    def run(task: Task, name: str = "total") -> list[float]:
        torch.set_num_threads(1)
        losses = task.losses

        def alike(*arguments: Any) -> dict[str, torch.Tensor]:
            torch.manual_seed(0)  # a batch gets the same noise each time
            return losses(*arguments)

        monkeypatch.setattr(task, "losses", alike)
        first = _First(task.examples(validation=False), task.schedule.batch // task.examples_an_item)
        monkeypatch.setattr(task, "examples", lambda validation: first)
        monkeypatch.setattr(Run, "checkpoint", lambda self: None)
        overfitted, found = Run(task, tmp_path / "overfit"), [math.inf]
        for stop in range(LOOKED_AT_STEPS, task.schedule.steps + 1, LOOKED_AT_STEPS):
            overfitted.train(stop)
            found = [float(row[name]) for row in logged(tmp_path / "overfit")]
            if min(found) < 0.1 * found[0]:
                break
        return found

    return run


@pytest.fixture
def resumes(tmp_path: Path) -> Callable[..., None]:
    """`resumes(make_task)`: checks that a run in two pieces has the losses of a run in one."""

    def run(make_task: Callable[[], Task]) -> None:
        torch.set_num_threads(1)
        Run(make_task(), tmp_path / "whole").train()
        Run(make_task(), tmp_path / "pieces").train(stop=2)
        Run(make_task(), tmp_path / "pieces").train()
        assert logged(tmp_path / "pieces") == logged(tmp_path / "whole")
        assert logged(tmp_path / "pieces", "held-out")[-1] == logged(tmp_path / "whole", "held-out")[-1]

    return run


def means(values: Sequence[float], count: int) -> tuple[float, float]:
    """The mean of the first and of the last `count` values."""
    return sum(values[:count]) / count, sum(values[-count:]) / count
