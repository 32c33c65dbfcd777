"""The plugins' client starts an engine where none runs, with the users' own command, and keeps it alive.

pytest -m plugin tests/bridge/daw/plugin/test_launch.py
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from bridge.client.client import Client
from bridge.wire.home import find_home, is_running

RATE = 48000

Host = Callable[..., tuple[NDArray[np.float32], dict[str, Any]]]


def noise(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(8).uniform(-0.5, 0.5, (2, round(seconds * RATE))).astype(np.float32)


@pytest.mark.in_hosts("clap", "minihost")
def test_send_starts_the_engine_and_renders_by_the_preset_chosen(
    host: Host, launching: Path, results: Path
) -> None:
    launching.mkdir(mode=0o700)
    (launching / "plugin-choices.json").write_text('{"presets": ["music", "speech"], "models": ["auto"]}')
    words = ("Armed=1", "Preset=1", "--", "Armed=0", "until", "Delivered=1")
    assert host("AirbandSend", noise(1), *words)[1]["Delivered"] == 1
    assert is_running(find_home(launching))
    (path,) = results.glob("*.wav")
    np.testing.assert_array_equal(sf.read(path, dtype="float32")[0].T, noise(1))
    assert json.loads(path.with_suffix(".take.json").read_bytes())["knobs"]["preset"] == "speech"
    assert json.loads(path.with_name(f"{path.name}.airband.json").read_bytes())["preset"]["name"] == "speech"
    choices = json.loads((launching / "plugin-choices.json").read_bytes())
    assert choices["presets"][:2] == ["music", "speech"]  # numbers known to a project stay the same
    assert {"draft", "null"} <= set(choices["models"])


@pytest.mark.in_hosts("clap", "minihost")
def test_render_starts_the_engine_for_a_bounce(host: Host, launching: Path) -> None:
    told = host("AirbandRender", noise(5), "offline", "Cutoff=8000")[1]
    assert told["Windows dry"] == 0
    assert told["Windows restored"] >= 1


@pytest.mark.in_hosts("clap", "minihost")
@pytest.mark.parametrize("words", ["no such command", "says no"])
def test_where_it_cannot_be_started_takes_wait_and_bounces_are_dry(
    host: Host, launching: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    refusing = tmp_path / "refusing"
    if words == "says no":
        refusing.write_text("#!/bin/sh\necho 'airband: no room on disk' >&2\nexit 5\n")
        refusing.chmod(0o755)
    monkeypatch.setenv("AIRBAND_COMMAND", str(refusing))
    settings = ("Armed=1", "--", "Armed=0", "until", "State=Engine absent")
    assert host("AirbandSend", noise(1), *settings)[1]["State"] == "Engine absent"
    assert len(list((results / "waiting").glob("*.wav"))) == 1
    began_s = time.monotonic()
    assert host("AirbandRender", noise(5), "offline", "Cutoff=8000")[1]["Windows dry"] >= 1
    assert time.monotonic() - began_s < 60  # one attempt, not one per window


def test_an_engine_is_kept_while_a_plugin_lives(
    hosts: Path, start_engine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start_engine("--idle-exit", "4")
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    said = subprocess.run([hosts / "keep", "0.5", "9"], check=True, capture_output=True, timeout=120)
    assert said.stdout == b"\n\n"
    assert engine.process.poll() is None
    assert engine.process.wait(timeout=60) == 0


def test_a_failure_to_meet_the_engine_is_told_until_one_is_used_again(hosts: Path, results: Path) -> None:
    said = subprocess.run(
        [hosts / "keep", "0.1", "1"], check=True, capture_output=True, text=True, timeout=60
    )
    why, afterwards = said.stdout.splitlines()
    assert "no engine has left its address here" in why
    assert afterwards == ""


@contextmanager
def uploading(hosts: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """A job about to send its first piece, and a function that lets it go on and returns how it ended."""
    with subprocess.Popen(
        [hosts / "upload"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        yield program.stdout.readline().strip(), lambda: program.communicate("\n", timeout=90)[0].strip()


def test_who_sends_a_clip_that_somebody_cancels_is_told_so(hosts: Path, running: None, engine: Any) -> None:
    """As a user cancels with `airband cancel`; just then the engine may have no more room for it."""
    with uploading(hosts) as (job, ended):
        with Client.connect(state=engine.home.state, start=False) as client:
            assert client.cancel(job) == "cancelled"
        assert ended() == "the render was cancelled"


def test_an_engine_that_was_killed_with_every_byte_of_a_clip_gets_its_end(
    hosts: Path, start_engine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the digest had arrived: the take waited forever."""
    engine = start_engine()
    monkeypatch.setenv("AIRBAND_CONNECTION", str(engine.home.connection))
    with uploading(hosts) as (job, ended):
        engine.end()
        assert "engine" in ended()
    (engine.home.state / "spool" / "parts" / job).write_bytes(bytes(8 << 20))
    start_engine()
    said = subprocess.run([hosts / "upload", job], input="\n", capture_output=True, text=True, timeout=120)
    assert said.stdout == f"{job}\nqueued\n"
