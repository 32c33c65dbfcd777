"""Measures the CPU and wall seconds of some work, and those of sox and soxr for the same audio."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from render.upscaler import Audio


def spent(work: Callable[[], object], engine: int | None = None) -> tuple[float, float]:
    """CPU and wall seconds of some work; with a pid, the CPU seconds of that engine's processes count too."""

    def cpu_s() -> float:
        return time.process_time() + (0.0 if engine is None else sum(processes_cpu_s(engine).values()))

    began_cpu_s, began_s = cpu_s(), time.perf_counter()
    work()
    return cpu_s() - began_cpu_s, time.perf_counter() - began_s


def processes_cpu_s(pid: int) -> dict[int, float]:
    """CPU seconds by pid, of a process and its descendants; empty on systems other than Linux."""
    try:
        figures = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        listed = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return {}
    family = {pid: (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")}
    for child in (int(each) for children in listed for each in children):
        family |= processes_cpu_s(child)
    return family


def machine() -> str:
    """The processor's name and its number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def sox_s(sources: Sequence[Path]) -> float:
    """Wall seconds a file that sox, a process each, takes to resample to 44.1 kHz; infinity without sox."""
    if shutil.which("sox") is None:
        return float("inf")
    began_s = time.perf_counter()
    for source in sources:
        subprocess.run(["sox", source, source.with_suffix(".sox.wav"), "rate", "-v", "44100"], check=True)
    return (time.perf_counter() - began_s) / len(sources)


def soxr_s(samples: Audio, rate_hz: int, seconds: float) -> float:
    """CPU seconds that a soxr stream (VHQ) takes for `seconds` of audio, to 48 kHz or from 48 to 44.1."""
    import soxr

    stream = soxr.ResampleStream(
        rate_hz, 44100 if rate_hz == 48000 else 48000, len(samples), dtype="float32", quality="VHQ"
    )
    second = np.ascontiguousarray(samples[:, :rate_hz].T)
    return spent(lambda: [stream.resample_chunk(second) for _ in range(max(1, round(seconds)))])[0]
