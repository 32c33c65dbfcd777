"""The plugins in rough hosts: nothing crashes, holds up the sound, or is lost silently.

pytest -m plugin tests/bridge/daw/plugin/test_rough_hosts.py
"""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

RATE = 48000
BLOCK_MS = 1000 * 64 / RATE  # of rough_clap.cpp

Rough = Callable[[str, str], str]


@pytest.fixture
def rough(built: Path, hosts: Path, results: Path) -> Rough:
    """`rough(plugin, case)`: the output of rough_clap.cpp for a case that the plugin has survived."""

    def run(plugin: str, case: str) -> str:
        command = [hosts / "rough_clap", built / f"{plugin}.clap", case]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert ran.returncode == 0, f"{ran.returncode}: {ran.stdout}{ran.stderr[-2000:]}"
        *said, last = ran.stdout.splitlines()
        assert last == "SURVIVED"
        return "\n".join(said)

    return run


@pytest.fixture
def silent_engine(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that listens where an engine should, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = tmp_path / "silent.json"
        there.write_text(json.dumps({"endpoint": f"tcp://127.0.0.1:{server.getsockname()[1]}"}))
        there.chmod(0o600)
        monkeypatch.setenv("AIRBAND_CONNECTION", str(there))
        yield


@pytest.mark.parametrize("plugin", ["AirbandSend", "AirbandRender", "AirbandRenderMono"])
def test_what_is_switched_in_real_time_costs_the_audio_thread_nothing(
    rough: Rough, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No allocation, no wait, and hardly any time: with the users' windows of 8 s."""
    monkeypatch.delenv("AIRBAND_RENDER_WINDOW_S")
    told = dict(re.findall(r"(\w+)=(\S+)", rough(plugin, "real-time")))
    assert (told["allocations"], told["waits"]) == ("0", "0")
    assert float(told["switching_ms"]) < BLOCK_MS / 5


def test_the_plugins_survive_a_host_as_rough_as_validators_are(built: Path, results: Path) -> None:
    """In minihost, instead of Steinberg's validator and pluginval, which no package provides."""
    pytest.importorskip("minihost")
    plugins = sorted(built.glob("*.vst3"))
    assert len(plugins) == 4
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bridge.daw.plugin.rough_host", *plugins],
        cwd=Path(__file__).parents[4], capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [f"SURVIVED {path.stem}" for path in plugins]


def test_the_counter_of_allocations_counts(rough: Rough) -> None:
    assert int(rough("AirbandRender", "count").removeprefix("allocations=")) > 10


@pytest.mark.parametrize("case", ["values", "states", "rates"])
@pytest.mark.parametrize("plugin", ["AirbandSend", "AirbandRender"])
def test_values_states_and_rates_that_cannot_be_harm_nothing(
    rough: Rough, plugin: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAND_RENDER_WINDOW_S", "0.5")  # at a rate of 1 Hz, less than a frame
    assert rough(plugin, case) == ""


@pytest.mark.parametrize("plugin", ["AirbandSend", "AirbandRender"])
def test_a_state_of_another_version_keeps_what_it_does_not_name(rough: Rough, plugin: str) -> None:
    assert rough(plugin, "versions") == "seed=5 cutoff=9000 sane=1"


@pytest.mark.skipif(shutil.which("localedef") is None, reason="needs localedef and Debian's locales")
@pytest.mark.parametrize("plugin", ["AirbandSend", "AirbandRender"])
def test_a_host_with_decimal_commas_restores_what_it_saved(
    rough: Rough, plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")]
    subprocess.run(words, capture_output=True, check=False)  # it warns
    monkeypatch.setenv("LOCPATH", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert rough(plugin, "locale") == "comma=1 gain=1 cutoff=1"


def places(results: Path) -> list[tuple[int | None, int]]:
    """Start and length in frames of the waiting takes, in the order of their names."""
    takes = [json.loads(path.read_bytes()) for path in sorted(results.glob("waiting/*.json"))]
    return [(take["transport_frame"], take["frames"]) for take in takes]


def test_a_count_in_and_what_follows_it_are_two_takes(rough: Rough, results: Path) -> None:
    """A file cannot store a position before 0, and the part after it should have one."""
    rough("AirbandSend", "count-in")
    assert places(results) == [(None, 250 * 64), (0, 250 * 64)]


def test_a_transport_without_a_position_gives_one_take(rough: Rough, results: Path) -> None:
    rough("AirbandSend", "nowhere")
    assert places(results) == [(0, 500 * 64)]


@pytest.mark.parametrize(("case", "moves"), [("half-speed", 32), ("double-speed", 128)])
def test_varispeed_gives_one_take_and_not_one_a_block(
    rough: Rough, results: Path, case: str, moves: int
) -> None:
    """The first block becomes a take of its own, since it cannot be told from a jump."""
    rough("AirbandSend", case)
    assert places(results) == [(48000, 64), (48000 + moves, 499 * 64)]


def test_a_change_of_rate_begins_another_take(rough: Rough, results: Path) -> None:
    rough("AirbandSend", "other-rate")
    takes = [json.loads(path.read_bytes()) for path in sorted(results.glob("waiting/*.json"))]
    assert [(take["rate"], take["frames"]) for take in takes] == [(48000, 6400), (44100, 6400)]


def test_a_host_that_ends_the_plugin_during_a_window_gets_its_thread_back(
    rough: Rough, silent_engine: None
) -> None:
    under_way, took_s, left_inside = re.findall(r"=(\S+)", rough("AirbandRender", "leave"))
    assert under_way == "1"
    assert float(took_s) < 2
    assert left_inside == "0"


def test_no_sound_of_before_a_reset_is_heard_after_it(rough: Rough) -> None:
    assert rough("AirbandRender", "reset") == "peak=0"


# The content of Airband Send's folder, and the names of tracks


@pytest.mark.parametrize("host", ["clap"], indirect=True)
@pytest.mark.parametrize(
    "name",
    [
        "caf\udce9 DI",  # Latin-1
        "../../etc/passwd",
        "x" + "\u00fc" * 200,  # the host cuts it within a character, without a terminator
        'Say "hi" \\',
        "\x01\x7f\n<&>",
        "  . ",
    ],
    ids=["latin-1", "path", "long", "quotes", "control", "blank"],
)
def test_a_take_comes_back_whatever_its_track_is_called(
    host: Callable[..., Any], results: Path, running: None, name: str
) -> None:
    wavinfo = pytest.importorskip("wavinfo")
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 4800)).astype(np.float32)
    words = (f"track={name}", "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    told = host("AirbandSend", sound, *words)[1]
    assert told["Delivered"] == 1
    (path,) = results.glob("*.take.json")
    about = json.loads(path.read_bytes())
    (delivered,) = results.glob("*.wav")
    assert delivered.name == about["file"]
    delivered.name.encode()  # it is UTF-8
    assert wavinfo.WavInfoReader(str(delivered)).ixml.track_list


@pytest.mark.parametrize("host", ["clap"], indirect=True)
def test_what_is_no_take_in_the_folder_of_waiting_ones_is_left_alone(
    host: Callable[..., Any], results: Path, running: None, sound: NDArray[np.float32]
) -> None:
    waiting = results / "waiting"
    waiting.mkdir(parents=True)
    place = {"rate": RATE, "channels": 2, "frames": 9, "transport_frame": None}
    take = {"instance": "AAAAA", "job": "0" * 26, **place}
    knobs = {"model": "null", "cutoff_hz": 0, "seed": 0, "high_gain_db": 0}
    odd: dict[str, object] = {
        "no channels": {**take, "channels": 0, "knobs": knobs},
        "many channels": {**take, "channels": 4294967295, "knobs": knobs},
        "no rate": {**take, "rate": 0, "knobs": knobs},
        "elsewhere": {**take, "instance": "../../elsewhere", "knobs": knobs},
        "nobody": {**take, "instance": "", "knobs": knobs},
        "no knobs": {**take, "knobs": dict.fromkeys(knobs)},
        "list": [1, 2],
    }
    for name, about in odd.items():
        (waiting / f"{name}.json").write_text(json.dumps(about))
        (waiting / f"{name}.wav").write_bytes(bytes(10000))
    (waiting / "deep.json").write_text("[" * 900_000)
    told = host("AirbandSend", sound, "Armed=1", "--", "Armed=0", "until", "Delivered=1")[1]
    assert told["Delivered"] == 1
    assert {path.stem for path in waiting.glob("*.wav")} == set(odd)
    assert not list(results.parent.rglob("elsewhere.lock"))
