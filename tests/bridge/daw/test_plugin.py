"""The native plugins in real hosts: Pedalboard (VST3), an Ardour export (LV2) and a small CLAP host.

pytest -m plugin tests/bridge/daw/test_plugin.py
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

DPF = Path("/usr/share/dpf")
RATE = 48000
LATENCY = round((1.5 + 1) * RATE)  # of the fixture `results`
IDLE, RECORDING, SENT, ENGINE_ABSENT, FAILED, FULL, WAITS = 0, 1, 4, 5, 6, 7, 8
REAL_TIME, RESTORED, DRY = 0, 2, 3
OFF, IN_BOUNCES, ALWAYS = 0, 1, 2

pytestmark = [
    pytest.mark.plugin,
    pytest.mark.skipif(
        not DPF.is_dir() or shutil.which("make") is None or shutil.which("g++") is None,
        reason="needs Debian's dpf-source, libzmq3-dev, libsodium-dev, nlohmann-json3-dev, g++ and make",
    ),
    pytest.mark.timeout(1800),
]

Clap = Callable[..., tuple[NDArray[np.float32], dict[str, float]]]


def only_result(folder: Path) -> tuple[NDArray[np.float32], int, Path]:
    (path,) = folder.glob("*.wav")  # one that failed, or still waits, is none
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    return samples.T, rate, path


def latest(folder: Path) -> Any:
    """Loads a VST3 in this process."""
    import pedalboard

    return pedalboard.load_plugin(str(folder))


# Pedalboard, VST3


def feed(plugin: Any, frames: int = 512) -> None:
    plugin(np.zeros((2, frames), np.float32), RATE, reset=False)


def told(plugin: Any) -> Any:
    """The plugin, its output parameters as they are now: Pedalboard reads them with the state alone."""
    plugin.raw_state = plugin.raw_state
    return plugin


def state_of(plugin: Any) -> str:
    feed(plugin)
    return str(told(plugin).state)


def send_through_pedalboard(built: Path, sound: NDArray[np.float32]) -> tuple[Any, NDArray[np.float32]]:
    plugin = latest(built / "AirbandSend.vst3")
    plugin.armed = True
    heard = plugin(sound, RATE, buffer_size=512)
    plugin.armed = False
    return plugin, heard


def test_send_in_pedalboard(
    built: Path,
    sound: NDArray[np.float32],
    running: None,
    results: Path,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    plugin, heard = send_through_pedalboard(built, sound)
    np.testing.assert_array_equal(heard, sound)
    wait_until(lambda: state_of(plugin) == "Sent", "the result")
    delivered, rate, _ = only_result(results)
    assert rate == RATE
    np.testing.assert_array_equal(delivered, sound)


def test_send_in_pedalboard_waits_for_an_engine(
    built: Path,
    sound: NDArray[np.float32],
    results: Path,
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    plugin, heard = send_through_pedalboard(built, sound)
    np.testing.assert_array_equal(heard, sound)
    wait_until(lambda: state_of(plugin) == "Engine absent", "the state")
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    wait_until(lambda: state_of(plugin) == "Sent", "the result")
    np.testing.assert_array_equal(only_result(results)[0], sound)


@pytest.mark.parametrize("block", [512, 250001])
def test_render_in_pedalboard(built: Path, sound: NDArray[np.float32], running: None, block: int) -> None:
    """Pedalboard renders offline, and says so."""
    plugin = latest(built / "AirbandRender.vst3")
    plugin.cutoff_hz = 8000
    heard = plugin(sound, RATE, buffer_size=block)
    np.testing.assert_array_equal(heard, sound)
    assert told(plugin).state == "Restored"
    assert plugin.windows_dry == 0
    assert plugin.windows_restored >= 4
    assert plugin.reported_latency_samples == LATENCY


def test_render_in_pedalboard_without_an_engine(
    built: Path, sound: NDArray[np.float32], results: Path
) -> None:
    plugin = latest(built / "AirbandRender.vst3")
    np.testing.assert_array_equal(plugin(sound, RATE, buffer_size=512), sound)
    assert told(plugin).state == "Engine absent: dry"
    assert plugin.windows_restored == 0
    plugin.restore = "Off"
    np.testing.assert_array_equal(plugin(sound, RATE, buffer_size=512), sound)
    assert told(plugin).state == "Real time: dry"
    assert plugin.reported_latency_samples == 0


def test_render_tells_windows_that_miss_nothing_from_restored_ones(
    built: Path, sound: NDArray[np.float32], running: None
) -> None:
    plugin = latest(built / "AirbandRender.vst3")
    np.testing.assert_array_equal(plugin(sound, RATE, buffer_size=512), sound)
    assert told(plugin).state == "Nothing missing"
    assert plugin.windows_restored == 0
    assert plugin.windows_whole >= 4


def test_bypass_keeps_the_delay_and_asks_nobody(
    built: Path, sound: NDArray[np.float32], running: None
) -> None:
    plugin = latest(built / "AirbandRender.vst3")
    plugin.cutoff_hz, plugin.bypass = 8000, True
    np.testing.assert_array_equal(plugin(sound, RATE, buffer_size=512), sound)
    assert told(plugin).windows_restored == 0
    assert plugin.reported_latency_samples == LATENCY


def test_mono_variants_in_pedalboard(
    built: Path,
    sound: NDArray[np.float32],
    running: None,
    results: Path,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    mono = sound[:1]
    render = latest(built / "AirbandRenderMono.vst3")
    render.cutoff_hz = 8000
    np.testing.assert_array_equal(render(mono, RATE, buffer_size=512), mono)
    assert told(render).windows_restored >= 4
    send = latest(built / "AirbandSendMono.vst3")
    send.armed = True
    np.testing.assert_array_equal(send(mono, RATE, buffer_size=512), mono)
    send.armed = False

    def delivered() -> bool:
        send(np.zeros((1, 512), np.float32), RATE, reset=False)
        return bool(told(send).delivered == 1)

    wait_until(delivered, "the result")
    np.testing.assert_array_equal(only_result(results)[0], mono)


# CLAP


@pytest.mark.parametrize("stopped", [False, True], ids=["engine", "no engine"])
def test_send_in_a_clap_host(
    clap: Clap,
    sound: NDArray[np.float32],
    results: Path,
    request: pytest.FixtureRequest,
    stopped: bool,
) -> None:
    if not stopped:
        request.getfixturevalue("running")
    state = ENGINE_ABSENT if stopped else SENT
    settings = ("Armed=1", "--", "Armed=0", "until", f"State={state}")
    heard, parameters = clap("AirbandSend.clap", sound, *settings)
    np.testing.assert_array_equal(heard, sound)
    assert parameters["State"] == state
    assert parameters["Captured"] == pytest.approx(sound.shape[1] / RATE, abs=1e-3)
    assert parameters["Delivered"] == (0 if stopped else 1)
    if not stopped:
        np.testing.assert_array_equal(only_result(results)[0], sound)


@pytest.mark.parametrize("stopped", [False, True], ids=["engine", "no engine"])
def test_render_in_a_clap_host(
    clap: Clap,
    sound: NDArray[np.float32],
    results: Path,
    request: pytest.FixtureRequest,
    stopped: bool,
) -> None:
    if not stopped:
        request.getfixturevalue("running")
    padded = np.pad(sound, ((0, 0), (0, LATENCY)))
    settings = ("offline", "Cutoff=8000")
    heard, parameters = clap("AirbandRender.clap", padded, *settings)
    assert parameters["latency"] == LATENCY
    np.testing.assert_array_equal(heard[:, LATENCY:], sound)
    assert not heard[:, :LATENCY].any()
    assert parameters["State"] == (DRY if stopped else RESTORED)
    assert (parameters["Windows dry"] > 0) == stopped
    assert (parameters["Windows restored"] > 0) != stopped


# Ardour, LV2

ardour = pytest.mark.skipif(shutil.which("ardour7-lua") is None, reason="needs Debian's ardour")
Export = Callable[..., tuple[NDArray[np.float32], NDArray[np.float32], str]]


@pytest.fixture
def laid() -> NDArray[np.float32]:
    """Sound for a track: (2, 131655) float32."""
    return 0.2 * np.random.default_rng(0).standard_normal((2, 131655)).astype(np.float32)


def assert_same_beside_fades(heard: NDArray[np.float32], track: NDArray[np.float32]) -> None:
    """Equal, but for the 64 frames in which Ardour fades a region in and out."""
    heard, track = heard.copy(), track.copy()
    sounding = np.flatnonzero(track.any(axis=0))
    for edge in (sounding[0], sounding[-1] + 1):
        for samples in (heard, track):
            samples[:, edge - 64 : edge + 64] = 0
    np.testing.assert_array_equal(heard, track)


@ardour
def test_render_in_an_ardour_export(ardour_export: Export, laid: NDArray[np.float32], running: None) -> None:
    track, heard, printed = ardour_export(laid, "urn:airband:render", "3=8000")
    assert "PARAMETER 11=3.0" in printed, printed  # windows restored, because Ardour says that it exports
    assert_same_beside_fades(heard, track)


@ardour
def test_render_in_an_ardour_export_without_an_engine(
    ardour_export: Export, laid: NDArray[np.float32], results: Path
) -> None:
    track, heard, printed = ardour_export(laid, "urn:airband:render", "3=8000")
    assert "PARAMETER 13=3.0" in printed, printed  # windows dry
    assert_same_beside_fades(heard, track)


@ardour
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
