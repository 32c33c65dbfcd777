from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.bench import audiosr
from engine.models.audiosr.networks import Networks
from presets.errors import UsageError


def test_a_clips_cost_is_the_sum_of_what_it_runs() -> None:
    seconds = {"encode": 1000.0, "unet": 1.0, "unet guided": 2.0, "decode": 10_000.0, "vocode": 100_000.0}
    seconds |= {"phase": 8.0, "unet fine": 0.125, "unet guided fine": 0.25}
    factor = {"official": 1.0, "float32": 0.5, "bfloat16": 0.25}
    costs = {
        (stage, way): audiosr.Cost(cpu_s * scale, 0.0)
        for stage, cpu_s in seconds.items()
        for way, scale in factor.items()
    }
    clips = audiosr.clip_costs(costs)
    official = 2 * 1000 + 100 * 1 + 10_000 + 100_000
    assert clips["official, 50 steps"] == official
    assert clips["float32 with two encodes and two calls, 50 steps"] == official / 2
    assert clips["product, 12 steps"] == 250 + 12 * 0.5 + 2500 + 50_000
    assert clips["product, 50 steps, bfloat16 vocoder"] == 250 + 50 * 0.5 + 2500 + 25_000
    assert clips["product, 12 steps, phase retrieval"] == 250 + 12 * 0.5 + 2500 + 4
    # Of 12 steps the first quarter is guided; the 1st, 2nd, 5th and 8th are whole, and the 4th, which is
    # the first without guidance.
    spared = 0.25 * (2 * 2 + 0.25 + 3 * 1 + 6 * 0.125)
    assert clips["product, 12 steps, spared, phase retrieval"] == 250 + spared + 2500 + 4
    without = audiosr.clip_costs({key: cost for key, cost in costs.items() if key[1] != "bfloat16"})
    assert without["product, 12 steps, phase retrieval"] == 500 + 12 * 1 + 5000 + 4


def test_every_stage_is_measured_and_agrees_with_itself(small_networks: Networks) -> None:
    with torch.inference_mode():
        inputs = audiosr.Inputs(small_networks, 64)
        costs, results = audiosr.measure({"official": small_networks, "float32": small_networks}, inputs)
    assert set(costs) == {(stage, way) for stage in inputs.stages(small_networks) for way in results}
    assert all(c.cpu_s > 0 and c.wall_s > 0 for c in costs.values())
    exact = results["float32"]
    same = audiosr.agreement(exact, results["official"])
    assert same["unet_v_relative"] == same["decoded_mel_rms"] == same["decoded_mel_max"] == 0
    off = {**exact, "decode": exact["decode"] + 0.25, "vocode": exact["vocode"] * 1.1 + 3}
    moved = audiosr.agreement(exact, off)
    assert moved["decoded_mel_max"] == pytest.approx(0.25, rel=1e-3)
    assert moved["vocoder_snr_db"] == pytest.approx(20.0, abs=0.1), "a constant is no noise"


@pytest.mark.slow
def test_a_worker_of_its_own_renders_and_tells_its_peak(small_networks: Networks) -> None:
    runs, peaks = audiosr.run_worker(small_networks, np.zeros((1, 30720), np.float32), threads=1)
    assert set(runs) == {
        f"{run}{spared}" for run in ("12 steps dpmpp_2m", "50 steps ddim") for spared in ("", " spared")
    }
    assert all(math.isfinite(run["cpu_s"]) and run["cpu_s"] > 0 for run in runs.values())
    assert 100e6 < peaks["loaded"] <= peaks["phase retrieval"] <= peaks["vocoder"] < 4e9


@pytest.mark.parametrize("seconds", ["1.0", "0", "-0.64"])
def test_seconds_are_whole_cells(seconds: str) -> None:
    with pytest.raises(UsageError, match="multiple of"):
        audiosr.main(["--seconds", seconds])
