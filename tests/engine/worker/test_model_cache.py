from __future__ import annotations

from pathlib import Path

import pytest

from engine.models.audiosr.checkpoint import write
from engine.models.audiosr.networks import Networks
from engine.worker import model_cache
from engine.worker.model_cache import ModelCache


def test_a_model_stays_loaded_until_its_file_is_replaced(
    tmp_path: Path, small_networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path))
    monkeypatch.setattr(model_cache, "LISTED_S", -1.0)
    path = tmp_path / "audiosr-small.safetensors"
    write(small_networks.state_dict(), path, small_networks.configuration, "a test")
    models = ModelCache("cpu")
    first = models.load("audiosr-small")
    assert models.load("audiosr-small") is first
    small_networks.unet.out[2].bias[0] += 1
    write(small_networks.state_dict(), path, small_networks.configuration, "a test")
    second = models.load("audiosr-small")
    listed = {model.name: model.digest for model in models.listed}
    assert first.digest != second.digest == listed["audiosr-small"]
    assert models.load("null") is models.load("null")
    assert models.load("draft") is models.load("draft")
