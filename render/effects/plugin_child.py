"""The process an external plugin lives in: `python -m render.effects.plugin_child`, requests on stdin.

A message is two lengths (header, body; 4 bytes each, little-endian), a msgpack map, and raw planar float32.
The plugin is loaded and reset on this process's main thread, as JUCE demands; another thread reads the
requests, so that the process ends as soon as its parent does, even while the plugin hangs. The plugin's own
output goes to stderr: stdout carries the replies.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import struct
import threading
from typing import Any, BinaryIO

import msgspec
import numpy as np

from render.upscaler import Audio

SETTLE_FRAMES = 512
"""Silence processed so that a plugin takes its parameters: state read right after setting them is stale."""
RAW_TOLERANCE = 2e-3
"""How far a parameter, normalised to 0-1, may lie from what was asked: two of Pedalboard's thousand steps."""

Message = tuple[dict[str, Any], bytes]


class Refused(Exception):
    """The plugin works, but does not take what was asked of it."""


def write_message(stream: BinaryIO, header: dict[str, Any], body: bytes = b"") -> None:
    """One message onto `stream`, flushed."""
    packed = msgspec.msgpack.encode(header)
    stream.write(struct.pack("<II", len(packed), len(body)) + packed)
    stream.write(body)
    stream.flush()


def read_message(stream: BinaryIO) -> Message:
    """The next message; raises EOFError when the other side is gone."""
    lengths = _exactly(stream, 8)
    header, body = struct.unpack("<II", lengths)
    return msgspec.msgpack.decode(_exactly(stream, header), type=dict[str, Any]), _exactly(stream, body)


class Guest:
    """The plugin: one instance for all channels, or one for each."""

    def __init__(self, path: str, name: str | None) -> None:
        self._path, self._name = path, name
        self._instances = [self._load()]
        if not self._instances[0].is_effect:
            raise Refused("is an instrument; only effects can process a clip")
        self._fresh_state: bytes = self._instances[0].raw_state
        self._rate = 44100.0
        self._doubled = False

    def _load(self) -> Any:
        from pedalboard import load_plugin

        return load_plugin(self._path, plugin_name=self._name)

    def describe(self) -> dict[str, Any]:
        """Name, latency in frames at 44.1 kHz, channel counts that work, and the parameters."""
        plugin = self._instances[0]
        return {
            "name": str(plugin.name),
            "latency_frames": int(plugin.reported_latency_samples),
            "channels": [count for count in (1, 2) if self._takes(count)],
            "parameters": {
                name: {
                    "type": parameter.type.__name__,
                    "min": _plain(parameter.min_value),
                    "max": _plain(parameter.max_value),
                    "unit": parameter.label or "",
                    "value": str(getattr(plugin, name)),
                }
                for name, parameter in plugin.parameters.items()
            },
        }

    def prepare(
        self, params: dict[str, Any], state: bytes | None, is_preset: bool, rate: float, channels: int
    ) -> None:
        """Set the plugin up for a render, as if it had just been loaded, and check that it took the
        values."""
        self._rate = rate
        self._doubled = False
        if not self._takes(channels):
            if self._takes(1):
                self._instances += [self._load() for _ in range(channels - len(self._instances))]
            elif channels == 1 and self._takes(2):
                self._doubled = True
            else:
                raise Refused(f"does not take {channels} channels")
        each = self._takes(channels) or self._doubled
        for plugin in self._instances:
            width = 2 if self._doubled else channels if each else 1
            self._program(plugin, params, state, is_preset, width)
        self._each_channel = not each

    def process(self, audio: Audio, block: int) -> Audio:
        """The next (channels, frames); what is returned may be shorter by the plugin's latency."""
        if self._doubled:
            return self._one(self._instances[0], np.repeat(audio, 2, axis=0), block)[:1]
        if not self._each_channel:
            return self._one(self._instances[0], audio, block)
        return np.concatenate(
            [self._one(p, audio[i : i + 1], block) for i, p in enumerate(self._instances[: len(audio)])]
        )

    def reset(self) -> None:
        """Forget all sound."""
        for plugin in self._instances:
            plugin.reset()

    def _one(self, plugin: Any, audio: Audio, block: int) -> Audio:
        out: Audio = plugin.process(audio, self._rate, buffer_size=block, reset=False)
        return out

    def _takes(self, channels: int) -> bool:
        try:
            self._settle(self._instances[0], channels)
        except ValueError:
            self._instances[0].reset()  # else Pedalboard takes it for prepared, and it gets no sound
            return False
        return True

    def _settle(self, plugin: Any, channels: int) -> None:
        plugin.process(np.zeros((channels, SETTLE_FRAMES), np.float32), self._rate, reset=False)

    def _program(
        self, plugin: Any, params: dict[str, Any], state: bytes | None, is_preset: bool, channels: int
    ) -> None:
        plugin.raw_state = self._fresh_state
        self._settle(plugin, channels)
        if state is not None:
            self._restore(plugin, state, is_preset, channels)
        wanted = {name: self._set(plugin, name, value) for name, value in params.items()}
        if wanted:
            self._settle(plugin, channels)
            plugin.raw_state = (
                plugin.raw_state
            )  # the host shows the values that were set; the plugin's state, those in force
            self._settle(plugin, channels)
        for name, raw in wanted.items():
            if abs(plugin.parameters[name].raw_value - raw) > RAW_TOLERANCE:
                raise Refused(f"did not take {name} = {params[name]!r}; it is {getattr(plugin, name)}")
        plugin.reset()

    def _restore(self, plugin: Any, state: bytes, is_preset: bool, channels: int) -> None:
        kind = "preset_data" if is_preset else "raw_state"
        default = getattr(plugin, kind)
        for _ in range(2):  # a plugin may rewrite an older version's state once, but then must keep it
            setattr(plugin, kind, state)
            self._settle(plugin, channels)
            taken = getattr(plugin, kind)
            if taken == state:
                return
            if taken == default:
                raise Refused("did not take its state file: nothing changed")
            state = taken
        raise Refused("did not take its state file: it reads back differently every time")

    def _set(self, plugin: Any, name: str, value: Any) -> float:
        parameters = plugin.parameters
        if name not in parameters:
            raise Refused(f"has no parameter {name!r}; it has {', '.join(sorted(parameters))}")
        raw = float(parameters[name].get_raw_value_for(value))
        parameters[name].raw_value = raw
        return raw


def main() -> None:
    """Load one plugin and serve requests until stdin ends."""
    requests_in, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read_until_orphaned, args=(requests_in, requests), daemon=True).start()
    guest: Guest | None = None
    nowhere = open(os.devnull, "w")  # noqa: SIM115  # faulthandler keeps its descriptor
    while True:
        header, body = requests.get()
        # Also ends a plugin that hangs while it holds Python's lock after the parent has gone.
        faulthandler.dump_traceback_later(header["deadline_s"] + 1, exit=True, file=nowhere)
        try:
            match header:
                case {"do": "load", "path": path, "name": name}:
                    guest = Guest(path, name)
                    reply: Message = {}, b""
                case _ if guest is None:
                    raise Refused("is not loaded")
                case {"do": "describe"}:
                    reply = guest.describe(), b""
                case {"do": "prepare", "params": params, "is_preset": is_preset}:
                    state = body if header["has_state"] else None
                    guest.prepare(params, state, is_preset, header["rate"], header["channels"])
                    reply = {}, b""
                case {"do": "reset"}:
                    guest.reset()
                    reply = {}, b""
                case {"do": "process", "channels": channels, "block": block}:
                    out = guest.process(np.frombuffer(body, np.float32).reshape(channels, -1), block)
                    reply = {"shape": out.shape}, np.ascontiguousarray(out, np.float32).tobytes()
                case _:
                    raise Refused(f"was asked for {header.get('do')!r}")
        except Refused as error:
            reply = {"error": str(error)}, b""
        except Exception as error:  # Pedalboard's messages run over several lines
            reply = {"error": f"raised {type(error).__name__}: {' '.join(str(error).split())}"}, b""
        faulthandler.cancel_dump_traceback_later()
        write_message(replies, *reply)


def _read_until_orphaned(stream: BinaryIO, requests: queue.SimpleQueue[Message]) -> None:
    while True:
        try:
            requests.put(read_message(stream))
        except (EOFError, OSError):
            os._exit(0)  # without the plugin's destructors: they too can hang


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _plain(value: Any) -> float | None:
    return None if value is None else float(value)


if __name__ == "__main__":
    main()
