"""`python -m engine bench draft`: what a render by `draft` costs, through an engine and stage by stage.

Renders a 16-bit stereo file at 48 kHz (noise that ends at 8 kHz) to a file beside it: once through an engine,
then in this process with a clock on each stage. In the same run soxr (VHQ) resamples the file to 44.1 kHz,
read and written in blocks. Prints Markdown tables; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.bench.cost import machine, processes_cpu_s, spent
from engine.bench.growth import engine_running, programme
from engine.bench.stages import timed_stages
from presets.errors import RenderError
from presets.schema import RATE_HZ

BAND_HZ = 8000.0
BLOCK_FRAMES = 1 << 17
MODEL = "engine.models.draft"
STAGES: dict[str, tuple[str, ...]] = {
    "model: network": (f"{MODEL}.predictor:ConvNext.__call__",),
    "model: features, and the envelope from the network's output": (
        f"{MODEL}.envelope:features",
        f"{MODEL}.envelope:Learned.envelope",
    ),
    "model: spectrum of the input": (f"{MODEL}.draft:hear",),
    "model: fine structure copied up": (f"{MODEL}.draft:copied_up",),
    "model: noise shaped by the input's attacks, and its spectrum": (
        f"{MODEL}.draft:grains",
        f"{MODEL}.draft:modulated_noise",
    ),
    "model: envelope applied to copies and noise": (f"{MODEL}.draft:draw_over",),
    "model: inverse transform of the band": (f"{MODEL}.draft:samples_of",),
    "model: fast envelopes of input and band": (
        f"{MODEL}.draft:upper_octave",
        f"{MODEL}.draft:following",
    ),
    "model: the rest": (f"{MODEL}.draft:Draft.channel",),
    "decoding": ("render.clip:FileClip.read",),
    "search for the band's end": ("render.render:find_cutoff",),
    "levels": ("render.levels:LevelMeter._take",),
    "gate, level match and seam": (
        "render.restore:Restorer.gate",
        "render.restore:Restorer.difference",
        "render.restore:Restorer.original",
    ),
    "filters": ("render.generate:added",),
    "containment at the clip's two ends": ("render.edges:Contained._change",),
    "sum, checks and spool": ("render.render:_written",),
    "digests of source and result": (
        "engine.worker.source_digest:SourceDigest.see",
        "engine.worker.source_digest:SourceDigest.read_to",
        "engine.worker.result_cache:ResultCache.keep",
    ),
    "encoding and publishing": ("engine.worker.delivery:Destination.bring",),
}
"""The functions of each stage, see `timed_stages`."""


def main(argv: Sequence[str]) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser("python -m engine bench draft", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="length of the file (600)")
    seconds = parser.parse_args(argv).seconds
    with tempfile.TemporaryDirectory(prefix="airband-bench-") as folder:
        short, source = Path(folder, "short.wav"), Path(folder, "source.wav")
        write(short, 1.0)
        write(source, seconds)
        soxr_s = spent(lambda: resample(source))[0]
        print(f"{machine()}; NumPy {np.__version__}; {seconds:g} s of stereo; soxr takes {soxr_s:.2f} CPU s")
        announce("through an engine")
        print("\n".join(["", *through_engine(short, source, seconds, soxr_s)]), flush=True)
        announce("stage by stage")
        print("\n".join(["", *by_stage(short, source, seconds, soxr_s)]))
    return 0


def announce(what: str) -> None:
    """Prints to stderr what is measured next."""
    print(what, file=sys.stderr, flush=True)


def write(path: Path, seconds: float) -> None:
    """Writes `seconds` of the programme as a 16-bit stereo file."""
    import soundfile

    samples = programme(RATE_HZ, 2, BAND_HZ).T
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, "PCM_16") as file:
        left = round(seconds * RATE_HZ)
        while left > 0:
            file.write(samples[:left])
            left -= len(samples)


def resample(source: Path) -> None:
    """Resamples a file to 44.1 kHz by soxr, to a 32-bit float file beside it."""
    import soundfile
    import soxr

    stream = soxr.ResampleStream(RATE_HZ, 44100, 2, dtype="float32", quality="VHQ")
    with (
        soundfile.SoundFile(source) as file,
        soundfile.SoundFile(source.with_suffix(".soxr.wav"), "w", 44100, 2, "FLOAT") as out,
    ):
        for block in file.blocks(BLOCK_FRAMES, dtype="float32"):
            out.write(stream.resample_chunk(block, last=file.tell() == len(file)))


def through_engine(short: Path, source: Path, seconds: float, soxr_s: float) -> list[str]:
    """A table of the render through a warm engine: a row for each process that takes part."""
    from bridge.client.client import Client

    with engine_running() as (state, pid), Client.connect(state=state) as client:

        def render(path: Path, seed: int = 0) -> None:
            out = path.with_suffix(".engine.wav")
            client.submit(path, model="draft", seed=seed, deliver="path", out=out).wait()

        render(short, seed=1)  # a seed of its own: else a source just as short would be cached
        before = processes_cpu_s(pid)
        total_s, wall_s = spent(lambda: render(source), pid)
        after = processes_cpu_s(pid)
    engine_s = after[pid] - before[pid]
    workers_s = sum(after.values()) - sum(before.values()) - engine_s
    rows = {"client": total_s - engine_s - workers_s, "engine": engine_s, "worker": workers_s, "all": total_s}
    lines = ["| process | CPU s | times soxr |", "|---|---|---|"]
    lines += [f"| {name} | {cpu_s:.2f} | {cpu_s / soxr_s:.2f} |" for name, cpu_s in rows.items()]
    return [*lines, "", f"{wall_s:.1f} s by the clock, {seconds / wall_s:.1f} times real time."]


def by_stage(short: Path, source: Path, seconds: float, soxr_s: float) -> list[str]:
    """A table of the CPU time of the same render in one process: a row for each stage.

    Raises:
        RenderError: nothing was generated.
    """
    from engine.local import LocalRenderer
    from engine.worker.allocator import keep_freed_memory

    keep_freed_memory()
    with LocalRenderer() as renderer:

        def render(path: Path, seed: int = 0) -> None:
            out = path.with_suffix(".stages.wav")
            report = renderer.submit(path, model="draft", seed=seed, deliver="path", out=out).wait().report
            if not report.generated:
                raise RenderError(f"nothing was generated: {report.cutoff_reason}")

        render(short, seed=1)
        with timed_stages(STAGES) as clock:
            total_s, _ = spent(lambda: render(source))
    rows = {stage: clock.cpu_s[stage] for stage in STAGES}
    rows["all else"] = total_s - sum(rows.values())
    rows["all"] = total_s
    lines = ["| stage | CPU s | share | ms a second of a channel | times soxr |", "|---|---|---|---|---|"]
    for stage, cpu_s in rows.items():
        lines.append(
            f"| {stage} | {cpu_s:.2f} | {100 * cpu_s / total_s:.0f} % | "
            f"{1000 * cpu_s / (2 * seconds):.2f} | {cpu_s / soxr_s:.2f} |"
        )
    return lines
