"""Hosts built on JUCE, with a VST3 plugin in them: Pedalboard, DawDreamer and minihost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bridge.daw.plugin.host import Setup

Sound = NDArray[np.float32]

MOST = {"Cutoff": 23000, "Restore": 2, "Seed": 9999, "Preset": 63, "Model": 63}
"""Maximum of parameters whose range exceeds 1; all begin at 0. JUCE scales values to 0 to 1."""


def normal(name: str, value: str) -> float:
    """A value as JUCE scales it."""
    return float(value) / MOST.get(name, 1)


class Minihost:
    """One plugin in minihost."""

    makes_up_for_delay = False

    def __init__(self, setup: Setup) -> None:
        import minihost

        self._block = setup.block
        self._plugin = minihost.Plugin(
            str(setup.plugin), sample_rate=setup.rate, max_block_size=setup.block,
            in_channels=setup.channels, out_channels=setup.channels,
        )  # fmt: skip
        self._plugin.non_realtime = setup.offline
        names = [self._plugin.get_param_info(index)["name"] for index in range(self._plugin.num_params)]
        self._index = {name: index for index, name in enumerate(names)}
        if setup.restored:
            saved = Minihost(replace(setup, restored=[], project=None))
            for name, value in setup.restored:
                saved.set(name, value)
            self._plugin.set_state(saved._plugin.get_state())
            saved.close()
        if setup.project is not None and setup.project.exists():
            self._plugin.set_state(setup.project.read_bytes())

    @property
    def latency(self) -> int:
        return round(float(self.texts().get("Latency", "0")))  # `latency_samples` is the initial one

    def set(self, name: str, value: str) -> None:
        if name == "track":
            self._plugin.set_track_properties(value)
        else:
            self._plugin.set_param(self._index[name], normal(name, value))
            self._process(np.zeros((self._plugin.num_input_channels, 0), np.float32))  # an empty block
        if name == "Restore":  # the plugin reports another latency once sound passes
            self._process(np.zeros((self._plugin.num_input_channels, self._block), np.float32))

    def play(self, sound: Sound, position: int | None) -> tuple[Sound, int]:
        heard = np.empty_like(sound)
        for at in range(0, sound.shape[1], self._block):
            rolls = position is not None
            self._plugin.set_transport(120.0, position_samples=(position or 0) + at, is_playing=rolls)
            heard[:, at : at + self._block] = self._process(sound[:, at : at + self._block])
        return heard, position or 0

    def _process(self, sound: Sound) -> Sound:
        made = np.empty_like(sound)
        self._plugin.process(np.ascontiguousarray(sound), made)
        return made

    def texts(self) -> dict[str, str]:
        values = {name: self._plugin.get_param_info(index) for name, index in self._index.items()}
        return {name: str(value["current_value_str"]) for name, value in values.items()}

    def save(self, path: Path) -> None:
        path.write_bytes(self._plugin.get_state())

    def close(self) -> None:
        self._plugin.close()


class DawDreamer:
    """One plugin behind a player in a graph of DawDreamer, which renders offline."""

    makes_up_for_delay = False

    def __init__(self, setup: Setup) -> None:
        import dawdreamer

        assert not setup.restored
        self._rate, self._channels, self._block = setup.rate, setup.channels, setup.block
        self._engine = dawdreamer.RenderEngine(setup.rate, setup.block)
        nothing = np.zeros((setup.channels, setup.block), np.float32)
        self._player = self._engine.make_playback_processor("sound", nothing)
        self._plugin = self._engine.make_plugin_processor("plugin", str(setup.plugin))
        self._plugin.set_bus(setup.channels, setup.channels)
        self._engine.load_graph([(self._player, []), (self._plugin, ["sound"])])
        self._index = {each["name"]: each["index"] for each in self._plugin.get_parameters_description()}
        if setup.project is not None and setup.project.exists():
            self._plugin.load_state(str(setup.project))

    @property
    def latency(self) -> int:
        return round(float(self.texts().get("Latency", "0")))  # DawDreamer asks only when a graph is loaded

    def set(self, name: str, value: str) -> None:
        self._plugin.set_parameter(self._index[name], normal(name, value))
        if name == "Restore":  # the plugin reports another latency once sound passes
            self.play(np.zeros((self._channels, self._block), np.float32), None)

    def play(self, sound: Sound, position: int | None) -> tuple[Sound, int]:
        self._player.set_data(sound)
        self._engine.render(sound.shape[1] / self._rate)
        heard: Sound = self._engine.get_audio()[:, : sound.shape[1]]
        return heard, position or 0

    def texts(self) -> dict[str, str]:
        return {name: self._plugin.get_parameter_text(index) for name, index in self._index.items()}

    def save(self, path: Path) -> None:
        self._plugin.save_state(str(path))

    def close(self) -> None:
        pass


class Pedalboard:
    """One plugin in Pedalboard, which renders offline, and compensates for latency itself."""

    makes_up_for_delay = True

    def __init__(self, setup: Setup) -> None:
        import pedalboard

        assert not setup.restored
        self._rate, self._block = setup.rate, setup.block
        plugin: Any = pedalboard.load_plugin(str(setup.plugin))
        if setup.project is not None and setup.project.exists():
            plugin.raw_state = setup.project.read_bytes()
        self._plugin = plugin

    @property
    def latency(self) -> int:
        return int(self._plugin.reported_latency_samples)

    def set(self, name: str, value: str) -> None:
        parameters = {each.name: each for each in self._plugin.parameters.values()}
        parameters[name].raw_value = normal(name, value)

    def play(self, sound: Sound, position: int | None) -> tuple[Sound, int]:
        begins = bool(sound.any())
        heard: Sound = self._plugin(sound, self._rate, buffer_size=self._block, reset=begins)
        return heard, position or 0

    def texts(self) -> dict[str, str]:
        self._plugin.raw_state = self._plugin.raw_state  # it reads output parameters only with the state
        return {each.name: each.string_value for each in self._plugin.parameters.values()}

    def save(self, path: Path) -> None:
        path.write_bytes(self._plugin.raw_state)

    def close(self) -> None:
        pass


HOSTS: dict[str, Callable[..., Any]] = {
    "minihost": Minihost,
    "dawdreamer": DawDreamer,
    "pedalboard": Pedalboard,
}
