"""Runs a plugin in DawDreamer or minihost, hosts built on JUCE: a program, for each loads its own JUCE.

python juce_hosts.py HOST PLUGIN IN.npy OUT.npy RATE BLOCK [NAME=VALUE ...]      before the sound passes
python juce_hosts.py ... -- [NAME=VALUE ...] [until NAME=TEXT]                   afterwards, in silence

It renders IN, (channels, frames) float32, offline; the silence lasts until a parameter has that text, 60 s
at most. Values are as JUCE has them, 0 to 1; the parameters' texts are printed at the end. `track=NAME` names
the track, in minihost.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SILENT_BLOCKS = 16
PATIENCE_S = 60.0


class Minihost:
    """One plugin in minihost, which renders offline."""

    def __init__(self, plugin: str, channels: int, rate: int, block: int) -> None:
        import minihost

        self._block = block
        self._plugin = minihost.Plugin(
            plugin, sample_rate=rate, max_block_size=block, in_channels=channels, out_channels=channels
        )
        self._plugin.non_realtime = True
        names = [self._plugin.get_param_info(index)["name"] for index in range(self._plugin.num_params)]
        self._index = {name: index for index, name in enumerate(names)}

    def set(self, name: str, value: str) -> None:
        if name == "track":
            self._plugin.set_track_properties(value)
        else:
            self._plugin.set_param(self._index[name], float(value))

    def render(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        heard = np.empty_like(sound)
        for at in range(0, sound.shape[1], self._block):
            piece = np.ascontiguousarray(sound[:, at : at + self._block])
            made = np.empty_like(piece)
            self._plugin.process(piece, made)
            heard[:, at : at + self._block] = made
        return heard

    def texts(self) -> dict[str, str]:
        values = {name: self._plugin.get_param_info(index) for name, index in self._index.items()}
        return {name: str(value["current_value_str"]) for name, value in values.items()}


class DawDreamer:
    """One plugin behind a player in a graph of DawDreamer, which renders offline."""

    def __init__(self, plugin: str, channels: int, rate: int, block: int) -> None:
        import dawdreamer

        self._rate = rate
        self._engine = dawdreamer.RenderEngine(rate, block)
        self._player = self._engine.make_playback_processor("sound", np.zeros((channels, block), np.float32))
        self._plugin = self._engine.make_plugin_processor("plugin", plugin)
        self._plugin.set_bus(channels, channels)
        self._engine.load_graph([(self._player, []), (self._plugin, ["sound"])])
        self._index = {each["name"]: each["index"] for each in self._plugin.get_parameters_description()}

    def set(self, name: str, value: str) -> None:
        self._plugin.set_parameter(self._index[name], float(value))

    def render(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        self._player.set_data(sound)
        self._engine.render(sound.shape[1] / self._rate)
        heard: NDArray[np.float32] = self._engine.get_audio()[:, : sound.shape[1]]
        return heard

    def texts(self) -> dict[str, str]:
        return {name: self._plugin.get_parameter_text(index) for name, index in self._index.items()}


HOSTS: dict[str, Callable[..., Any]] = {"minihost": Minihost, "dawdreamer": DawDreamer}


def run(host: Any, sound: NDArray[np.float32], block: int, words: list[str]) -> NDArray[np.float32]:
    """See above."""
    settings = words[: words.index("--")] if "--" in words else words
    after = words[len(settings) + 1 :]
    until = after.pop() if "until" in after else ""
    silence = np.zeros((len(sound), SILENT_BLOCKS * block), np.float32)
    host.render(silence)  # values are set by hand, in a plugin that runs
    for word in settings:
        host.set(*word.split("=", 1))
    heard: NDArray[np.float32] = host.render(sound)
    for word in after:
        if word != "until":
            host.set(*word.split("=", 1))
    deadline_s = time.monotonic() + (PATIENCE_S if after or until else 0)
    while time.monotonic() < deadline_s:
        host.render(silence)
        name, _, value = until.partition("=")
        if not until or host.texts()[name] == value:
            break
        time.sleep(0.02)
    return heard


if __name__ == "__main__":
    kind, plugin, source, result, rate, block = sys.argv[1:7]
    sound = np.load(source)
    host = HOSTS[kind](plugin, len(sound), int(rate), int(block))
    np.save(result, run(host, sound, int(block), sys.argv[7:]))
    print(json.dumps(host.texts()))
