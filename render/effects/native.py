"""Makes Pedalboard objects of a preset's effects, and runs plugins over a clip piece by piece.

`stream` gives the samples that one `pedalboard.Pedalboard(...)(audio, rate)` call gives, bit for bit, latency
compensated, without holding the clip.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from presets.chains import CONTAINERS, EFFECTS, AudioFile, Choice, Effect, Range
from presets.errors import UsageError
from render.effects.plugin_folders import find_asset, plugin_settings
from render.upscaler import Audio

if TYPE_CHECKING:
    import pedalboard

PLUGIN_BLOCK_FRAMES = 8192
"""Pedalboard's default block length; other lengths give other samples."""
CHUNK_FRAMES = 32 * PLUGIN_BLOCK_FRAMES
"""How much is in memory at a time."""
LATENCY_MAX_S = 60
"""A plugin that has taken this much without giving it back has no latency, it is broken."""
WHOLE_CLIP = frozenset({"PitchShift", "GSMFullRateCompressor", "MP3Compressor"})
"""Effects that Pedalboard 0.9 cannot continue from call to call (the first two lose their delay line, the
last one its place behind a limiter): a chain that holds one gets the whole clip at once."""
LATE = frozenset({"BrickwallLimiter", "Resample"})
"""Effects with latency; at every call, a Mix drops what its other effects have stored to wait for them."""


def native(effect: Effect, rate_hz: float | None = None) -> pedalboard.Plugin:
    """A fresh Pedalboard object for one native effect of a preset.

    Args:
        effect: with a `name`, without a `path`.
        rate_hz: the rate it will run at, if known: frequencies must lie below half of it.

    Raises:
        UsageError: this Pedalboard has no such effect, or refuses or changes a parameter.
    """
    import pedalboard

    name = str(effect.name)
    cls = getattr(pedalboard, name, None)
    if cls is None:
        from importlib.metadata import version

        raise UsageError(
            f"Pedalboard {version('pedalboard')} has no effect {name}; a newer one may", "effects"
        )
    if rate_hz is not None:
        check_rate(effect, rate_hz)
    if name in CONTAINERS:
        container: pedalboard.Plugin = cls([native(child, rate_hz) for child in effect.effects])
        return container
    values = {key: _native_value(name, key, value) for key, value in effect.params.items()}
    try:
        plugin: pedalboard.Plugin = cls(**values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{name}: {error}", "effects") from None
    for key, value in effect.params.items():
        if isinstance(EFFECTS[name][key], Range) and not np.isclose(getattr(plugin, key), value, rtol=1e-4):
            raise UsageError(
                f"{name}.{key} = {value!r} did not take; it is {getattr(plugin, key)}", "effects"
            )
    return plugin


def check_rate(effect: Effect, rate_hz: float) -> None:
    """Raises UsageError where a frequency of `effect` does not lie below half of `rate_hz`."""
    for key, value in effect.params.items():
        if key in ("cutoff_hz", "cutoff_frequency_hz", "centre_frequency_hz") and float(value) >= rate_hz / 2:
            raise UsageError(
                f"{effect.name}.{key} = {value:g} Hz is not below half of the {rate_hz:g} Hz it runs at",
                "effects",
            )


class Processor(Protocol):
    """What `stream` needs of a plugin: Pedalboard's, or a `render.effects.plugin_host.PluginHost`."""

    def reset(self) -> None:
        """Forget all sound."""

    def process(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """The next piece; the output is shorter where the plugin has latency."""
        ...


def stream(
    plugins: Sequence[Processor], audio: Iterator[Audio], frames: int, channels: int, rate_hz: float
) -> Iterator[Audio]:
    """What `Pedalboard(plugins)(audio, rate_hz)` returns, in pieces.

    Args:
        plugins: one after the other, no two the same object; they are reset first.
        audio: the input in pieces of any length, (channels, n) float32.
        frames: the length of the input, and of the output.
        channels: of the input, and of the output.
        rate_hz: the sample rate.

    Raises:
        UsageError: an effect refuses the rate or the channels, or gives nothing back.
    """
    source = _Fifo(audio, channels)
    if any(needs_whole_clip(plugin) for plugin in plugins):
        yield _whole(plugins, source, frames, rate_hz)
        return
    for plugin in plugins:
        source = _Fifo(_through(plugin, source, frames, rate_hz), channels)
    for start in range(0, frames, CHUNK_FRAMES):
        yield source.take(min(CHUNK_FRAMES, frames - start))


def _through(plugin: Processor, source: _Fifo, frames: int, rate_hz: float) -> Iterator[Audio]:
    """The output of one plugin, without end: after the clip it gets silence, so the next one gets its
    tail."""
    # Pedalboard cannot tell frames from channels where there are two of each.
    block = min(PLUGIN_BLOCK_FRAMES, max(frames, source.channels + 1))
    plugin.reset()
    owed = 0
    for start in itertools.count(0, CHUNK_FRAMES):
        count = CHUNK_FRAMES if start + CHUNK_FRAMES <= frames else block
        out = process(plugin, source.take(count), rate_hz, block)
        owed += count - out.shape[1]
        if owed > LATENCY_MAX_S * rate_hz:
            raise UsageError(f"{type(plugin).__name__} gives nothing back after {LATENCY_MAX_S} s", "effects")
        yield out


def _whole(plugins: Sequence[Processor], source: _Fifo, frames: int, rate_hz: float) -> Audio:
    from pedalboard import Pedalboard

    count = max(frames, source.channels + 1)
    board = Pedalboard(cast("list[pedalboard.Plugin]", list(plugins)))
    return process(board, source.take(count), rate_hz, reset=True)[:, :frames]


def needs_whole_clip(plugin: Processor) -> bool:
    """Whether a plugin cannot continue from call to call: see WHOLE_CLIP, and LATE."""
    held = _held(plugin)
    return bool(held & WHOLE_CLIP) or ("Mix" in held and bool(held & LATE))


def _held(plugin: Processor) -> set[str]:
    name = type(plugin).__name__
    children = [_held(child) for child in cast(Any, plugin)] if name in CONTAINERS else []
    return {name}.union(*children)


def process(
    plugin: Processor, audio: Audio, rate_hz: float, block: int = PLUGIN_BLOCK_FRAMES, reset: bool = False
) -> Audio:
    """A plugin's output for a piece; raises UsageError where it refuses the rate or the channels."""
    try:
        out: Audio = plugin.process(audio, rate_hz, buffer_size=block, reset=reset)
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"{type(plugin).__name__}: {error}", "effects") from None
    return out


class _Fifo:
    """Pieces of any length in, pieces of the length asked for out; zeros after the end."""

    def __init__(self, pieces: Iterator[Audio], channels: int) -> None:
        self.channels = channels
        self._pieces = pieces
        self._rest = np.zeros((channels, 0), np.float32)

    def take(self, count: int) -> Audio:
        """The next `count` frames, in memory of their own."""
        parts, have = [self._rest], self._rest.shape[1]
        while have < count:
            piece = next(self._pieces, None)
            if piece is None:
                piece = np.zeros((self.channels, count - have), np.float32)
            parts.append(piece)
            have += piece.shape[1]
        joined = np.concatenate(parts, axis=1)
        self._rest = joined[:, count:]
        return np.ascontiguousarray(joined[:, :count])


def _native_value(name: str, key: str, value: Any) -> Any:
    import pedalboard

    if isinstance(EFFECTS[name][key], AudioFile):
        return str(find_asset(value, plugin_settings()))
    if isinstance(EFFECTS[name][key], Choice) and isinstance(value, str):
        kind = pedalboard.LadderFilter.Mode if key == "mode" else pedalboard.Resample.Quality
        return getattr(kind, value)
    return value
