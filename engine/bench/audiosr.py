"""`python -m engine bench audiosr`: what AudioSR costs at full size, stage by stage, as JSON.

Weights are random: they change neither the cost nor the shapes. It compares these ways of computing:

- `official`: float32 in the framework's default layout, which stands in for the official code;
- `float32`: as Airband computes, channels-last;
- `bfloat16`, where the processor multiplies it faster: with 16-bit kernels where
  engine.models.audiosr.precision has them, and in the vocoder.

For a clip the official code runs two encodes, two U-Net calls a step, a decode and a vocoder. Airband runs
one encode, and a guided step as one U-Net call on a batch of two; with the knobs of SPARED, some steps run
without guidance or without the U-Net's coarse levels. These costs are added up from the stages. Beside them,
a process like a worker's renders whole clips by phase retrieval.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.bench.audiosr_device import table
from engine.bench.cost import machine, spent
from engine.models.audiosr import mel
from engine.models.audiosr.checkpoint import GUIDANCE, write
from engine.models.audiosr.economy import predictions
from engine.models.audiosr.loading import IN_MEMORY_BYTES, load_networks
from engine.models.audiosr.networks import Configuration, Networks, lay_out
from engine.models.audiosr.pipeline import AudioSR
from engine.models.audiosr.precision import fast_half, halve, probe, snr_db
from engine.models.audiosr.vocoders import phase
from engine.worker.allocator import keep_freed_memory
from engine.worker.model_cache import available
from presets.errors import UsageError
from presets.schema import RATE_HZ, make
from render.noise import PhiloxNoise
from render.upscaler import CELL_FRAMES, Window

CUTOFF_HZ = 6000.0
LONG_S = 2.0
"""CPU seconds above which one call is measured; a shorter one is repeated, see `cost`."""
SPARED: dict[str, Any] = {"cache_interval": 3, "guided_share": 0.25}
"""Knobs of a render that skips work whose results change little from step to step."""
T = 501.0
"""The diffusion step at which the U-Net is timed; all steps cost the same."""


@dataclass(frozen=True)
class Cost:
    """Seconds a stage takes."""

    cpu_s: float
    wall_s: float


def cost(function: Callable[[], object]) -> Cost:
    """The cost of a call: of its first run if that is above LONG_S, else the median of five runs after it."""

    def once() -> Cost:
        return Cost(*spent(function))

    first = once()
    several = [first] if first.cpu_s > LONG_S else [once() for _ in range(5)]
    return Cost(*(statistics.median(getattr(c, name) for c in several) for name in ("cpu_s", "wall_s")))


class Inputs:
    """Inputs of the stages: a decaying chord in noise, its mel spectrogram, and its latent in float32."""

    def __init__(self, networks: Networks, frames: int) -> None:
        waveform = probe(frames)
        self.waveform = waveform.numpy()
        self.mel = mel.log_mel(mel.magnitude(waveform))[:, None]
        self.condition = networks.encoder(self.mel).mean
        generator = torch.Generator().manual_seed(1)
        self.z = torch.randn(self.condition.shape, generator=generator)
        self.noise = torch.randn(waveform.shape, generator=generator)
        self.cutoff_hz = torch.full((1,), CUTOFF_HZ)

    def stages(self, networks: Networks) -> dict[str, Callable[[], Tensor]]:
        """Each stage as a call that returns its result."""
        alone = self.z, torch.tensor([T]), self.condition
        pair = self.z.repeat(2, 1, 1, 1), torch.tensor([T, T]), self.condition.repeat(2, 1, 1, 1)
        coarse = [networks.unet(*given)[1] for given in (alone, pair)]
        return {
            "encode": lambda: networks.encoder(self.mel).mean,
            "unet": lambda: networks.unet(*alone)[0],
            "unet guided": lambda: networks.unet(*pair)[0],
            "unet fine": lambda: networks.unet(*alone, coarse[0])[0],
            "unet guided fine": lambda: networks.unet(*pair, coarse[1])[0],
            "decode": lambda: networks.decoder(self.condition),
            "vocode": lambda: networks.vocoder(self.mel[:, 0].transpose(1, 2)),
            "phase": lambda: phase.waveform(
                self.mel[:, 0], torch.from_numpy(self.waveform), self.noise, self.cutoff_hz
            ),
        }


Costs = dict[tuple[str, str], Cost]
"""By (stage, way)."""


def measure(ways: dict[str, Networks], inputs: Inputs) -> tuple[Costs, dict[str, dict[str, Tensor]]]:
    """The costs of every stage in every way, and by way the results of the stages in COMPARED.

    The ways of a stage run right after one another, because a processor's clock drifts.
    """
    calls = {way: inputs.stages(networks) for way, networks in ways.items()}
    costs: Costs = {}
    results: dict[str, dict[str, Tensor]] = {way: {} for way in ways}
    for stage in next(iter(calls.values())):
        for way in ways:
            print(f"{way}: {stage}", file=sys.stderr, flush=True)
            costs[stage, way] = cost(calls[way][stage])
            if stage in COMPARED:
                results[way][stage] = calls[way][stage]()
    return costs, results


COMPARED = ("unet", "decode", "vocode")


def agreement(exact: dict[str, Tensor], rounded: dict[str, Tensor]) -> dict[str, float]:
    """How near bfloat16 comes to float32, stage by stage, each on the same input."""
    v, mel_error = exact["unet"], rounded["decode"] - exact["decode"]
    return {
        "unet_v_relative": float((rounded["unet"] - v).norm() / v.norm()),
        "decoded_mel_rms": float(mel_error.square().mean().sqrt()),
        "decoded_mel_max": float(mel_error.abs().max()),
        "decoded_mel_std": float(exact["decode"].std()),
        "vocoder_snr_db": snr_db(exact["vocode"], rounded["vocode"]),
    }


def clip_costs(costs: Costs) -> dict[str, float]:
    """CPU seconds of a clip for each way of making it, added up from its stages."""
    product_way = "bfloat16" if ("encode", "bfloat16") in costs else "float32"

    def cpu(stage: str, way: str) -> float:
        return costs[stage, way].cpu_s

    def official(way: str, steps: int) -> float:
        return 2 * cpu("encode", way) + 2 * steps * cpu("unet", way) + cpu("decode", way) + cpu("vocode", way)

    def product(steps: int, vocoder: str, stage: str = "vocode", **spared: Any) -> float:
        of_steps = sum(
            cpu("unet" + " guided" * (step.scale > 1) + " fine" * (not step.whole), product_way)
            for step in predictions(steps, GUIDANCE, **spared)
        )
        return cpu("encode", product_way) + of_steps + cpu("decode", product_way) + cpu(stage, vocoder)

    clips = {
        "official, 50 steps": official("official", 50),
        "float32 with two encodes and two calls, 50 steps": official("float32", 50),
        "product, 50 steps": product(50, "float32"),
        "product, 12 steps": product(12, "float32"),
    }
    if product_way == "bfloat16":
        clips |= {
            "product, 50 steps, bfloat16 vocoder": product(50, "bfloat16"),
            "product, 12 steps, bfloat16 vocoder": product(12, "bfloat16"),
        }
    return clips | {
        "product, 50 steps, phase retrieval": product(50, "float32", "phase"),
        "product, 12 steps, phase retrieval": product(12, "float32", "phase"),
        "product, 50 steps, spared, phase retrieval": product(50, "float32", "phase", **SPARED),
        "product, 12 steps, spared, phase retrieval": product(12, "float32", "phase", **SPARED),
    }


def work(path: str, waveform: Any, threads: int, pipe: Any) -> None:
    """Does what a worker does, in a process of its own: loads the networks, renders a window with each of two
    samplers and phase retrieval, then one with the vocoder. Sends costs and memory peaks through `pipe`."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    networks = load_networks(Path(path), "cpu", fast_half("cpu"), IN_MEMORY_BYTES)
    model = AudioSR("audiosr-random", "0", networks)
    loaded_bytes = peak_memory_bytes()
    window = Window(waveform, 0, CUTOFF_HZ, 0)
    runs = {}
    for steps, sampler in ((12, "dpmpp_2m"), (50, "ddim")):
        for name, spared in (("", {}), (" spared", SPARED)):
            preset = make(steps=steps, sampler=sampler, vocoder="phase", **spared)
            upscale = partial(model.upscale, [window], PhiloxNoise(0), preset, lambda _: None)
            runs[f"{steps} steps {sampler}{name}"] = asdict(cost(upscale))
    phase_bytes = peak_memory_bytes()
    model.upscale([window], PhiloxNoise(0), make(steps=1, vocoder="hifigan"), lambda _: None)
    peaks = {"loaded": loaded_bytes, "phase retrieval": phase_bytes, "vocoder": peak_memory_bytes()}
    pipe.send((runs, peaks))


def peak_memory_bytes() -> int:
    """The peak of this process's resident memory."""
    status = Path("/proc/self/status")
    if status.exists():  # a spawned process inherits its parent's ru_maxrss here
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_worker(
    networks: Networks, waveform: Any, threads: int
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Renders whole clips as a worker does: costs by run, and the peak of memory in bytes after loading, the
    renders by phase retrieval and the one by the vocoder."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="airband-bench-") as folder:
        path = Path(folder) / "random.safetensors"
        write(networks.state_dict(), path, networks.configuration, "random")
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(str(path), waveform, threads, sender))
        worker.start()
        sender.close()
        try:
            runs, peaks = receiver.recv()
        finally:
            worker.join()
    return runs, peaks


@torch.inference_mode()
def main(argv: Sequence[str]) -> int:
    """Prints one JSON object; progress goes to stderr."""
    parser = argparse.ArgumentParser("python -m engine bench audiosr")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute (1)")
    parser.add_argument(
        "--seconds", type=float, help="of the clip, a multiple of 0.64 (5.12; on a GPU 10.24, one window)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: whole renders in batches")
    parser.add_argument(
        "--compile", action="store_true", help="on a GPU, compiled networks as well (minutes)"
    )
    arguments = parser.parse_args(argv)
    if arguments.seconds is None:
        arguments.seconds = 5.12 if arguments.device == "cpu" else 10.24
    frames = round(arguments.seconds * RATE_HZ) // mel.HOP
    if frames <= 0 or frames * mel.HOP % CELL_FRAMES:
        raise UsageError(f"--seconds {arguments.seconds}: give a multiple of 0.64", "seconds")
    if arguments.device != "cpu":
        device = available(arguments.device if ":" in arguments.device else f"{arguments.device}:0")
        print(
            json.dumps(
                table(device, Configuration(), arguments.seconds, compiles=arguments.compile), indent=2
            )
        )
        return 0
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    networks = Networks(Configuration()).eval().requires_grad_(False)
    ways = {"official": networks, "float32": deepcopy(networks)}
    lay_out(ways["float32"])
    if fast_half("cpu") is not None:
        ways["bfloat16"] = deepcopy(ways["float32"])
        halve(ways["bfloat16"], torch.bfloat16)
        ways["bfloat16"].vocoder.to(torch.bfloat16)
    inputs = Inputs(networks, frames)
    costs, results = measure(ways, inputs)
    agrees = agreement(results["float32"], results["bfloat16"]) if "bfloat16" in ways else None
    ways.clear()
    print("worker: 12 and 50 steps", file=sys.stderr, flush=True)
    runs, peaks = run_worker(networks, np.ascontiguousarray(inputs.waveform), arguments.threads)

    clips = clip_costs(costs)
    official, own = clips["official, 50 steps"], clips["float32 with two encodes and two calls, 50 steps"]
    for run in runs.values():
        run["to_official"] = run["cpu_s"] / official
    report = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "seconds": arguments.seconds,
        "stages": [
            {"stage": stage, "way": way, "cpu_s": round(c.cpu_s, 3), "wall_s": round(c.wall_s, 3)}
            for (stage, way), c in sorted(costs.items())
        ],
        "clips": [
            {"clip": clip, "cpu_s": round(s, 2), "to_official": s / official, "to_float32": s / own}
            for clip, s in clips.items()
        ],
        "worker": {"runs": runs, "peak_memory_bytes": peaks},
        "bfloat16_against_float32": agrees,
    }
    print(json.dumps(report, indent=2))
    return 0
