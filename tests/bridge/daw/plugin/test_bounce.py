"""Airband Render in offline bounces: a difficult sound comes back restored everywhere.

pytest -m plugin tests/bridge/daw/plugin/test_bounce.py
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from bridge import Client

RATE = 48000
FRAMES = round(61.3 * RATE)
SILENT = (25 * RATE, 33 * RATE)
CUTOFF_HZ = 8000


def noise() -> NDArray[np.float64]:
    """61.3 s of white noise."""
    return 0.01 * np.random.default_rng(4).standard_normal((2, FRAMES))


def hard_case() -> NDArray[np.float32]:
    """That noise up to 8 kHz: ends abruptly, is silent in the middle, with a -40 dBFS tick every second."""
    dull = sosfiltfilt(butter(16, CUTOFF_HZ, fs=RATE, output="sos"), noise())
    dull[:, ::RATE] += 0.01
    dull[:, SILENT[0] : SILENT[1]] = 0
    return np.asarray(dull, np.float32)


def levels_db(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """The level above the cut-off in each 50 ms; NaN for silence and ticks."""
    high = sosfiltfilt(butter(8, 1.15 * CUTOFF_HZ, "highpass", fs=RATE, output="sos"), sound)
    cell = RATE // 20
    cells = high[:, : FRAMES // cell * cell].reshape(2, -1, cell)
    level = 10 * np.log10((cells**2).mean(axis=(0, 2)) + 1e-20)
    at = np.arange(len(level)) * cell
    level[(at % RATE == 0) | ((at + cell) % RATE == 0)] = np.nan
    level[(at >= SILENT[0] - cell) & (at < SILENT[1] + cell)] = np.nan
    return np.asarray(level)


def window_levels_db(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """The median of these levels in each window of 8 s of the plugin that is not silent."""
    levels = levels_db(sound)
    windows = [levels[at : at + 160] for at in range(0, len(levels), 160)]
    return np.array([np.nanmedian(window) for window in windows if np.isfinite(window).any()])


@pytest.fixture(scope="module")
def at_once(engine: Any) -> NDArray[np.float32]:
    """The same engine's result for the whole clip, sent as one file."""
    with Client.connect(state=engine.home.state, start=False) as client:
        audio = client.submit((hard_case(), RATE), "music", model="draft").wait().audio
    assert audio is not None
    return np.asarray(audio)


def assert_restored_everywhere(heard: NDArray[np.float32], at_once: NDArray[np.float32]) -> None:
    """No 50 ms are more than 6 dB off the usual level, no window is 1.5 dB off that of the whole clip at
    once.

    The filter removed 43 dB. All but 5 to 10 dB of them are back: draft stays below white noise, since most
    of its training data falls towards the highs. It also gives stretches of one noise, in one clip, levels
    1.4 dB apart, and the plugin's windows are cut at other places than its own.
    """
    levels, lost = levels_db(heard), levels_db(np.asarray(noise(), np.float32))
    typical = float(np.nanmedian(levels))
    assert abs(typical - float(np.nanmedian(lost))) < 10
    assert np.nanmax(np.abs(levels - typical)) < 6
    np.testing.assert_allclose(window_levels_db(heard), window_levels_db(at_once), rtol=0, atol=1.5)


@pytest.mark.parametrize("block", [512])
def test_a_hard_bounce_in_pedalboard(
    built: Path, running: None, at_once: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    import pedalboard

    monkeypatch.setenv("AIRBAND_MODEL", "draft")
    monkeypatch.delenv("AIRBAND_RENDER_WINDOW_S")
    plugin: Any = pedalboard.load_plugin(str(built / "AirbandRender.vst3"))
    assert_restored_everywhere(plugin(hard_case(), RATE, buffer_size=block), at_once)
    plugin.raw_state = plugin.raw_state  # Pedalboard reads output parameters only with the state
    assert plugin.windows_dry == plugin.windows_whole == 0
    assert plugin.windows_restored == 8
    assert abs(float(plugin.cutoff_found_hz) - CUTOFF_HZ) < 200


@pytest.mark.skipif(shutil.which("ardour7-lua") is None, reason="needs Debian's ardour")
def test_a_hard_bounce_in_an_ardour_export(
    ardour_export: Callable[..., Any],
    running: None,
    at_once: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRBAND_MODEL", "draft")
    monkeypatch.delenv("AIRBAND_RENDER_WINDOW_S")
    track, heard, printed = ardour_export(hard_case(), "urn:airband:render")
    begins = np.flatnonzero(track.any(axis=0))[0]
    assert_restored_everywhere(heard[:, begins : begins + FRAMES], at_once)
    assert "PARAMETER 13=0.0" in printed, printed  # dry windows
