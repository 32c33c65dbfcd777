from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile as sf
import torch

from engine.training.data import Corpus, pack
from engine.training.draft.examples import COPIES, Examples, examine
from engine.training.draft.network import load
from engine.training.draft.predictor import Config, Predictor, main
from engine.training.loop import Run
from engine.training.simulate import Variation
from engine.training.task import rate_at
from presets.errors import UsageError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for domain in ("music", "speech"):
        (root / domain).mkdir()
        for k in range(8):
            slow = np.repeat(rng.uniform(0.01, 0.3, 30), 1600)
            sf.write(
                root / domain / f"{k}.wav", (rng.standard_normal(48000) * slow).astype(np.float32), 48000
            )
    pack([root], root / "pack")
    return root


def config(corpus: Path, steps: int = 6, **more: object) -> Config:
    values = {
        "network": {"width": 16, "depth": 2},
        "corpus": [str(corpus)],
        "pack": str(corpus / "pack"),
        "shares": {"music": 1.0, "speech": 1.0},
        "held_out": 0.3,
        "cells": 1,
        "batch": COPIES,
        "steps": steps,
        "warmup_steps": 2,
        "precision": "fp32",
        "checkpoint_steps": 2,
        "validation_steps": 100,
        "validation_examples": 4,
        "threads": 1,
        "workers": 0,
    }
    return msgspec.convert(values | more, Config)


def as_toml(run: Config) -> str:
    """The configuration as a file: every value is a number, a string, a list of strings or a flat table."""
    values = msgspec.to_builtins(run)
    tables = [name for name, value in values.items() if isinstance(value, dict)]
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if name not in tables]
    for name in tables:
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in values[name].items())]
    return "\n".join(lines)


def logged(folder: Path) -> dict[tuple[str, int], list[float]]:
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["part"], int(row["step"])): [
            float(row[k]) for k in ("total", "distance", "loudness", "moments", "texture", "contour")
        ]
        for row in rows
    }


def test_a_tiny_run_learns_and_leaves_a_predictor(corpus: Path, tmp_path: Path) -> None:
    run = Run(Predictor(config(corpus, steps=16, rate=5e-3)), tmp_path)
    before = run.validate()["total"]
    run.train()
    assert logged(tmp_path)["held-out", 16][0] < before
    network = load((tmp_path / "predictor.safetensors").read_bytes(), "predictor")
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_a_run_that_was_stopped_goes_on_with_the_losses_it_would_have_had(
    corpus: Path, tmp_path: Path
) -> None:
    Run(Predictor(config(corpus)), tmp_path / "whole").train()
    Run(Predictor(config(corpus)), tmp_path / "parts").train(stop=2)
    Run(Predictor(config(corpus)), tmp_path / "parts").train()
    whole, parts = logged(tmp_path / "whole"), logged(tmp_path / "parts")
    assert all(parts[key] == pytest.approx(whole[key], abs=1e-5) for key in whole)


def test_a_run_goes_on_from_a_trained_predictor_and_resumes(corpus: Path, tmp_path: Path) -> None:
    """`--from`: weights of another run, a fresh schedule, speech brought to the average of speech."""
    Run(Predictor(config(corpus, steps=2)), tmp_path / "first").train()
    given = tmp_path / "first" / "predictor.safetensors"
    path = tmp_path / "second.toml"
    path.write_text(as_toml(config(corpus, steps=2, rate=0.0)))
    assert main(["--config", str(path), "--from", str(given), "--out", str(tmp_path / "still")]) == 0
    trained = load(given.read_bytes(), "first")
    still = load((tmp_path / "still" / "predictor.safetensors").read_bytes(), "still")
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), still.parameters(), strict=True))

    second = config(corpus, origin=str(given), variation={"speech": {"ltass": [0.5, 1.2]}})
    Run(Predictor(second), tmp_path / "whole").train()
    Run(Predictor(second), tmp_path / "parts").train(stop=3)
    Run(Predictor(second), tmp_path / "parts").train()
    whole, parts = logged(tmp_path / "whole"), logged(tmp_path / "parts")
    assert all(parts[key] == whole[key] for key in whole)


def test_weights_that_do_not_fit_or_are_not_there_are_named(corpus: Path, tmp_path: Path) -> None:
    Run(Predictor(config(corpus, steps=1)), tmp_path / "small").train()
    given = tmp_path / "small" / "predictor.safetensors"
    with pytest.raises(UsageError, match=r"predictor\.safetensors holds a predictor of other sizes"):
        Predictor(config(corpus, origin=str(given), network={"width": 24, "depth": 2}))
    with pytest.raises(UsageError, match=r"log\.csv is not a predictor"):
        Predictor(config(corpus, origin=str(tmp_path / "small" / "log.csv")))
    with pytest.raises(UsageError, match=r"nowhere\.safetensors: cannot be read"):
        Predictor(config(corpus, origin=str(tmp_path / "nowhere.safetensors")))


@pytest.mark.slow
def test_a_run_killed_with_kill_9_goes_on_with_the_same_losses(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(as_toml(config(corpus, steps=20)))
    command = [sys.executable, "-m", "engine", "train", "predictor", "--config", str(path), "--out"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, str(killed)], env=environment)
    try:
        while process.poll() is None and not (killed / "checkpoint.pt").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert main(["--config", str(path), "--out", str(killed)]) == 0
    Run(Predictor(config(corpus, steps=20)), tmp_path / "whole").train()
    whole, resumed = logged(tmp_path / "whole"), logged(killed)
    assert resumed.keys() == whole.keys()
    assert all(resumed[key] == pytest.approx(whole[key], abs=1e-4) for key in whole)


def test_worker_processes_prepare_the_same_examples(corpus: Path, tmp_path: Path) -> None:
    Run(Predictor(config(corpus, steps=3)), tmp_path / "none").train()
    Run(Predictor(config(corpus, steps=3, workers=1)), tmp_path / "one").train()
    none, one = logged(tmp_path / "none"), logged(tmp_path / "one")
    assert all(one[key] == pytest.approx(none[key], abs=1e-5) for key in none)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_to_all_processes_of_a_run_ends_it_with_a_checkpoint(
    corpus: Path, tmp_path: Path, number: signal.Signals
) -> None:
    path, out = tmp_path / "run.toml", tmp_path / "run"
    path.write_text(as_toml(config(corpus, steps=100_000, workers=2)))
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "train", "predictor", "--config", str(path), "--out", str(out)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while process.poll() is None and not (out / "checkpoint.pt").exists():
            time.sleep(0.02)
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    step = torch.load(out / "checkpoint.pt", weights_only=True)["step"]
    assert f"stopped after step {step};" in said


def test_examples_repeat_and_have_targets_only_above_the_cutoff(corpus: Path) -> None:
    part = Corpus(corpus / "pack", 0.0, False, {"music": 1.0})
    examples = Examples(part, 3, 2 * 30720, {}, 0.5)
    one, two, other = (examine(examples[k]) for k in (5, 5, 6))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert one["frames"].shape[0] == COPIES
    assert not torch.equal(one["level"], other["level"])
    for copy in range(COPIES):
        cutoff_hz = float(one["window"][copy, -1]) * 10000
        assert not one["weight"][copy, :, : int(cutoff_hz / 187.5) - 1].any()
        assert one["weight"][copy, 20:, int(cutoff_hz / 187.5) + 2 :].any()


def test_no_target_lies_above_a_clips_own_edge(corpus: Path) -> None:
    part = Corpus(corpus / "pack", 0.0, False, {"music": 1.0})
    low = {"music": Variation(cutoff_hz=(4000, 5000), speed=(0, 0, 0), edge=0, codec=0)}
    for clip in part.clips["music"]:
        object.__setattr__(clip, "band_edge_hz", 16000.0)
    weight = examine(Examples(part, 3, 2 * 30720, low, 0.0)[1])["weight"]
    assert bool((weight[:, :30, 30:84] > 0).any())
    assert not weight[..., 85:].any()


def test_the_learning_rate_rises_stays_and_falls_to_zero() -> None:
    run = msgspec.convert({"corpus": [], "pack": "", "shares": {}, "steps": 100, "warmup_steps": 10}, Config)
    rates = [rate_at(step, run) for step in range(100)]
    assert rates[0] == pytest.approx(run.rate / 10)
    assert rates[40] == run.rate
    assert rates[99] == pytest.approx(run.rate / 30)


def test_a_bad_configuration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("steps = 3\nhight = 3\n")
    with pytest.raises(UsageError, match=r"bad\.toml"):
        main(["--config", str(path), "--out", str(tmp_path / "out")])
