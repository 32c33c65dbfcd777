"""The usual render, `draft` on a processor, loads no torch, and spends neither time nor memory on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine.worker import model_cache

if TYPE_CHECKING:
    from tests.conftest import LiveEngine

ROOT = Path(__file__).parents[3]


def test_a_command_renders_where_torch_cannot_be_loaded_at_all(
    start_engine: Callable[..., LiveEngine],
    dull: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every process of the engine finds a broken torch first; the engine chooses the model."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('this torch is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    probe = [sys.executable, "-c", "import torch"]
    assert "this torch is broken" in subprocess.run(probe, capture_output=True, text=True, check=False).stderr
    engine = start_engine()
    clip, out = tmp_path / "dull.wav", tmp_path / "out.wav"
    soundfile.write(clip, dull.T, 48000, subtype="FLOAT")
    command = [sys.executable, "-c", "from bridge.cli.app import main; main()", "render", str(clip)]
    command += ["-o", str(out), "--state", str(engine.home.state), "--json"]
    rendered = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert rendered.returncode == 0, rendered.stderr + engine.log.read_text()
    report = json.loads(Path(f"{out}.airband.json").read_text())["render"]
    assert (report["model"], report["generated"]) == ("draft", True)
    samples, _ = soundfile.read(out, dtype="float32")
    bands = np.abs(np.fft.rfft(samples.T)).reshape(2, -1)
    above = slice(int(0.25 * bands.shape[1]), int(0.8 * bands.shape[1]))
    assert bands[:, above].max() > 100 * np.abs(np.fft.rfft(dull))[:, above].max()


def test_a_processor_alone_is_found_without_asking_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "LINUX_GPUS", ())
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert model_cache.available("auto") == "cpu"
    assert model_cache.available("cpu") == "cpu"


def test_torch_is_asked_where_a_gpu_may_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_cache, "LINUX_GPUS", (str(tmp_path),))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert model_cache.available("auto") == "cuda:0"
    assert model_cache.available("cuda:1") == "cuda:1"
