"""Every trainer killed without warning and resumed has the losses and weights of an undisturbed run."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bridge.wire.lock import FileLock
from engine.__main__ import main
from engine.training import command
from presets.errors import UsageError

UNET = {
    "in_channels": 8,
    "out_channels": 4,
    "model_channels": 32,
    "channel_mult": [1, 1],
    "num_res_blocks": 1,
    "attention_resolutions": [2],
    "num_head_channels": 16,
    "extra_sa_layer": False,
}
RUNS: dict[str, dict[str, Any]] = {
    "vae": {
        "network": {"ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "z_channels": 4, "embed_dim": 4},
        "patch": {"width": 8},
        "adversarial_from": 3,
    },
    "diffusion": {"network": UNET, "copies": 1},
    "vocoder": {"network": {"kind": "istft", "width": 48, "depth": 1}, "width": 8, "adversarial_from": 3},
    "nvsr": {"kind": "resunet", "network": {"width": 8, "depth": 2}},
    "nuwave": {"network": {"width": 16, "depth": 4, "cycle": 4}},
}
"""Small configurations of each trainer; adversarial losses begin during the run."""

DIES = """
import os, signal, sys
from engine.training.logbook import Logbook

write, replace, checkpoints = Logbook.write, os.replace, []

def write_and_die(self, part, step, *rest):
    write(self, part, step, *rest)
    if where == "after a step" and (part, step) == ("train", 5):
        os.kill(os.getpid(), signal.SIGKILL)

def die_or_replace(source, target):
    checkpoints.extend([target] if str(target).endswith("checkpoint.pt") else [])
    if where == "before a checkpoint is whole" and len(checkpoints) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

where = sys.argv.pop(1)
Logbook.write, os.replace = write_and_die, die_or_replace
from engine.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
"""A training process that kills itself at a given place, so that the test repeats."""


def losses(folder: Path) -> list[dict[str, str]]:
    """The whole log without its times."""
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("trainer", "where"),
    [
        ("nvsr", "after a step"),
        pytest.param("nvsr", "before a checkpoint is whole", marks=pytest.mark.slow),
        *(
            pytest.param(name, "after a step", marks=pytest.mark.slow)
            for name in ("vae", "diffusion", "vocoder", "nuwave")
        ),
    ],
)
def test_after_kill_9_the_same_command_gives_what_it_would_have_given(
    trainer: str,
    where: str,
    tiny: dict[str, Any],
    as_toml: Callable[[dict[str, Any]], str],
    encoded: Path,
    tmp_path: Path,
) -> None:
    values = tiny | {"steps": 7, "crop_s": 0.16} | RUNS[trainer]
    if trainer == "diffusion":
        values |= {"vae": str(encoded / "vae.safetensors"), "latents": str(tmp_path / "latents")}
    config = tmp_path / "config.toml"
    config.write_text(as_toml(values))
    command = ["train", trainer, "--config", str(config), "--out"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    died = subprocess.run(
        [sys.executable, "-c", DIES, where, *command, str(tmp_path / "killed")], env=environment, timeout=600
    )
    assert died.returncode == -signal.SIGKILL
    stands_at = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["step"]
    assert stands_at == (4 if where == "after a step" else 2)
    for name in ("killed", "whole"):
        assert main([*command, str(tmp_path / name)]) == 0
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == 7 + 1
    written = sorted(path.name for path in (tmp_path / "whole").glob("*.safetensors"))
    assert written
    for name in written:
        one, other = (load_file(tmp_path / folder / name) for folder in ("killed", "whole"))
        assert all(torch.equal(one[key], tensor) for key, tensor in other.items()), name


def test_two_processes_do_not_train_in_one_folder(
    tiny: dict[str, Any],
    as_toml: Callable[[dict[str, Any]], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "config.toml").write_text(as_toml(tiny | {"steps": 1} | RUNS["nvsr"]))
    run = ["train", "nvsr", "--config", str(tmp_path / "config.toml"), "--out", str(tmp_path / "run")]
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(command, "LOCK_WAIT_S", 0.0)
    other = FileLock(tmp_path / "run" / command.LOCK)
    assert other.acquire()
    try:
        assert main(run) == UsageError.exit_code
    finally:
        other.release()
    assert f"another process trains in {tmp_path / 'run'}; stop it" in capsys.readouterr().err
    assert not (tmp_path / "run" / "log.csv").exists()
