"""Airband Render in offline bounces: what is hard for it comes back restored everywhere.

pytest -m plugin tests/bridge/daw/test_bounce.py
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

RATE = 48000
FRAMES = round(61.3 * RATE)
SILENT = (25 * RATE, 33 * RATE)
CUTOFF_HZ = 8000

pytestmark = [
    pytest.mark.plugin,
    pytest.mark.skipif(
        not Path("/usr/share/dpf").is_dir() or shutil.which("make") is None or shutil.which("g++") is None,
        reason="needs Debian's dpf-source, libzmq3-dev, libsodium-dev, nlohmann-json3-dev, g++ and make",
    ),
    pytest.mark.timeout(1800),
]


def noise() -> NDArray[np.float64]:
    """61.3 s of it, over all frequencies."""
    return 0.01 * np.random.default_rng(4).standard_normal((2, FRAMES))


def hard_case() -> NDArray[np.float32]:
    """That noise up to 8 kHz: cut hard at its end, silent in the middle, a -40 dBFS tick each second."""
    dull = sosfiltfilt(butter(16, CUTOFF_HZ, fs=RATE, output="sos"), noise())
    dull[:, ::RATE] += 0.01
    dull[:, SILENT[0] : SILENT[1]] = 0
    return np.asarray(dull, np.float32)


def levels_db(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """The level above the cut-off in each 50 ms that sounds and holds no tick."""
    high = sosfiltfilt(butter(8, 1.15 * CUTOFF_HZ, "highpass", fs=RATE, output="sos"), sound)
    cell = RATE // 20
    cells = high[:, : FRAMES // cell * cell].reshape(2, -1, cell)
    level = 10 * np.log10((cells**2).mean(axis=(0, 2)) + 1e-20)
    at = np.arange(len(level)) * cell
    ticks = (at % RATE == 0) | ((at + cell) % RATE == 0)
    silent = (at >= SILENT[0] - cell) & (at < SILENT[1] + cell)
    return np.asarray(level[~ticks & ~silent])


def assert_restored_everywhere(heard: NDArray[np.float32]) -> None:
    """What the filter took, 43 dB, is back to within 10 dB, and nowhere more than 6 dB from its usual level.

    draft stays 5 dB below white noise: most of what it learnt from falls towards the highs.
    """
    levels, lost = levels_db(heard), levels_db(np.asarray(noise(), np.float32))
    typical = float(np.median(levels))
    assert abs(typical - float(np.median(lost))) < 10
    assert np.abs(levels - typical).max() < 6


@pytest.mark.parametrize("block", [512])
def test_a_hard_bounce_in_pedalboard(
    built: Path, running: None, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    import pedalboard

    monkeypatch.setenv("AIRBAND_MODEL", "draft")
    monkeypatch.delenv("AIRBAND_RENDER_WINDOW_S")
    plugin: Any = pedalboard.load_plugin(str(built / "AirbandRender.vst3"))
    assert_restored_everywhere(plugin(hard_case(), RATE, buffer_size=block))
    plugin.raw_state = plugin.raw_state  # Pedalboard reads output parameters with the state alone
    assert plugin.windows_dry == plugin.windows_whole == 0
    assert plugin.windows_restored == 8
    assert abs(float(plugin.cutoff_found_hz) - CUTOFF_HZ) < 200


@pytest.mark.skipif(shutil.which("ardour7-lua") is None, reason="needs Debian's ardour")
def test_a_hard_bounce_in_an_ardour_export(
    ardour_export: Callable[..., Any], running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAND_MODEL", "draft")
    monkeypatch.delenv("AIRBAND_RENDER_WINDOW_S")
    track, heard, printed = ardour_export(hard_case(), "urn:airband:render")
    begins = np.flatnonzero(track.any(axis=0))[0]
    assert_restored_everywhere(heard[:, begins : begins + FRAMES])
    assert "PARAMETER 13=0.0" in printed, printed  # windows dry
