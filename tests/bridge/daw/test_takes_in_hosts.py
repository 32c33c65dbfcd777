"""Takes and bounces where sounds, engines and folders are difficult: VST3 in minihost, DawDreamer, others.

What test_takes.py, test_render.py and test_launch.py ask of a small CLAP host is asked of real ones here.
pip install dawdreamer minihost; pytest -m plugin tests/bridge/daw/test_takes_in_hosts.py
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from bridge.daw.build import DPF

RATE = 48000

pytestmark = [
    pytest.mark.plugin,
    pytest.mark.skipif(not DPF.is_dir(), reason="needs Debian's dpf-source and what it is built with"),
    pytest.mark.timeout(1800),
]

Sound = NDArray[np.float32]
Host = Callable[..., tuple[Sound, dict[str, str]]]
WaitUntil = Callable[[Callable[[], bool], str], None]
in_minihost = pytest.mark.parametrize("juce", ["minihost"], indirect=True)


def noise(seconds: float, seed: int = 1) -> Sound:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (2, round(seconds * RATE))).astype(np.float32)


def read(path: Path) -> Sound:
    return np.asarray(sf.read(path, dtype="float32", always_2d=True)[0].T)


def load(folder: Path) -> Any:
    import pedalboard

    return pedalboard.load_plugin(str(folder))


def test_one_sample_that_is_no_number_loses_no_take(juce: Host, results: Path, running: None) -> None:
    whole = noise(1)
    broken = whole.copy()
    broken[1, 12345], whole[1, 12345] = np.nan, 0
    juce("AirbandSend.vst3", broken, "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    (path,) = results.glob("*.wav")
    np.testing.assert_array_equal(read(path)[:, :RATE], whole)
    assert "12345" in path.with_suffix(".txt").read_text()


@pytest.mark.parametrize(
    ("peak", "settings", "rate", "why"),
    [(20.0, (), RATE, "16"), (0.5, (f"Cutoff={20000 / 23000}",), 32000, "20000")],
    ids=["peak", "cut-off beyond the rate"],
)
def test_what_fails_leaves_the_sound_and_the_reason(
    juce: Host, results: Path, running: None, peak: float, settings: tuple[str, ...], rate: int, why: str
) -> None:
    sound = noise(1) * np.float32(2 * peak)
    juce(
        "AirbandSend.vst3", sound, "Armed=1", *settings, "--", "Armed=0", "until", "Takes failed=1", rate=rate
    )
    (raw,) = results.glob("*(raw).wav")
    np.testing.assert_array_equal(read(raw)[:, :RATE], sound)
    assert why in raw.with_suffix(".txt").read_text()


@in_minihost
def test_a_take_at_192_khz_comes_back_at_96(juce: Host, results: Path, running: None) -> None:
    juce("AirbandSend.vst3", noise(1), "Armed=1", "--", "Armed=0", "until", "Delivered=1", rate=192000)
    (path,) = results.glob("*.wav")
    assert sf.info(path).samplerate == 96000


@in_minihost
def test_a_full_folder_says_so(juce: Host, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRBAND_SEND_WAITING_GB", "0.0001")
    juce("AirbandSend.vst3", noise(1), "Armed=1")
    juce("AirbandSend.vst3", noise(1), "Armed=1", "--", "until", "State=Folder full")
    assert "AIRBAND_SEND_WAITING_GB" in (results / "Airband Send is full.txt").read_text()
    assert len(list(results.glob("waiting/*.wav"))) == 1


def test_takes_that_wait_when_a_host_quits_are_sent_by_the_next(
    juce: Host, results: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    juce("AirbandSend.vst3", noise(1), "Armed=1")
    assert len(list(results.glob("waiting/*.wav"))) == 1
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    juce("AirbandSend.vst3", np.zeros((2, 512), np.float32), "--", "until", "Delivered=1")
    (path,) = results.glob("*.wav")
    np.testing.assert_array_equal(read(path)[:, :RATE], noise(1))
    assert not list(results.glob("waiting/*.wav"))


def test_many_takes_of_many_instances_at_once_are_as_many_files(
    built: Path, results: Path, running: None, wait_until: WaitUntil
) -> None:
    """Eight in Pedalboard, three short takes each."""
    plugins = [load(built / "AirbandSend.vst3") for _ in range(8)]
    silence = np.zeros((2, 512), np.float32)
    for take in range(3):
        for number, plugin in enumerate(plugins):
            plugin.armed = True
            plugin(noise(0.1, 10 * take + number), RATE, reset=False)
            plugin.armed = False
            plugin(silence, RATE, reset=False)
    wait_until(lambda: len(list(results.glob("*.take.json"))) == 24, "24 results")
    delivered = {read(path).tobytes() for path in results.glob("*.wav")}
    assert delivered == {noise(0.1, 10 * take + number).tobytes() for take in range(3) for number in range(8)}


@in_minihost
def test_a_host_ends_at_once_though_the_engine_stands_still(
    juce: Host,
    results: Path,
    start_engine: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began_s = time.monotonic()
    juce("AirbandSend.vst3", noise(1), "Armed=1")
    alone_s = time.monotonic() - began_s
    engine = start_engine("--root", str(tmp_path))
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        juce("AirbandSend.vst3", noise(1), "Armed=1")
        assert time.monotonic() - began_s < 2 * alone_s + 5  # it was 40 to 60 s
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    assert len(list(results.glob("waiting/*.wav"))) == 2


def test_a_bounce_may_have_one_cutoff_and_asks_the_socket_alone_for_the_engine(
    juce: Host, sandboxed: None
) -> None:
    """8 kHz for 6 s, then 4 kHz."""
    parts = [sosfiltfilt(butter(16, hz, fs=RATE, output="sos"), noise(6, hz)) for hz in (8000, 4000)]
    sound = np.pad(np.concatenate(parts, axis=1), ((0, 0), (0, 3 * RATE))).astype(np.float32)
    told = juce("AirbandRender.vst3", sound, "One cutoff=1")[1]
    assert told["Windows dry"] == "0"
    assert abs(float(told["Cutoff found"]) - 8000) < 200


@in_minihost
def test_send_starts_the_engine(
    juce: Host, airband_alone: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRBAND_START")
    monkeypatch.setenv("AIRBAND_CONNECTION", str(tmp_path / "state" / "engine.json"))
    monkeypatch.setenv("AIRBAND_COMMAND", str(airband_alone))
    juce("AirbandSend.vst3", noise(1), "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    (path,) = results.glob("*.wav")
    np.testing.assert_array_equal(read(path)[:, :RATE], noise(1))
