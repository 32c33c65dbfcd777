from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

CONFIG = """
kind = "dnn"
network = {{ width = 32, depth = 2 }}
pack = "{pack}"
held_out = 0.2
crop_s = 0.16
batch = 4
accumulation = {accumulation}
steps = 4
warmup_steps = 1
precision = "fp32"
validation_examples = 2
threads = 1
workers = 0
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_train_what_one_with_accumulation_trains(packed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    alone = [sys.executable, "-m", "engine"]
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    together += ["-m", "engine"]
    lines, weights = [], []
    for name, start, accumulation in (("alone", alone, 2), ("together", together, 1)):
        config = tmp_path / f"{name}.toml"
        config.write_text(CONFIG.format(pack=packed, accumulation=accumulation))
        command = [*start, "train", "nvsr", "--config", str(config), "--out", str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True, timeout=600)
        with (tmp_path / name / "log.csv").open(newline="") as file:
            lines.append([(row["part"], row["step"], float(row["total"])) for row in csv.DictReader(file)])
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert "all 4 steps are done" in again.stderr, "no process waits for another that has finished"
    assert [line[:2] for line in lines[0]] == [line[:2] for line in lines[1]]
    assert [line[2] for line in lines[0]] == pytest.approx([line[2] for line in lines[1]], abs=2e-5)
    for key, tensor in weights[0].items():
        assert (tensor - weights[1][key]).abs().max() < 1e-5, key
