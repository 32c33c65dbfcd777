"""The native plugins in more hosts: DawDreamer and minihost (VST3, by JUCE), jalv (LV2, by lilv, over JACK).

pip install dawdreamer minihost JACK-Client; apt-get install jalv jackd2
pytest -m plugin tests/bridge/daw/test_hosts.py
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from bridge.daw.build import DPF

HERE = Path(__file__).parent
RATE = 48000
LATENCY_S = 2.5  # of the fixture `results`

pytestmark = [
    pytest.mark.plugin,
    pytest.mark.skipif(not DPF.is_dir(), reason="needs Debian's dpf-source and what it is built with"),
    pytest.mark.timeout(1800),
]

Sound = NDArray[np.float32]
Host = Callable[..., tuple[Sound, dict[str, str]]]


def test_send_delivers_what_passed(juce: Host, sound: Sound, running: None, results: Path) -> None:
    words = ("Armed=1", "--", "Armed=0", "until", "Delivered=1")
    heard, told = juce("AirbandSend.vst3", sound, *words)
    np.testing.assert_array_equal(heard, sound)
    assert told["Delivered"] == "1"
    (path,) = results.glob("*.wav")
    np.testing.assert_array_equal(sf.read(path, dtype="float32")[0].T[:, : sound.shape[1]], sound)


@pytest.mark.parametrize(
    ("rate", "block"), [(44100, 64), (48000, 512), (88200, 333), (96000, 1024)], ids=lambda value: str(value)
)
def test_render_is_exact_in_a_bounce(juce: Host, sound: Sound, running: None, rate: int, block: int) -> None:
    delay = round(LATENCY_S * rate)
    words = (f"Cutoff={8000 / 23000}",)
    padded = np.pad(sound, ((0, 0), (0, delay + block)))
    heard, told = juce("AirbandRender.vst3", padded, *words, rate=rate, block=block)
    np.testing.assert_array_equal(heard[:, delay : delay + sound.shape[1]], sound)
    assert not heard[:, :delay].any()
    assert told["Windows dry"] == "0"
    assert int(told["Windows restored"]) >= 1
    assert float(told["Latency"]) == delay


@pytest.mark.parametrize("juce", ["minihost"], indirect=True)
def test_a_vst3_host_tells_the_track(juce: Host, sound: Sound, running: None, results: Path) -> None:
    words = ("track=Flöte 🎵 2", "Armed=1", "--", "Armed=0", "until", "Delivered=1")
    juce("AirbandSend.vst3", sound[:, :RATE], *words)
    (path,) = results.glob("*.take.json")
    assert json.loads(path.read_bytes())["track"] == "Flöte 🎵 2"
    assert " Flöte 🎵 2 " in path.name


def test_the_plugins_survive_a_rough_host(built: Path, results: Path) -> None:
    """For Steinberg's validator and pluginval, which no package brings."""
    pytest.importorskip("minihost")
    plugins = sorted(built.glob("*.vst3"))
    assert len(plugins) == 4
    ran = subprocess.run(
        [sys.executable, HERE / "plugin" / "rough_host.py", *plugins],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [f"SURVIVED {path.stem}" for path in plugins]


PERIOD = 512  # of JACK; a client that hears what comes of its own sound hears it a period later


class Jalv:
    """jalv with one plugin, between the ends of a JACK client; JACK does not wait for the clock.

    Args:
        client: of a JACK server.
        command: jalv with its options, without a client's name.
        environment: in which it finds the plugin and the server.
    """

    def __init__(self, client: Any, command: list[str], environment: dict[str, str]) -> None:
        self._client = client
        self._sound, self._at, self._heard = np.zeros((2, 0), np.float32), 0, [np.zeros((2, 0), np.float32)]
        self._done = threading.Event()
        self.began_at = -1
        """The frame of the transport at which the sound began."""
        self._to = [client.outports.register(f"to{channel}") for channel in range(2)]
        self._from = [client.inports.register(f"from{channel}") for channel in range(2)]
        client.set_process_callback(self._process)
        client.activate()
        name = ["-x", "-n", "plugin"]
        self.process = subprocess.Popen(
            [*command[:-1], *name, command[-1]],
            env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def connect(self) -> bool:
        """True once the plugin's ports are there, and connected."""
        assert self.process.poll() is None, "jalv has ended"
        inputs = self._client.get_ports("plugin:", is_audio=True, is_input=True)
        outputs = self._client.get_ports("plugin:", is_audio=True, is_output=True)
        if len(inputs) < 2 or len(outputs) < 2:
            return False
        pairs = zip([*self._to, *self._from], [*inputs, *outputs], strict=True)
        return all(self._is_connected(mine, its) for mine, its in pairs)

    def _is_connected(self, mine: Any, its: Any) -> bool:
        import jack

        if not self._client.get_all_connections(mine):
            try:
                mine.connect(its)
            except jack.JackErrorCode:  # jalv's ports are there before they work
                return False
        return True

    def play(self, sound: Sound) -> Sound:
        """What comes back while a sound passes, from its first frame on."""
        self._client.set_freewheel(True)
        self._sound = sound
        assert self._done.wait(120)
        self._client.set_freewheel(False)
        return np.concatenate(self._heard, axis=1)[:, PERIOD:]

    def _process(self, frames: int) -> None:
        piece = np.zeros((2, frames), np.float32)
        here = self._sound[:, self._at : self._at + frames]
        piece[:, : here.shape[1]] = here
        for channel, port in enumerate(self._to):
            port.get_array()[:] = piece[channel]
        if self._sound.shape[1] == 0 or self._done.is_set():
            return
        if self._at == 0:
            self.began_at = self._client.transport_query()[1]["frame"]
        self._heard.append(np.stack([port.get_array().copy() for port in self._from]))
        self._at += frames
        if self._at >= self._sound.shape[1] + frames:
            self._done.set()


@pytest.fixture
def jalv(
    built: Path, tmp_path: Path, wait_until: Callable[[Callable[[], bool], str], None]
) -> Iterator[Callable[..., tuple[Jalv, Any]]]:
    """`jalv(uri, *controls)`: a plugin in jalv, and the JACK client whose sound it gets."""
    jack = pytest.importorskip("jack", reason="needs JACK-Client: pip install JACK-Client")
    if shutil.which("jalv") is None or shutil.which("jackd") is None:
        pytest.skip("needs Debian's jalv and jackd2")
    name = f"airband-{os.getpid()}"
    log = (tmp_path / "jackd.log").open("w")
    server = subprocess.Popen(
        ["jackd", "-n", name, "-r", "-d", "dummy", "-r", str(RATE), "-p", str(PERIOD)], stdout=log, stderr=log
    )
    clients: list[Any] = []
    started: list[Jalv] = []

    def connected() -> bool:
        assert server.poll() is None, (tmp_path / "jackd.log").read_text()
        try:
            clients.append(jack.Client("ends", servername=name, no_start_server=True))
        except jack.JackOpenError:
            return False
        return True

    def start(uri: str, *controls: str) -> tuple[Jalv, Any]:
        wait_until(connected, "JACK")
        options = [word for control in controls for word in ("-c", control)]
        environment = {"LV2_PATH": str(built), "JACK_DEFAULT_SERVER": name}
        started.append(Jalv(clients[0], ["jalv", *options, uri], environment))
        wait_until(started[0].connect, "jalv's ports")
        time.sleep(0.5)  # the connections count from one of the next periods on
        return started[0], clients[0]

    yield start
    for each in started:
        with each.process:
            each.process.kill()
    for client in clients:
        client.close()
    server.kill()
    server.wait()
    log.close()


@pytest.fixture
def rolling(
    jalv: Callable[..., tuple[Jalv, Any]],
    running: None,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> tuple[Jalv, Any]:
    """Send in jalv, armed and following the transport, which runs."""
    host, client = jalv("urn:airband:send", "armed=1", "follow=1")
    client.transport_start()
    wait_until(lambda: client.transport_query()[1]["frame"] > PERIOD, "the transport")
    return host, client


def test_render_is_exact_in_jalv(jalv: Callable[..., tuple[Jalv, Any]], sound: Sound, running: None) -> None:
    host, _ = jalv("urn:airband:render", "restore=2", "cutoff=8000")
    delay = round(LATENCY_S * RATE)
    heard = host.play(np.pad(sound, ((0, 0), (0, delay + PERIOD))))
    np.testing.assert_array_equal(heard[:, delay : delay + sound.shape[1]], sound)


def test_send_delivers_what_passed_in_jalv_at_its_frame(
    rolling: tuple[Jalv, Any],
    sound: Sound,
    results: Path,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    host, client = rolling
    heard = host.play(sound)
    np.testing.assert_array_equal(heard[:, : sound.shape[1]], sound)
    client.transport_stop()
    wait_until(lambda: len(list(results.glob("*.take.json"))) > 0, "the result")
    (path,) = results.glob("*.take.json")
    take = json.loads(path.read_bytes())
    delivered = sf.read(results / take["file"], dtype="float32")[0].T
    at = host.began_at - take["transport_frame"]
    assert at >= 0
    np.testing.assert_array_equal(delivered[:, at : at + sound.shape[1]], sound)
    assert not delivered[:, :at].any()


def test_a_located_transport_begins_another_take_in_jalv(
    rolling: tuple[Jalv, Any],
    sound: Sound,
    results: Path,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    host, client = rolling
    host.play(sound)
    client.transport_frame = 600 * RATE
    wait_until(lambda: len(list(results.glob("*.take.json"))) == 1, "the take before it")
    client.transport_stop()
    wait_until(lambda: len(list(results.glob("*.take.json"))) == 2, "the take behind it")
    frames = sorted(json.loads(path.read_bytes())["transport_frame"] for path in results.glob("*.take.json"))
    assert frames[0] < 60 * RATE
    assert 600 * RATE <= frames[1] < 601 * RATE


def test_a_project_that_opens_armed_waits_for_its_transport_in_jalv(
    jalv: Callable[..., tuple[Jalv, Any]],
    sound: Sound,
    running: None,
    results: Path,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    host, client = jalv("urn:airband:send", "armed=1")
    host.play(sound)
    assert not list(results.rglob("*.wav"))
    client.transport_start()
    wait_until(lambda: len(list(results.glob("waiting/*.wav"))) == 1, "the take")
