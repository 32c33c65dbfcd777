"""Airband Render in several hosts: bounces restored or dry, sample for sample, with the reported latency.

jalv tells no plugin that it renders offline, so there Restore is set to Always. Pedalboard and DawDreamer
only render offline, and Pedalboard compensates for latency before a test can see it.
pytest -m plugin tests/bridge/daw/plugin/test_render.py
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

RATE = 48000
LATENCY_S = 2.5  # of the fixture `results`
EVERY = ("clap", "minihost", "dawdreamer", "pedalboard", "jalv")

Sound = NDArray[np.float32]
Host = Callable[..., tuple[Sound, dict[str, Any]]]


def dull(seconds: float, cutoff_hz: float) -> Sound:
    """Stereo noise up to a cut-off."""
    noise = 0.1 * np.random.default_rng(5).standard_normal((2, round(seconds * RATE)))
    return np.asarray(sosfiltfilt(butter(16, cutoff_hz, fs=RATE, output="sos"), noise), np.float32)


def counts(told: dict[str, Any]) -> tuple[int, int, int]:
    """The number of windows that were restored, complete and dry."""
    return tuple(int(told[f"Windows {word}"]) for word in ("restored", "whole", "dry"))  # type: ignore[return-value]


@pytest.mark.in_hosts(*EVERY)
def test_a_bounce_is_exact(host: Host, sound: Sound, running: None) -> None:
    """The model is `null`, which changes nothing."""
    heard, told = host("AirbandRender", sound, "offline", "Cutoff=8000")
    np.testing.assert_array_equal(heard, sound)
    assert (told["State"], told["Latency"]) == ("Restored", LATENCY_S * RATE)
    assert counts(told)[0] >= 3
    assert counts(told)[1:] == (0, 0)


@pytest.mark.in_hosts("clap", "minihost", "dawdreamer")
@pytest.mark.parametrize(("rate", "block"), [(44100, 64), (88200, 333), (96000, 250001)], ids=str)
def test_a_bounce_is_exact_at_any_rate_and_block(
    host: Host, sound: Sound, running: None, rate: int, block: int
) -> None:
    heard, told = host("AirbandRender", sound, "offline", "Cutoff=8000", rate=rate, block=block)
    np.testing.assert_array_equal(heard, sound)
    assert told["Latency"] == round(LATENCY_S * rate)
    assert counts(told)[0] >= 1
    assert counts(told)[1:] == (0, 0)


@pytest.mark.in_hosts("clap", "minihost")
def test_at_a_rate_that_no_engine_takes_a_bounce_is_dry_and_in_time(
    host: Host, sound: Sound, running: None
) -> None:
    heard, told = host("AirbandRender", np.tile(sound, 8), "offline", rate=384000)
    np.testing.assert_array_equal(heard, np.tile(sound, 8))
    assert told["Latency"] == round(LATENCY_S * 384000)
    assert counts(told)[:2] == (0, 0)
    assert counts(told)[2] >= 3


@pytest.mark.in_hosts("clap", "pedalboard")
def test_a_bounce_of_a_mono_track_is_exact(host: Host, sound: Sound, running: None) -> None:
    heard, told = host("AirbandRenderMono", sound[:1], "offline", "Cutoff=8000")
    np.testing.assert_array_equal(heard, sound[:1])
    assert counts(told)[0] >= 3


@pytest.mark.in_hosts(*EVERY)
def test_without_an_engine_a_bounce_is_dry_and_says_so(host: Host, sound: Sound, results: Path) -> None:
    heard, told = host("AirbandRender", sound, "offline", "Cutoff=8000")
    np.testing.assert_array_equal(heard, sound)
    assert (told["State"], told["Latency"]) == ("Engine absent: dry", LATENCY_S * RATE)
    assert counts(told)[:2] == (0, 0)
    assert counts(told)[2] >= 3


@pytest.mark.in_hosts(*EVERY)
def test_switched_off_it_has_no_delay_and_asks_nobody(host: Host, sound: Sound, running: None) -> None:
    heard, told = host("AirbandRender", sound, "offline", "Restore=0", "Cutoff=8000")
    np.testing.assert_array_equal(heard, sound)
    assert (told["State"], told["Latency"]) == ("Real time: dry", 0)
    assert counts(told) == (0, 0, 0)


@pytest.mark.in_hosts(*EVERY)
def test_bypassed_it_keeps_the_delay_and_asks_nobody(host: Host, sound: Sound, running: None) -> None:
    heard, told = host("AirbandRender", sound, "offline", "Bypass=1", "Cutoff=8000")
    np.testing.assert_array_equal(heard, sound)
    assert (told["State"], told["Latency"]) == ("Real time: dry", LATENCY_S * RATE)
    assert counts(told) == (0, 0, 0)


@pytest.mark.in_hosts("clap", "minihost")
def test_in_real_time_it_asks_nobody(host: Host, sound: Sound, running: None) -> None:
    heard, told = host("AirbandRender", sound, "Cutoff=8000")
    np.testing.assert_array_equal(heard, sound)
    assert (told["State"], told["Latency"]) == ("Real time: dry", LATENCY_S * RATE)
    assert counts(told) == (0, 0, 0)


@pytest.mark.in_hosts(*EVERY)
def test_windows_that_miss_nothing_are_told_from_restored_ones(
    host: Host, sound: Sound, running: None
) -> None:
    heard, told = host("AirbandRender", sound, "offline")
    np.testing.assert_array_equal(heard, sound)
    assert told["State"] == "Nothing missing"
    assert counts(told)[1] >= 3
    assert (counts(told)[0], counts(told)[2]) == (0, 0)


# Cut-offs


@pytest.mark.in_hosts("clap", "minihost")
@pytest.mark.parametrize(("one_cutoff", "last_hz"), [(0, 4000), (1, 8000)])
def test_a_bounce_may_have_one_cutoff(host: Host, running: None, one_cutoff: int, last_hz: float) -> None:
    """8 kHz for 6 s, then 4 kHz: each window uses its own cut-off, or all use the first one's."""
    sound = np.concatenate([dull(6, 8000), dull(6, 4000)], axis=1)
    heard, told = host("AirbandRender", sound, "offline", f"One cutoff={one_cutoff}")
    np.testing.assert_array_equal(heard, sound)
    assert counts(told)[2] == 0
    assert abs(told["Cutoff found"] - last_hz) < 200


@pytest.mark.in_hosts("clap", "minihost")
def test_a_window_with_too_little_sound_takes_the_cutoff_of_the_one_before(host: Host, running: None) -> None:
    """4.4 s at 8 kHz are three windows; the sixth has 0.1 s, at 4 kHz."""
    sound = np.zeros((2, 9 * RATE), np.float32)
    for start_s, seconds, cutoff_hz in ((0, 4.4, 8000), (7.7, 0.1, 4000)):
        piece = dull(seconds, cutoff_hz)
        sound[:, round(start_s * RATE) :][:, : piece.shape[1]] = piece
    told = host("AirbandRender", sound, "offline")[1]
    assert counts(told) == (4, 0, 0)
    assert abs(told["Cutoff found"] - 8000) < 200


@pytest.mark.in_hosts("clap", "minihost")
def test_a_bounce_without_a_new_start_forgets_the_one_before(host: Host, running: None) -> None:
    """As in LV2 and CLAP, whose hosts go offline while a plugin runs: 8 kHz for 6 s, then 4 kHz for 9 s."""
    sound = np.concatenate([dull(6, 8000), dull(9, 4000)], axis=1)
    changes = (f"Restore=1@{5 * RATE}", f"Restore=2@{10 * RATE}")
    told = host("AirbandRender", sound, "Restore=2", "One cutoff=1", *changes)[1]
    assert abs(told["Cutoff found"] - 4000) < 200
    assert 1 <= counts(told)[0] <= 6  # windows before the change are not counted
    assert counts(told)[1:] == (0, 0)


# Difficult hosts and engines


@pytest.mark.in_hosts("clap")  # other hosts query the latency through other formats
def test_a_host_without_clap_latency_gets_the_sound_all_the_same(host: Host, running: None) -> None:
    heard, told = host("AirbandRender", dull(5, 8000), "offline", "no-latency")
    np.testing.assert_array_equal(heard, dull(5, 8000))
    assert counts(told)[0] >= 3


@pytest.mark.in_hosts("clap", "minihost")
def test_an_engine_that_stands_still_costs_a_bounce_seconds(
    host: Host, results: Path, start_engine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 s of sound are 14 windows: the plugin waits for the first, and ever less for the others."""
    engine = start_engine()
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    os.kill(engine.process.pid, signal.SIGSTOP)
    sound = dull(20, 8000)
    began_s = time.monotonic()
    try:
        heard, told = host("AirbandRender", sound, "offline")
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    assert time.monotonic() - began_s < 40
    assert counts(told)[2] >= 13
    assert counts(told)[0] == 0
    np.testing.assert_array_equal(heard, sound)


@pytest.mark.in_hosts("clap", "minihost")
def test_whether_an_engine_lives_is_asked_of_its_socket(host: Host, sandboxed: None) -> None:
    assert counts(host("AirbandRender", dull(5, 8000), "offline")[1])[0] >= 3


@pytest.mark.in_hosts("clap", "minihost")
def test_where_a_bounce_goes_over_to_dry_sound_nothing_clicks(
    host: Host, launching: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preset halves the level; Bypass is on from 4.5 to 9 s. An abrupt switch would be a step of 0.1."""
    monkeypatch.setenv("AIRBAND_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config" / "presets").mkdir(parents=True)
    (tmp_path / "config" / "presets" / "half.toml").write_text(
        '[[effects.after]]\nname = "Gain"\nparams = { gain_db = -6.0206 }\n'
    )
    launching.mkdir(mode=0o700)
    (launching / "plugin-choices.json").write_text('{"presets": ["music", "half"], "models": ["auto"]}')
    tone = 0.2 * np.sin(2 * np.pi * 100 * np.arange(14 * RATE) / RATE)
    sound = np.tile(tone, (2, 1)).astype(np.float32)
    changes = (f"Bypass=1@{round(4.5 * RATE)}", f"Bypass=0@{9 * RATE}")
    words = ("offline", "Preset=1", "Cutoff=8000", *changes)
    heard, told = host("AirbandRender", sound, *words)
    assert counts(told)[2] == 0
    levels = np.abs(heard[0, : heard.shape[1] // 4800 * 4800]).reshape(-1, 4800).max(axis=1)
    assert (levels < 0.11).sum() > 40
    assert (levels > 0.19).sum() > 20
    assert np.abs(np.diff(heard)).max() < 1.2 * np.abs(np.diff(sound)).max() + 0.2 / (0.01 * RATE)
