"""Treats plugins in minihost as plugin validators do: python -m ...rough_host PLUGIN.vst3 ...

At five rates and four block sizes each plugin is opened, processes noise, extremes and silence while its
parameters jump, also from another thread, is asked for its state and given it back, complete, truncated and
damaged, and is closed. Prints one line for each that survives.
"""

import contextlib
import re
import sys
import threading
from pathlib import Path
from typing import Any

import minihost
import numpy as np

from tests.bridge.daw.plugin.juce_state import component, with_component

RATES = (44100, 48000, 88200, 96000, 192000)
BLOCKS = (1, 64, 333, 1024)
ROUNDS = 40


def automatable(plugin: Any) -> list[int]:
    infos = [plugin.get_param_info(index) for index in range(plugin.num_params)]
    return [index for index, info in enumerate(infos) if info["is_automatable"]]


def jumps(plugin: Any, seed: int) -> None:
    """Moves every parameter to another value."""
    draw = np.random.default_rng(seed)
    for index in automatable(plugin):
        plugin.set_param(index, float(draw.choice([0, 1, draw.random()])))


def jump_about(plugin: Any) -> None:
    for seed in range(20):
        jumps(plugin, seed)


def sounds(channels: int, block: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    noise = np.random.default_rng(1).standard_normal((channels, block)).astype(np.float32)
    return [noise, noise * np.float32(1e-42), noise * np.float32(1e6), np.zeros_like(noise)]


def give_damaged(plugin: Any, state: bytes) -> None:
    """Restores invalid states: truncated, damaged, with values that no parameter has."""
    inner = component(state)
    assert with_component(state, inner) == state
    draw = np.random.default_rng(2)
    damaged = [inner[: len(inner) * part // 20] for part in range(1, 20)]
    for _ in range(50):
        changed = bytearray(inner)
        for at in draw.integers(len(changed), size=8):
            changed[at] = draw.integers(256)
        damaged.append(bytes(changed))
    damaged += [
        re.sub(rb"\x00-?\d+(\.\d+)?(?=\x00)", b"\x00" + digits, inner)
        for digits in (b"nan", b"-inf", b"1e38", b"-99999999999999999999")
    ]
    damaged.append(b"x" * 100_000)
    for each in damaged:
        with contextlib.suppress(RuntimeError):  # minihost may report that the plugin refused it
            plugin.set_state(with_component(state, each))


def survives(path: str, rate: int, block: int) -> None:
    channels = 1 if "Mono" in path else 2
    plugin = minihost.Plugin(
        path, sample_rate=rate, max_block_size=block, in_channels=channels, out_channels=channels
    )
    pieces = sounds(channels, block)
    made = np.empty((channels, block), np.float32)
    for number in range(ROUNDS):
        if number % 4 == 0:
            jumps(plugin, number)
        piece = pieces[number % len(pieces)]
        plugin.process(piece, made)
        assert np.isfinite(made).all(), "not finite"
        if "Send" in path:
            np.testing.assert_array_equal(made, piece)
    other = threading.Thread(target=jump_about, args=(plugin,))
    other.start()
    while other.is_alive():
        plugin.process(pieces[0], made)
    other.join()
    plugin.process(pieces[3], made)
    state, before = plugin.get_state(), [plugin.get_param(index) for index in automatable(plugin)]
    jumps(plugin, 99)
    plugin.process(pieces[3], made)
    plugin.set_state(state)
    for index, value in zip(automatable(plugin), before, strict=True):
        steps = plugin.get_param_info(index)[
            "num_steps"
        ]  # a host keeps the value it set, a plugin the nearest step
        assert abs(plugin.get_param(index) - value) <= (0.5 / (steps - 1) if steps > 1 else 0) + 1e-6
    if block == BLOCKS[-1]:  # once per rate, as JUCE is slow at it
        give_damaged(plugin, state)
        plugin.process(pieces[0], made)
    assert all(0 <= plugin.get_param(index) <= 1 for index in automatable(plugin))
    plugin.reset()
    plugin.process(pieces[0], made)
    plugin.close()


for each in sys.argv[1:]:
    for its_rate in RATES:
        for its_block in BLOCKS:
            survives(each, its_rate, its_block)
    print("SURVIVED", Path(each).stem, flush=True)
