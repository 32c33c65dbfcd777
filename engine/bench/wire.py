"""`python -m engine bench wire`: what engine and wire cost over the same work in process. Prints JSON.

A clip through the engine is compared with the same call in process; an upload with copying the same bytes to
a file beside the spool (synced, as the spool does) and hashing them. The two sides take turns, so that other
load on the machine falls on both.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bridge.client.client import Client
from bridge.client.job import Job
from bridge.client.renderer import Renderer
from bridge.wire.home import find_home, is_running, read_connection
from engine.local import LocalRenderer
from presets.errors import UsageError
from presets.schema import RATE_HZ
from render.upscaler import Audio

CLIP_S = 10
UPLOAD_BYTES = 460 * 10**6
OVER_MS_MAX = 60.0
"""Target for a clip of CLIP_S: milliseconds more through the engine than in process."""
UPLOAD_RATIO_MAX = 2.0
"""Target for an upload: times as long as copying and hashing the bytes."""


def main(argv: Sequence[str]) -> int:
    """Measures and prints; exit code 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(prog="python -m engine bench wire", description=__doc__)
    parser.add_argument("--repeats", type=int, default=20, help="turns, of which the median counts (20)")
    parser.add_argument(
        "--state", type=Path, help="parent of the temporary state folders (default: the system's)"
    )
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="airband-bench-", dir=given.state) as folder:
        figures = measure(Path(folder), given.repeats)
    print(json.dumps(figures, indent=1))
    return 0 if figures["clip"]["met"] and figures["upload"]["met"] else 1


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """All figures.

    Args:
        folder: for the state of an engine and of a renderer in process.
        repeats: how many times each is taken.
    """
    rng = np.random.default_rng(0)
    clip = 0.1 * rng.standard_normal((2, CLIP_S * RATE_HZ), dtype="f4")
    home = find_home(folder / "engine")
    with Client.connect(state=home.state) as client, LocalRenderer(folder / "local") as local:
        connection = read_connection(home)
        assert connection is not None
        try:
            return {
                "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
                "repeats": repeats,
                "clip": through(client, local, clip, repeats),
                "upload": uploaded(client, rng, folder, repeats),
            }
        finally:
            os.kill(connection.pid, signal.SIGTERM)
            while is_running(home):
                time.sleep(0.05)


def through(client: Renderer, local: Renderer, clip: Audio, repeats: int) -> dict[str, Any]:
    """Times a clip of CLIP_S seconds from the call to the samples, through the engine and in process."""
    seeds = count()  # each its own, so that nothing comes from the cache

    def render(renderer: Renderer) -> Callable[[], None]:
        def once() -> None:
            audio = renderer.submit((clip, RATE_HZ), model="null", seed=next(seeds)).wait().audio
            assert audio.shape == clip.shape

        return once

    engine_s, local_s = medians(render(client), render(local), repeats)
    over_ms = 1000 * (engine_s - local_s)
    return {
        "seconds_of_audio": CLIP_S,
        "engine_ms": round(1000 * engine_s, 2),
        "in_process_ms": round(1000 * local_s, 2),
        "over_ms": round(over_ms, 2),
        "over_ms_max": OVER_MS_MAX,
        "met": over_ms <= OVER_MS_MAX,
    }


def uploaded(client: Renderer, rng: np.random.Generator, folder: Path, repeats: int) -> dict[str, Any]:
    """Times an upload of UPLOAD_BYTES until the engine has queued it, and copying and hashing the bytes."""
    samples = 0.1 * rng.standard_normal((2, UPLOAD_BYTES // 8), dtype="f4")
    started: list[Job] = []

    def upload() -> None:
        # A start beyond the clip's end: the job fails in the worker at once and takes no time from the rest.
        started.append(client.submit((samples, RATE_HZ), model="null", start=10.0**6))

    def copy_and_hash() -> None:
        for job in started:
            with suppress(UsageError):
                job.wait()
            job.forget()
        started.clear()
        path = folder / "copy"
        began_s = time.perf_counter()
        with path.open("wb") as file:
            file.write(samples.data.cast("B"))
            file.flush()
            os.fsync(file.fileno())
        hashlib.blake2b(samples.data.cast("B"), digest_size=32).hexdigest()
        copies_s.append(time.perf_counter() - began_s)
        path.unlink()

    copies_s: list[float] = []
    upload_s, _ = medians(upload, copy_and_hash, repeats)
    copy_s = statistics.median(copies_s)
    return {
        "bytes": samples.nbytes,
        "upload_s": round(upload_s, 3),
        "copy_and_hash_s": round(copy_s, 3),
        "ratio": round(upload_s / copy_s, 2),
        "ratio_max": UPLOAD_RATIO_MAX,
        "met": upload_s <= UPLOAD_RATIO_MAX * copy_s,
    }


def medians(one: Callable[[], None], other: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Median seconds of two calls that take turns; the first turn is not counted."""
    times_s: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for call, spent_s in zip((one, other), times_s, strict=True):
            began_s = time.perf_counter()
            call()
            if turn:
                spent_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s[0]), statistics.median(times_s[1])
