from __future__ import annotations

import json

import pytest
import torch

from engine.bench import phase
from engine.models.audiosr.precision import probe
from presets.errors import UsageError

SMALL = {
    "hifigan": {
        "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3]],
    },
    "istft": {"kind": "istft", "width": 48, "depth": 1},
    "refined-phase": {"kind": "refined-phase", "width": 8, "depth": 1},
}


def test_every_way_makes_the_same_stretch_of_sound() -> None:
    with torch.inference_mode():
        made = {name: call() for name, call in phase.ways(SMALL, probe(32)).items()}
    assert set(made) == {"hifigan", "istft", "refined-phase", "phase"}
    assert all(abs(wave.shape[1] - 32 * 480) <= 16 for wave in made.values())
    assert all(torch.isfinite(wave).all() for wave in made.values())


def test_the_report_sets_costs_beside_that_of_hifigan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(phase, "VOCODERS", SMALL)
    assert phase.main(["--seconds", "0.64"]) == 0
    found = {line["vocoder"]: line for line in json.loads(capsys.readouterr().out)["vocoders"]}
    assert found["hifigan"]["to_hifigan"] == 1
    assert all(line["cpu_s"] > 0 for line in found.values())


def test_a_clip_without_frames_is_refused() -> None:
    with pytest.raises(UsageError, match="seconds"):
        phase.main(["--seconds", "0.001"])
