"""Measures how the cost of a render, an engine and a batch grows with one quantity, for `bench scale`. Each
render runs in a process of its own, so that its peak of memory is that of one render."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.bench.cost import sox_s, soxr_s, spent
from presets.schema import Preset
from render.upscaler import Audio

LOOP_S = 4
"""Seconds after which the sound of all renders repeats, so that a long clip takes no more memory."""
BAND_HZ = 3000.0
"""Where the band of that sound ends, Hz: below the Nyquist frequency of every rate."""
WARM_JOBS = 3
JOBS = 20
"""Jobs at each point of the axis jobs; clients share them, and each does at least one."""
SOX_FILES = 20
"""sox is timed on at most this many files of a batch."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        value: what grew: seconds, channels, Hz, jobs, clients or files.
        units: what the cost is divided by: seconds of audio of one channel, jobs or files.
        cpu_s: of the process that rendered, or of client, engine and worker together.
        wall_s: by the clock.
        peak_mb: the most memory that a process held; 0 where it was not measured.
        times: cost relative to that of soxr or sox for the same audio, or to the first point's per unit.
    """

    value: float
    units: float
    cpu_s: float
    wall_s: float
    peak_mb: float = 0.0
    times: float = 1.0


def lengths(seconds: Sequence[float], model: str) -> Iterator[Point]:
    """Stereo clips at 48 kHz of growing length."""
    for length_s in seconds:
        cost = _apart(length_s, 2, 48000, model)
        yield Point(length_s, 2 * length_s, *cost)


def channels(counts: Sequence[int], seconds: float, model: str) -> Iterator[Point]:
    """Clips at 48 kHz of a growing number of channels."""
    for count in counts:
        yield Point(count, count * seconds, *_apart(seconds, count, 48000, model))


def rates(rates_hz: Sequence[int], seconds: float, model: str) -> Iterator[Point]:
    """Stereo clips at growing rates."""
    for rate_hz in rates_hz:
        yield Point(rate_hz, 2 * seconds, *_apart(seconds, 2, rate_hz, model))


def beside_the_first(points: Iterator[Point]) -> Iterator[Point]:
    """The points with `times` as their CPU seconds per unit, relative to the first point's."""
    first: Point | None = None
    for point in points:
        first = first or point
        yield replace(point, times=point.cpu_s / point.units * first.units / first.cpu_s)


def stored(counts: Sequence[int]) -> Iterator[Point]:
    """Jobs of an engine whose store holds a growing number of them: model `null`, clips of 0.1 s."""
    from engine.local import LocalRenderer

    clip = programme(48000, 1)[:, :4800]
    for count in counts:
        with TemporaryDirectory(prefix="airband-bench-") as folder:
            with LocalRenderer(folder) as renderer:
                renderer.submit((clip, 48000), model="null").wait()
            fill(Path(folder, "jobs.sqlite"), count)
            with LocalRenderer(folder) as renderer:
                seeds = iter(range(1, 1000))

                def render(jobs: int, local: LocalRenderer = renderer, seeds: Iterator[int] = seeds) -> None:
                    for _ in range(jobs):
                        local.submit((clip, 48000), model="null", seed=next(seeds)).wait()

                render(WARM_JOBS)
                yield Point(count, JOBS, *spent(lambda: render(JOBS)))


def fill(database: Path, count: int) -> None:
    """Copies the one job of a store, which has ended, until there are `count`."""
    from bridge.wire.ulid import new_ulid

    connection = sqlite3.connect(database)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
    rest = ", ".join(column for column in columns if column != "job")
    connection.executemany(
        f"INSERT INTO jobs (job, {rest}) SELECT ?, {rest} FROM (SELECT {rest} FROM jobs LIMIT 1)",
        ((new_ulid(),) for _ in range(count - 1)),
    )
    connection.commit()
    connection.close()


def clients(counts: Sequence[int]) -> Iterator[Point]:
    """A growing number of clients of one engine, a thread each: model `null`, clips of 0.1 s."""
    from bridge.client.client import Client

    clip = programme(48000, 1)[:, :4800]
    with engine_running() as (state, pid):
        with Client.connect(state=state) as first:
            for seed in range(WARM_JOBS):
                first.submit((clip, 48000), model="null", seed=seed).wait()
        for count in counts:
            connected = [Client.connect(state=state) for _ in range(count)]
            each = max(1, JOBS // count)

            def work(place: int, connected: list[Client] = connected, each: int = each) -> None:
                for turn in range(each):
                    seed = count * 10000 + place * 100 + turn  # noqa: B023
                    connected[place].submit((clip, 48000), model="null", seed=seed).wait()

            with ThreadPoolExecutor(count) as threads:
                cost = spent(lambda: list(threads.map(work, range(len(connected)))), pid)  # noqa: B023
            for client in connected:
                client.close()
            yield Point(count, count * each, *cost)


def files(counts: Sequence[int], model: str) -> Iterator[Point]:
    """Batches of a growing number of files of 1 s through one engine, which writes beside the sources."""
    import soundfile

    from bridge.batch.plan import Item
    from bridge.batch.run import Order, run
    from bridge.client.client import Client
    from bridge.client.model_choice import choose
    from presets.errors import RenderError

    samples = programme(48000, 1)[0, :48000]
    with (
        engine_running() as (state, pid),
        TemporaryDirectory(prefix="airband-bench-") as folder,
        Client.connect(state=state) as client,
    ):
        order = Order(Preset(model=model), "bench", choose(model, client.models))
        for count in [1, *counts]:  # the first alone warms the engine up
            items = []
            for place in range(count):
                source = Path(folder, f"{count}-{place}.wav")
                soundfile.write(source, np.roll(samples, 97 * place + count), 48000, "PCM_16")
                items.append(Item(source, source.with_suffix(".out.wav")))
            done: list[str] = []
            cost = spent(
                lambda: done.extend(event.what for event in run(client, items, order)),  # noqa: B023
                pid,
            )
            if done.count("done") != count:
                raise RenderError(f"{count - done.count('done')} of {count} files were not rendered")
            if count > 1:
                times = cost[1] / count / sox_s([item.source for item in items[:SOX_FILES]])
                yield Point(count, count, *cost, times=times)


def programme(rate_hz: int, count: int, band_hz: float = BAND_HZ) -> Audio:
    """Noise of (count, LOOP_S * rate_hz) that ends at `band_hz` and repeats without a seam."""
    rng = np.random.default_rng(1)
    bins = np.fft.rfft(rng.standard_normal((count, LOOP_S * rate_hz)))
    bins[:, int(band_hz * LOOP_S) :] = 0
    samples = np.fft.irfft(bins, LOOP_S * rate_hz)
    return np.asarray(0.2 * samples / np.abs(samples).max(), np.float32)


class Looped:
    """A clip that repeats samples to any length; see `render.clip.Clip`."""

    def __init__(self, samples: Audio, rate: int, frames: int) -> None:
        self.rate, self.channels, self.frames = rate, len(samples), frames
        self._samples = samples

    def read(self, start: int, frames: int) -> Audio:
        """See `render.clip.Clip.read`."""
        from render.clip import read_padded

        def looped(lo: int, hi: int) -> Audio:
            # Not `take` with mode="wrap": it subtracts one length at a time, ever longer for late positions.
            return self._samples[:, np.arange(lo, hi) % self._samples.shape[1]]

        return read_padded(looped, self, start, frames)


def render_cost(seconds: float, count: int, rate_hz: int, model: str) -> tuple[float, float, float, float]:
    """CPU seconds, wall seconds and peak memory in MB of one render on one thread, after a short one to warm
    up; and its CPU seconds relative to soxr's."""
    import resource

    from engine.models.registry import load_upscaler
    from engine.worker.allocator import keep_freed_memory
    from presets.errors import RenderError
    from render.render import render

    keep_freed_memory()
    upscaler = load_upscaler(model, "cpu")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    samples = programme(rate_hz, count)
    with TemporaryDirectory(prefix="airband-bench-") as folder:

        def once(length_s: float) -> None:
            clip = Looped(samples, rate_hz, round(length_s * rate_hz))
            spool = Path(folder, "result")
            report = render(clip, Preset(model=model), upscaler, lambda step: None, spool=spool).report
            if not report.generated:
                raise RenderError(f"nothing was generated: {report.cutoff_reason}")

        once(1.0)
        cpu_s, wall_s = spent(lambda: once(seconds))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return cpu_s, wall_s, peak_mb, cpu_s / soxr_s(samples, rate_hz, seconds)


def _apart(*arguments: float | str) -> tuple[float, float, float, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(render_cost, *arguments).result()  # type: ignore[arg-type]


@contextmanager
def engine_running() -> Iterator[tuple[Path, int]]:
    """The state folder and the pid of an engine that runs until the end of the block."""
    import signal

    from bridge.client.client import Client
    from bridge.wire.home import find_home, is_running, read_connection

    with TemporaryDirectory(prefix="airband-bench-") as folder:
        home = find_home(Path(folder))
        Client.connect(state=home.state).close()
        connection = read_connection(home)
        assert connection is not None
        try:
            yield home.state, connection.pid
        finally:
            os.kill(connection.pid, signal.SIGTERM)
            while is_running(home):
                time.sleep(0.05)
