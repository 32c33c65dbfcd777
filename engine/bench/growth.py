"""What a render, an engine and a batch cost when one thing about them grows; `bench scale` sets them side by
side. Renders are measured in processes of their own, each for its own peak of memory."""

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
"""The sound that all renders are of comes again after so long: it takes no memory to be long."""
BAND_HZ = 3000.0
"""Where that sound ends; every rate holds it."""
WARM_JOBS = 3
JOBS = 20
"""Jobs that an axis of jobs or clients is measured by, at the least."""
SOX_FILES = 20
"""Files of a batch, at the most, that sox is timed with."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        value: what grew: seconds, channels, Hz, jobs, clients or files.
        units: what the cost is divided by: seconds of audio of one channel, jobs or files.
        cpu_s: of the process that rendered; of client, engine and worker together, where there are these.
        wall_s: by the clock.
        peak_mb: the most memory that a process held; 0 where it was not measured.
        times: how many times what soxr or sox takes for the same audio, or the first point for a unit.
    """

    value: float
    units: float
    cpu_s: float
    wall_s: float
    peak_mb: float = 0.0
    times: float = 1.0


def lengths(seconds: Sequence[float], model: str) -> Iterator[Point]:
    """Stereo at 48 kHz, longer and longer."""
    for length_s in seconds:
        cost = _apart(length_s, 2, 48000, model)
        yield Point(length_s, 2 * length_s, *cost)


def channels(counts: Sequence[int], seconds: float, model: str) -> Iterator[Point]:
    """A clip at 48 kHz in more and more channels."""
    for count in counts:
        yield Point(count, count * seconds, *_apart(seconds, count, 48000, model))


def rates(rates_hz: Sequence[int], seconds: float, model: str) -> Iterator[Point]:
    """Stereo at higher and higher rates."""
    for rate_hz in rates_hz:
        yield Point(rate_hz, 2 * seconds, *_apart(seconds, 2, rate_hz, model))


def beside_the_first(points: Iterator[Point]) -> Iterator[Point]:
    """The points, each with how many times the CPU seconds of the first one its units take."""
    first: Point | None = None
    for point in points:
        first = first or point
        yield replace(point, times=point.cpu_s / point.units * first.units / first.cpu_s)


def stored(counts: Sequence[int]) -> Iterator[Point]:
    """Jobs of an engine whose store holds more and more of them: `null`, 0.1 s each."""
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
    """Makes the one job that a store holds `count` jobs, which have ended alike."""
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
    """More and more clients of one engine, each in a thread of its own: `null`, 0.1 s a job."""
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
    """Batches of more and more files of 1 s through one engine, written by it beside their sources."""
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
    """(count, LOOP_S rate_hz) of noise that ends at `band_hz` and goes on at its start where it ends."""
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
            # By the remainder: `take` with mode="wrap" goes back turn by turn, and takes ever longer.
            return self._samples[:, np.arange(lo, hi) % self._samples.shape[1]]

        return read_padded(looped, self, start, frames)


def render_cost(seconds: float, count: int, rate_hz: int, model: str) -> tuple[float, float, float, float]:
    """CPU seconds, seconds and peak memory in MB of one render on one thread, after a short one; and how many
    times the CPU seconds of soxr that is."""
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
