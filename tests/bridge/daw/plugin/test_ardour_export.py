"""The native plugins (LV2) in Ardour exports, which are offline although Ardour does not say so.

pytest -m plugin tests/bridge/daw/plugin/test_ardour_export.py
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(shutil.which("ardour7-lua") is None, reason="needs Debian's ardour")

Export = Callable[..., tuple[NDArray[np.float32], NDArray[np.float32], str]]


@pytest.fixture
def laid() -> NDArray[np.float32]:
    """Sound for a track: (2, 131655) float32."""
    return 0.2 * np.random.default_rng(0).standard_normal((2, 131655)).astype(np.float32)


def assert_same_beside_fades(heard: NDArray[np.float32], track: NDArray[np.float32]) -> None:
    """Checks that both are equal, except for the 64 frames of Ardour's fades at a region's ends."""
    heard, track = heard.copy(), track.copy()
    sounding = np.flatnonzero(track.any(axis=0))
    for edge in (sounding[0], sounding[-1] + 1):
        for samples in (heard, track):
            samples[:, edge - 64 : edge + 64] = 0
    np.testing.assert_array_equal(heard, track)


def test_render_in_an_ardour_export(ardour_export: Export, laid: NDArray[np.float32], running: None) -> None:
    track, heard, printed = ardour_export(laid, "urn:airband:render", "3=8000")
    assert "PARAMETER 11=3.0" in printed, printed  # three restored windows, as Ardour signals freewheeling
    assert_same_beside_fades(heard, track)


def test_render_in_an_ardour_export_without_an_engine(
    ardour_export: Export, laid: NDArray[np.float32], results: Path
) -> None:
    track, heard, printed = ardour_export(laid, "urn:airband:render", "3=8000")
    assert "PARAMETER 13=3.0" in printed, printed  # three dry windows
    assert_same_beside_fades(heard, track)


def test_send_in_an_ardour_export(
    ardour_export: Export, laid: NDArray[np.float32], running: None, results: Path
) -> None:
    track, heard, printed = ardour_export(laid, "urn:airband:send", "5=1", "6=1", "until", "7=4")
    assert_same_beside_fades(heard, track)
    for path in results.glob("*.wav"):
        assert path.stem.endswith(" at 60345") or " at 60345 (" in path.stem, printed
        delivered = sf.read(path, dtype="float32", always_2d=True)[0].T
        assert_same_beside_fades(delivered[:, : track.shape[1]], track)
    assert list(results.glob("*.wav"))
