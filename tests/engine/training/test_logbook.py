"""TensorBoard shows a run's losses, and a held-out example as pictures and sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.training import nvsr
from engine.training.audiosr import diffusion, vae, vocoder
from engine.training.loop import Run
from engine.training.task import Task
from tests.engine.training.test_kills import RUNS

TRAINERS: dict[str, tuple[Callable[[Any], Task], type[Any], set[str], set[str]]] = {
    "vae": (vae.Autoencoder, vae.Config, {"mel", "mel decoded"}, set()),
    "diffusion": (
        diffusion.Diffusion,
        diffusion.Config,
        {"mel decoded", "mel sampled"},
        {"decoded", "sampled"},
    ),
    "vocoder": (vocoder.VocoderTask, vocoder.Config, {"mel", "mel again"}, {"real", "made"}),
    "nvsr": (nvsr.MelPrediction, nvsr.Config, {"mel", "mel predicted"}, {"real", "made"}),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_pictures_and_sounds_of_a_held_out_example_are_written(
    name: str, tiny: dict[str, Any], encoded: Path, tmp_path: Path
) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer, config, pictures, sounds = TRAINERS[name]
    values = tiny | {"steps": 1, "crop_s": 0.16, "tensorboard": True} | RUNS[name]
    if name == "diffusion":
        values |= {"vae": str(encoded / "vae.safetensors"), "latents": str(encoded / "latents")}
    Run(trainer(msgspec.convert(values, config)), tmp_path / "run").train()
    written = events.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload().Tags()
    assert {"train/total", "held-out/total"} <= set(written["scalars"])
    assert set(written["images"]) == pictures
    assert set(written["audio"]) == sounds
