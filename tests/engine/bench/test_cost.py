from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.bench.cost import sox_s, soxr_s, spent

BUSY = """
import time
while time.process_time() < 0.5:
    pass
print("done", flush=True)
input()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells of another process")
def test_what_an_engines_processes_work_counts_in() -> None:
    family = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", family], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdout is not None
        cpu_s, wall_s = spent(engine.stdout.readline, engine.pid)
        alone_s, _ = spent(lambda: None)
        engine.communicate("\n")
    assert 0.4 < cpu_s < wall_s + 1
    assert alone_s < 0.1


def test_soxr_takes_longer_for_more() -> None:
    samples = np.zeros((1, 96000), np.float32)
    assert soxr_s(samples, 96000, 60) > 2 * soxr_s(samples, 96000, 6) > 0  # ten times, but for a busy machine


def test_without_sox_nothing_stands_beside_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert sox_s([Path("any.wav")]) == float("inf")
