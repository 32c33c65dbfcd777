"""Airband Send in several hosts: takes come back; none is lost, whatever ends, fails or fills up.

pytest -m plugin tests/bridge/daw/plugin/test_send.py
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

RATE = 48000

Sound = NDArray[np.float32]
Host = Callable[..., tuple[Sound, dict[str, Any]]]


def noise(seconds: float, seed: int = 1) -> Sound:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (2, round(seconds * RATE))).astype(np.float32)


def read(path: Path) -> Sound:
    return np.asarray(sf.read(path, dtype="float32", always_2d=True)[0].T)


def only_result(folder: Path) -> Path:
    (path,) = folder.glob("*.wav")  # failed and waiting takes do not count
    return path


def assert_holds(take: Sound, sound: Sound) -> None:
    """A take holds a sound, to the sample, with only silence around it, since hosts arm by hand."""
    at = int(np.flatnonzero(take.any(axis=0))[0] - np.flatnonzero(sound.any(axis=0))[0])
    assert at >= 0
    np.testing.assert_array_equal(take[:, at : at + sound.shape[1]], sound)
    assert not take[:, :at].any()
    assert not take[:, at + sound.shape[1] :].any()


@pytest.mark.in_hosts("clap", "minihost", "dawdreamer", "pedalboard", "jalv")
def test_what_passes_comes_back(host: Host, sound: Sound, running: None, results: Path) -> None:
    heard, told = host("AirbandSend", sound, "offline", "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    np.testing.assert_array_equal(heard, sound)
    assert (told["Delivered"], told["State"], told["Latency"]) == (1, "Sent", 0)
    assert told["Captured"] == pytest.approx(sound.shape[1] / RATE, abs=2)
    assert sf.info(only_result(results)).samplerate == RATE
    assert_holds(read(only_result(results)), sound)


@pytest.mark.in_hosts("clap", "pedalboard")
def test_what_passes_on_a_mono_track_comes_back(
    host: Host, sound: Sound, running: None, results: Path
) -> None:
    words = ("offline", "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    heard, _ = host("AirbandSendMono", sound[:1], *words)
    np.testing.assert_array_equal(heard, sound[:1])
    assert_holds(read(only_result(results)), sound[:1])


@pytest.mark.in_hosts("clap", "minihost")
def test_a_take_is_rendered_by_the_knobs_of_its_end(host: Host, running: None, results: Path) -> None:
    """Automation of knobs during the take counts, and loses no sample."""
    words = ("Armed=1", "Seed=3", "Seed=7@24000", "--", "Armed=0", "until", "Delivered=1")
    host("AirbandSend", noise(1), *words)
    path = only_result(results)
    np.testing.assert_array_equal(read(path), noise(1))
    assert json.loads(path.with_name(f"{path.name}.airband.json").read_bytes())["preset"]["seed"] == 7


# Where the position is stored


@pytest.mark.in_hosts("clap", "minihost", "jalv")
def test_a_take_says_where_it_stands_to_any_daw(
    host: Host, sound: Sound, running: None, results: Path
) -> None:
    """In its name, in its sidecar, as bext's time reference and in iXML."""
    wavinfo = pytest.importorskip("wavinfo")
    words = ("rolling", "Follow transport=1", "Armed=1", "--", "until", "Delivered=1")
    _, told = host("AirbandSend", sound, *words)
    path = only_result(results)
    frame = json.loads(path.with_suffix(".take.json").read_bytes())["transport_frame"]
    at = int(told["Began"]) - frame
    assert at >= 0
    take = read(path)
    np.testing.assert_array_equal(take[:, at : at + sound.shape[1]], sound)
    assert not take[:, :at].any()
    assert path.stem.endswith(f" at {frame}")
    assert wavinfo.WavInfoReader(str(path)).bext.time_reference == frame
    assert f"_LO>{frame}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>".encode() in path.read_bytes()


@pytest.mark.in_hosts("clap", "minihost")
@pytest.mark.parametrize("rate", [192000, 384000])
def test_a_take_at_such_a_rate_comes_back_at_96_khz_where_it_stood(
    host: Host, results: Path, running: None, rate: int
) -> None:
    words = ("rolling", "Follow transport=1", "Armed=1", "--", "until", "Delivered=1")
    host("AirbandSend", noise(4), *words, rate=rate)
    path = only_result(results)
    assert (sf.info(path).samplerate, sf.info(path).frames) == (96000, 4 * RATE * 96000 // rate)
    assert b"bext" in path.read_bytes()
    assert re.search(rb"<TIMESTAMP_SAMPLE_RATE>96000<", path.read_bytes())


@pytest.mark.in_hosts("clap", "minihost")
def test_a_host_tells_the_track(host: Host, running: None, results: Path) -> None:
    wavinfo = pytest.importorskip("wavinfo")
    host("AirbandSend", noise(1), "track=Flöte 🎵 2", "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    path = only_result(results)
    assert json.loads(path.with_suffix(".take.json").read_bytes())["track"] == "Flöte 🎵 2"
    assert " Flöte 🎵 2 " in path.name
    tracks = wavinfo.WavInfoReader(str(path)).ixml.track_list
    assert [channel.name for channel in tracks] == ["Flöte 🎵 2"] * 2


@pytest.mark.in_hosts("clap", "minihost", "jalv")
def test_a_located_transport_begins_another_take(
    host: Host, sound: Sound, running: None, results: Path
) -> None:
    words = ("rolling", "Follow transport=1", "Armed=1", "--", f"locate={600 * RATE}", "until", "Delivered=1")
    host("AirbandSend", sound, *words)
    (before,) = results.glob("*.take.json")
    (behind,) = results.glob("waiting/*.json")
    assert json.loads(before.read_bytes())["transport_frame"] < 60 * RATE
    assert 600 * RATE <= json.loads(behind.read_bytes())["transport_frame"] < 602 * RATE


@pytest.mark.in_hosts("clap", "minihost")
def test_what_follows_a_count_in_has_its_place(
    host: Host, sound: Sound, running: None, results: Path
) -> None:
    words = ("rolling", "Follow transport=1", "Armed=1", "--", "locate=-4800", "until", "Delivered=2")
    host("AirbandSend", sound, *words)
    before, counted_in = (json.loads(path.read_bytes()) for path in sorted(results.glob("*.take.json")))
    (behind,) = results.glob("waiting/*.json")
    assert before["transport_frame"] == 0
    assert (counted_in["transport_frame"], counted_in["frames"]) == (None, 10 * 512)
    assert json.loads(behind.read_bytes())["transport_frame"] == 320


@pytest.mark.in_hosts("clap", "minihost", "jalv")
def test_a_project_that_opens_armed_waits_for_its_transport(
    host: Host, sound: Sound, running: None, results: Path
) -> None:
    told = host("AirbandSend", sound, "restored", "Armed=1")[1]
    assert (told["State"], told["Captured"]) == ("Waits for the transport", 0)
    assert not list(results.rglob("*.wav"))
    words = ("restored", "rolling", "Follow transport=1", "Armed=1", "--", "until", "Delivered=1")
    told = host("AirbandSend", sound, *words)[1]
    (path,) = results.glob("*.take.json")
    assert json.loads(path.read_bytes())["transport_frame"] <= told["Began"]


# What fails


@pytest.mark.in_hosts("clap", "minihost")
def test_one_sample_that_is_no_number_loses_no_take(host: Host, results: Path, running: None) -> None:
    whole = noise(1)
    broken = whole.copy()
    broken[1, 12345], whole[1, 12345] = np.nan, 0
    host("AirbandSend", broken, "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    path = only_result(results)
    np.testing.assert_array_equal(read(path), whole)
    assert "frame 12345" in path.with_suffix(".txt").read_text()


@pytest.mark.in_hosts("clap", "minihost")
@pytest.mark.parametrize(
    ("peak", "settings", "rate", "model", "why"),
    [
        (20.0, (), RATE, "null", "16"),
        (0.5, ("Cutoff=20000",), 32000, "null", "20000"),
        (0.5, (), RATE, "no-such-model", "no-such-model"),
        (0.5, ("Preset=40",), RATE, "null", "preset that this project names by number"),
        (0.5, ("Model=40",), RATE, "null", "model that this project names by number"),
    ],
    ids=["peak", "cut-off beyond the rate", "model", "preset of elsewhere", "model of elsewhere"],
)
def test_what_fails_leaves_the_sound_and_the_reason(
    host: Host, results: Path, running: None, monkeypatch: pytest.MonkeyPatch,
    peak: float, settings: tuple[str, ...], rate: int, model: str, why: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("AIRBAND_MODEL", model)
    sound = noise(0.5) * np.float32(2 * peak)
    words = ("Armed=1", *settings, "--", "Armed=0", "until", "Takes failed=1")
    told = host("AirbandSend", sound, *words, rate=rate)[1]
    assert (told["Takes failed"], told["State"]) == (1, "Failed")
    (raw,) = results.glob("*(raw).wav")
    np.testing.assert_array_equal(read(raw), sound)
    assert why in raw.with_suffix(".txt").read_text()
    assert not list(results.glob("waiting/*.wav"))


@pytest.mark.in_hosts("clap", "minihost", "dawdreamer")
def test_takes_that_wait_when_a_host_quits_are_sent_by_the_next(
    host: Host, results: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("offline", "Armed=1", "--", "Armed=0", "until", "State=Engine absent")
    assert host("AirbandSend", noise(1), *words)[1]["Delivered"] == 0
    assert len(list(results.glob("waiting/*.wav"))) == 1
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    host("AirbandSend", np.zeros((2, 512), np.float32), "offline", "--", "until", "Delivered=1")
    assert_holds(read(only_result(results)), noise(1))
    assert not list(results.glob("waiting/*.wav"))


# What fills up, and what is slow


@pytest.mark.in_hosts("clap", "minihost")
def test_a_full_folder_says_so(host: Host, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRBAND_SEND_WAITING_GB", "0.0001")
    host("AirbandSend", noise(1), "Armed=1", "--", "Armed=0")
    words = ("Armed=1", "--", "Armed=0", "until", "State=Folder takes no more")
    assert host("AirbandSend", noise(1), *words)[1]["State"] == "Folder takes no more"
    assert "AIRBAND_SEND_WAITING_GB" in (results / "Airband Send is full.txt").read_text()
    assert len(list(results.glob("waiting/*.wav"))) == 1


@pytest.mark.in_hosts("clap", "minihost")
def test_a_take_ends_where_its_folder_is_full(
    host: Host, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is checked after every further 32 MiB: 87 s of stereo."""
    monkeypatch.setenv("AIRBAND_SEND_WAITING_GB", "0.001")
    sound = np.tile(np.arange(-24000, 24000, dtype=np.float32) / 65536, (2, 100))
    words = ("Armed=1", "--", "Armed=0", "until", "State=Folder takes no more")
    assert host("AirbandSend", sound, *words)[1]["State"] == "Folder takes no more"
    (path,) = results.glob("waiting/*.json")
    take = json.loads(path.read_bytes())
    assert 0 <= take["frames"] - (32 << 20) // 8 < 8192
    assert "the folder took no more" in take["note"]
    np.testing.assert_array_equal(read(path.with_suffix(".wav")), sound[:, : take["frames"]])
    assert "AIRBAND_SEND_WAITING_GB" in (results / "Airband Send is full.txt").read_text()


@pytest.mark.in_hosts("clap", "minihost")
def test_a_folder_that_cannot_be_written_is_told_at_once(host: Host, results: Path) -> None:
    results.write_text("a file where the folder should be")
    words = ("Armed=1", "--", "Armed=0", "until", "State=Folder takes no more")
    heard, told = host("AirbandSend", noise(1), *words)
    np.testing.assert_array_equal(heard, noise(1))
    assert told["State"] == "Folder takes no more"


@pytest.mark.in_hosts("clap", "minihost")
def test_a_long_export_faster_than_the_clock_is_whole(host: Host, results: Path, running: None) -> None:
    sound = np.tile(np.arange(-30000, 30000, dtype=np.float32) / 65536, (2, 48))
    host("AirbandSend", sound, "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    np.testing.assert_array_equal(read(only_result(results)), sound)


@pytest.fixture
def stalled_disk(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that stalls for 16 s, once, when a take has reached 1 MiB."""
    shim = tmp_path / "stalled_disk.so"
    source = Path(__file__).parent / "stalled_disk.c"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-ldl", "-o", shim], check=True)
    for name, value in {"LD_PRELOAD": shim, "STALL_FOLDER": results / "waiting", "STALL_S": 16}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.in_hosts("clap", "minihost")
def test_an_export_of_several_takes_waits_for_a_slow_disk(
    host: Host, stalled_disk: None, results: Path, running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stalls for 4 s; the second take begins while the first one fills the memory."""
    monkeypatch.setenv("STALL_S", "4")
    sound, end, begin = noise(10.2, seed=9), 468 * 512, 469 * 512
    words = ("offline", "Armed=1", f"Armed=0@{end}", f"Armed=1@{begin}", "--", "Armed=0")
    host("AirbandSend", sound, *words, "until", "Delivered=2")
    first, second = sorted(results.glob("*.wav"))
    np.testing.assert_array_equal(read(first), sound[:, :end])
    np.testing.assert_array_equal(read(second), sound[:, begin:])
    assert not list(results.glob("*.txt"))


@pytest.mark.in_hosts("clap", "minihost")
def test_a_take_that_a_stalled_disk_cuts_says_so_and_the_next_one_is_whole(
    host: Host, stalled_disk: None, results: Path, running: None
) -> None:
    """Memory holds 5.4 s, and a host that runs ahead waits for 10 s."""
    sound = noise(20, seed=9)
    host("AirbandSend", sound, "Armed=1", "--", "until", "Delivered=1")
    path = only_result(results)
    take = read(path)
    assert 5 * RATE < take.shape[1] < sound.shape[1]
    np.testing.assert_array_equal(take, sound[:, : take.shape[1]])
    assert "sound came faster than the disk took it" in path.with_suffix(".txt").read_text()
    for path in results.glob("waiting/*.json"):  # a take of the host's silence afterwards
        assert json.loads(path.read_bytes())["note"] == ""
