"""Airband Render where sounds, hosts or engines are difficult: in the small CLAP host of these tests.

pytest -m plugin tests/bridge/daw/test_render.py
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from bridge.daw.build import DPF

RATE = 48000
DELAY = round((1.5 + 1) * RATE)  # of the fixture `results`

pytestmark = [
    pytest.mark.plugin,
    pytest.mark.skipif(not DPF.is_dir(), reason="needs Debian's dpf-source and what it is built with"),
    pytest.mark.timeout(1800),
]

Clap = Callable[..., tuple[NDArray[np.float32], dict[str, float]]]


def dull(seconds: float, cutoff_hz: float) -> NDArray[np.float32]:
    """Stereo noise up to a cut-off, followed by silence as long as the plugin's delay."""
    noise = 0.1 * np.random.default_rng(5).standard_normal((2, round(seconds * RATE)))
    filtered = sosfiltfilt(butter(16, cutoff_hz, fs=RATE, output="sos"), noise)
    return np.pad(filtered, ((0, 0), (0, DELAY))).astype(np.float32)


@pytest.mark.parametrize(("one_cutoff", "last_hz"), [(0, 4000), (1, 8000)])
def test_a_bounce_may_have_one_cutoff(clap: Clap, running: None, one_cutoff: int, last_hz: float) -> None:
    """8 kHz for 6 s, then 4 kHz: each window's own, or for all the first one's."""
    sound = np.concatenate([dull(6, 8000)[:, :-DELAY], dull(6, 4000)], axis=1)
    heard, told = clap("AirbandRender.clap", sound, "offline", f"One cutoff={one_cutoff}")
    np.testing.assert_array_equal(heard[:, DELAY:], sound[:, :-DELAY])  # the model is `null`
    assert told["Windows dry"] == 0
    assert abs(told["Cutoff found"] - last_hz) < 200


def test_a_window_with_too_little_sound_takes_the_cutoff_of_the_one_before(clap: Clap, running: None) -> None:
    """4.4 s at 8 kHz are three windows; the sixth has 0.1 s, at 4 kHz."""
    sound = np.zeros((2, 9 * RATE + DELAY), np.float32)
    for start_s, seconds, cutoff_hz in ((0, 4.4, 8000), (7.7, 0.1, 4000)):
        piece = dull(seconds, cutoff_hz)[:, :-DELAY]
        sound[:, round(start_s * RATE) :][:, : piece.shape[1]] = piece
    told = clap("AirbandRender.clap", sound, "offline")[1]
    assert (told["Windows restored"], told["Windows whole"], told["Windows dry"]) == (4, 0, 0)
    assert abs(told["Cutoff found"] - 8000) < 200


def test_a_host_without_clap_latency_gets_the_sound_all_the_same(clap: Clap, running: None) -> None:
    sound = dull(5, 8000)
    heard, told = clap("AirbandRender.clap", sound, "offline", "no-latency")
    np.testing.assert_array_equal(heard[:, DELAY:], sound[:, :-DELAY])
    assert told["Windows restored"] >= 3


def test_an_engine_that_stands_still_costs_a_bounce_seconds(
    clap: Clap, results: Path, start_engine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 s of sound are 14 windows: the first is waited for, the others less and less."""
    engine = start_engine()
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    os.kill(engine.process.pid, signal.SIGSTOP)
    sound = dull(20, 8000)
    began_s = time.monotonic()
    try:
        heard, told = clap("AirbandRender.clap", sound, "offline")
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    assert time.monotonic() - began_s < 40
    assert told["Windows dry"] >= 13
    assert told["Windows restored"] == 0
    np.testing.assert_array_equal(heard[:, DELAY:], sound[:, :-DELAY])


def test_whether_an_engine_lives_is_asked_of_its_socket(clap: Clap, sandboxed: None) -> None:
    assert clap("AirbandRender.clap", dull(5, 8000), "offline")[1]["Windows restored"] >= 3
