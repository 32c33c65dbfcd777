"""`python -m engine bench start`: how long a user waits for the command on a clip of 1 s.

Cold: no engine runs, and the command starts one. Warm: an engine runs. Beside them stand Python alone, and
Python importing NumPy or PyTorch. All take turns. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import soundfile

from bridge.wire.home import Home, find_home, is_running, read_connection
from engine.bench.cost import machine, processes_cpu_s
from engine.bench.growth import programme
from presets.schema import RATE_HZ

BARE, NUMPY, TORCH = "Python alone", "Python importing NumPy", "Python importing PyTorch"
COLD, WARM = "cold: the command starts the engine", "warm: the engine runs already"
PROGRAMS = {BARE: "pass", NUMPY: "import numpy", TORCH: "import torch"}
COMMAND = "from bridge.cli.app import main; main()"
WARM_A_TURN = 3
"""Warm commands after each cold one."""


def main(argv: Sequence[str]) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser("python -m engine bench start", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="turns that count, after one that does not (5)")
    turns = parser.parse_args(argv).turns
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in (*PROGRAMS, COLD, WARM)}
    with tempfile.TemporaryDirectory(prefix="airband-bench-") as folder:
        source = Path(folder, "clip.wav")
        soundfile.write(source, programme(RATE_HZ, 1)[0, :RATE_HZ], RATE_HZ, "PCM_16")
        for turn in range(turns + 1):  # the first is not counted: the disk's cache is cold
            home, took = find_home(Path(folder, f"state{turn}")), []
            took += [(name, cost(["-c", program])) for name, program in PROGRAMS.items()]
            try:
                for name in (COLD, *[WARM] * WARM_A_TURN):
                    out = Path(folder, f"{turn}-{len(took)}.wav")
                    seed = str(len(took))  # else the second result would come from the cache
                    took.append((name, cost(render(source, out, seed, home), home if name == COLD else None)))
            finally:
                stop(home)
            for name, each in took if turn else ():
                costs[name].append(each)
    print(f"{machine()}; the least and the median of {turns} turns")
    print("\n".join(["", *table(costs)]))
    return 0


def render(source: Path, out: Path, seed: str, home: Home) -> list[str]:
    """Python's arguments that run the command."""
    return ["-c", COMMAND, "render", f"{source}", "-o", f"{out}", "--seed", seed, "--state", f"{home.state}"]


def cost(arguments: Sequence[str], home: Home | None = None) -> tuple[float, float]:
    """Wall and CPU seconds of a Python process; with `home`, the CPU seconds of its engine count too."""
    before, began_s = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall_s, after = time.perf_counter() - began_s, os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    if home is not None and (connection := read_connection(home)) is not None:
        cpu_s += sum(processes_cpu_s(connection.pid).values())
    return wall_s, cpu_s


def stop(home: Home) -> None:
    """Ends the engine of a home, and waits for its end."""
    connection = read_connection(home)
    if connection is not None:
        os.kill(connection.pid, signal.SIGTERM)
        while is_running(home):
            time.sleep(0.02)


def table(costs: dict[str, list[tuple[float, float]]]) -> list[str]:
    """Lines of Markdown: a row for each kind of process."""
    lines = [
        "| process | least s | median s | least CPU s | times Python alone | times importing PyTorch |",
        "|---|---|---|---|---|---|",
    ]
    least = {name: min(wall_s for wall_s, _ in each) for name, each in costs.items()}
    for name, each in costs.items():
        median_s = statistics.median(wall_s for wall_s, _ in each)
        lines.append(
            f"| {name} | {least[name]:.2f} | {median_s:.2f} | {min(cpu_s for _, cpu_s in each):.2f} | "
            f"{least[name] / least[BARE]:.1f} | {least[name] / least[TORCH]:.2f} |"
        )
    return lines
