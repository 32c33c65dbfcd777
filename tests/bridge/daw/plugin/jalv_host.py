"""jalv with an LV2 plugin in it, between two clients of a JACK server of its own that waits for no clock."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bridge.daw.plugin.host import Setup

MORTAL = ("setpriv", "--pdeathsig", "TERM")
"""Makes a child end with this process in any case: a server that waits for no clock uses a whole core."""
PATIENCE_S = 60.0
IN_STEP = ("-S", "-t", str(round(1000 * PATIENCE_S)))
"""Makes a cycle wait for every client; on a busy machine JACK would skip one, which then misses sound."""
PLAYBACK = 1  # JackPlaybackLatency, by which jalv reports a plugin's latency

Sound = NDArray[np.float32]


class Symbols:
    """A bundle's description of a plugin's control ports: names, symbols, and the words for values."""

    def __init__(self, bundle: Path) -> None:
        about = next(path for path in bundle.glob("*.ttl") if path.stem == bundle.stem).read_text()
        self.symbol: dict[str, str] = {}
        self.outputs: set[str] = set()
        self._name: dict[str, str] = {}
        self._words: dict[str, dict[float, str]] = {}
        for port in re.split(r"\[\s*a lv2:", about)[1:]:
            name, symbol = re.search(r'lv2:name "([^"]*)"', port), re.search(r'lv2:symbol "([^"]*)"', port)
            if name is None or symbol is None:
                continue
            points = re.findall(r'rdfs:label\s+"([^"]*)" ;\s+rdf:value (\S+)', port)
            if "ControlPort" not in port:
                continue
            self.symbol[name[1]] = symbol[1]
            if "OutputPort" in port and "reportsLatency" not in port:
                self.outputs.add(symbol[1])
            self._name[symbol[1]] = name[1]
            self._words[symbol[1]] = {float(value): word for word, value in points}

    def told(self, said: dict[str, float]) -> dict[str, str]:
        """Converts values by symbol into texts by name."""
        return {
            self._name[symbol]: self._words[symbol].get(value, f"{value:g}")
            for symbol, value in said.items()
            if symbol in self._name
        }


@dataclass(eq=False)
class Pass:
    """A sound on its way through the plugin, the output so far, and the transport's position."""

    sound: Sound
    at: int = 0
    began_at: int = 0
    heard: list[Sound] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


class Jalv:
    """One plugin in jalv, which tells no plugin that JACK does not wait: `offline` sets Restore to Always."""

    makes_up_for_delay = False

    def __init__(self, setup: Setup) -> None:
        import jack

        self._block, self._ffi = setup.block, jack._ffi
        self._symbols, channels = Symbols(setup.plugin), setup.channels
        self._said: dict[str, float] = {}
        name = f"airband-{os.getpid()}"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the host
        clock = ("-d", "dummy", "-r", str(setup.rate), "-p", str(setup.block))
        self._server = subprocess.Popen(
            [*MORTAL, "jackd", "-n", name, "-r", *IN_STEP, *clock], stdout=self._log, stderr=self._log
        )
        self._jalv: subprocess.Popen[str] | None = None
        self._clients: list[Any] = []
        for end in ("source", "sink"):
            self._until(lambda end=end: self._connected(jack, name, end), "JACK")  # type: ignore[misc]
        self._source, self._sink = self._clients
        self._to = [self._source.outports.register(f"out{channel}") for channel in range(channels)]
        self._from = [self._sink.inports.register(f"in{channel}") for channel in range(channels)]
        self._next = self._now = Pass(np.zeros((channels, 0), np.float32))
        self._source.set_process_callback(self._give)
        self._sink.set_process_callback(self._take)
        self._source.activate()
        self._sink.activate()
        uri = re.findall(r"<(urn:[^#>]*)>", (setup.plugin / "manifest.ttl").read_text())[0]
        settings = [f"{self._symbols.symbol[name]}={value}" for name, value in setup.restored]
        if setup.offline and "Restore" in self._symbols.symbol:
            settings.append("restore=2")
        self._jalv = subprocess.Popen(
            [*MORTAL, "stdbuf", "-oL", "jalv", "-x", "-n", "plugin"]  # line-buffered
            + [word for each in settings for word in ("-c", each)]
            + (["-l", str(setup.project)] if setup.project is not None else [uri]),
            env=os.environ | {"LV2_PATH": str(setup.plugin.parent), "JACK_DEFAULT_SERVER": name},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()
        self._until(lambda: self._wired(jack), "jalv's ports")
        time.sleep(0.5)  # connections take effect in one of the next periods

    @property
    def latency(self) -> int:
        time.sleep(0.3)  # JACK learns of a new latency from jalv a period later
        port = ctypes.c_void_p(int(self._ffi.cast("uintptr_t", self._outputs()[0]._ptr)))
        least_and_most = (ctypes.c_uint32 * 2)()
        ctypes.CDLL("libjack.so.0").jack_port_get_latency_range(port, PLAYBACK, least_and_most)
        return int(least_and_most[1])

    def set(self, name: str, value: str) -> None:
        if name == "Bypass":  # LV2 defines it inversely
            name, value = "Enabled", str(1 - float(value))
        self._say(f"{self._symbols.symbol[name]} = {value}")
        time.sleep(0.3)

    def play(self, sound: Sound, position: int | None) -> tuple[Sound, int]:
        if position is None:
            self._source.transport_stop()
        elif self._frame() < position:
            self._source.transport_frame = position
        if position is not None:
            self._source.transport_start()
            self._until(lambda: self._frame() > position, "the transport")
        self._next = passing = Pass(sound)
        self._source.set_freewheel(True)
        assert passing.done.wait(PATIENCE_S * 5), "JACK stands still"
        self._source.set_freewheel(False)
        return np.concatenate(passing.heard, axis=1)[:, : sound.shape[1]], passing.began_at

    def texts(self) -> dict[str, str]:
        self._said.clear()
        self._say("controls")
        self._say("monitors")
        self._until(lambda: self._symbols.outputs <= set(self._said), "jalv to say its values")
        return self._symbols.told(self._said)

    def save(self, path: Path) -> None:
        """Does nothing, as jalv saves only for a session manager."""

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for process in (self._jalv, self._server):
            if process is not None:
                process.terminate()
                process.wait(PATIENCE_S)
        self._log.close()

    def _connected(self, jack: Any, server: str, end: str) -> bool:
        if self._server.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(self._log.read())
        try:
            self._clients.append(jack.Client(end, servername=server, no_start_server=True))
        except jack.JackOpenError:
            return False
        return True

    def _outputs(self) -> list[Any]:
        return list(self._sink.get_ports("plugin:", is_audio=True, is_output=True))

    def _wired(self, jack: Any) -> bool:
        assert self._jalv is not None
        assert self._jalv.poll() is None, "jalv has ended"
        inputs = self._source.get_ports("plugin:", is_audio=True, is_input=True)
        outputs = self._outputs()
        if len(inputs) < len(self._to) or len(outputs) < len(self._from):
            return False
        pairs = [*zip(self._to, inputs, strict=True), *zip(outputs, self._from, strict=True)]
        try:
            for give, take in pairs:
                if not self._source.get_all_connections(give):
                    self._source.connect(give, take)
        except jack.JackErrorCode:  # jalv's ports exist before they work
            return False
        return True

    def _give(self, frames: int) -> None:
        self._now = now = self._next  # input and output of a cycle have the same frame
        piece = now.sound[:, now.at : now.at + frames]
        for channel, port in enumerate(self._to):
            samples = port.get_array()
            samples[:] = 0
            samples[: piece.shape[1]] = piece[channel]
        if now.at == 0:
            now.began_at = self._frame()

    def _take(self, frames: int) -> None:
        now = self._now
        if now.at >= now.sound.shape[1]:
            return
        now.heard.append(np.stack([port.get_array().copy() for port in self._from]))
        now.at += frames
        if now.at >= now.sound.shape[1]:
            now.done.set()

    def _frame(self) -> int:
        return int(self._source.transport_query()[1]["frame"])

    def _say(self, command: str) -> None:
        assert self._jalv is not None
        assert self._jalv.stdin is not None
        self._jalv.stdin.write(command + "\n")
        self._jalv.stdin.flush()

    def _listen(self) -> None:
        assert self._jalv is not None
        assert self._jalv.stdout is not None
        for line in self._jalv.stdout:
            found = re.fullmatch(r"(?:> )*(\w+) = (\S+)\n", line)
            if found is not None:
                self._said[found[1]] = float(found[2])

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited in vain for {what}"
            time.sleep(0.05)
