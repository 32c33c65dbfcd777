"""`python -m engine bench audiosr --device cuda`: how fast AudioSR renders whole windows on a GPU.

Weights are random and of the published size: they change neither the cost nor the shapes. A row is a window
of 10.24 s of one channel, of which 8.96 s are new; several rows share a batch, as several windows, channels
or jobs do.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.models.audiosr import mel
from engine.models.audiosr.networks import Configuration, Networks, compile_for, lay_out
from engine.models.audiosr.pipeline import AudioSR
from engine.models.audiosr.precision import halve, probe
from presets.schema import RATE_HZ, Preset, make
from render.noise import PhiloxNoise
from render.upscaler import CELL_FRAMES, Window

CUTOFF_HZ = 6000.0
ROWS = (1, 4, 16)
"""Rows of a batch: one mono clip, two stereo clips, several jobs."""

SAMPLERS = (("ddim", 50), ("dpmpp_2m", 12))
DB_A_NEPER = 20 * math.log10(math.e)
"""Log-mel spectrograms are natural logarithms."""
PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Rendered:
    """One line of the table.

    Attributes:
        precision: of the networks; ends in `compiled` where they were compiled.
        rows: of the batch.
        sampler, steps, vocoder: as the knobs.
        wall_s: of the whole call, the median of three.
        times_real_time: seconds of new audio per wall second.
        peak_gb: peak of the device's allocated memory.
        error_db: distance of the generated spectrogram from that of float32, dB RMS; 0 for float32.
    """

    precision: str
    rows: int
    sampler: str
    steps: int
    vocoder: str
    wall_s: float
    times_real_time: float
    peak_gb: float
    error_db: float


def windows_of(rows: int, seconds: float) -> list[Window]:
    """Consecutive windows of a clip, all different, so that no two can share a result."""
    sound = probe(round(seconds * RATE_HZ) // mel.HOP).numpy()
    return [
        Window(np.ascontiguousarray(np.roll(sound, 4801 * row, 1)), row * CELL_FRAMES * 14, CUTOFF_HZ, 0)
        for row in range(rows)
    ]


def networks_on(device: str, configuration: Configuration, precision: torch.dtype) -> Networks:
    """Networks of random weights, the same ones in every precision."""
    torch.manual_seed(0)
    networks = Networks(configuration).eval().requires_grad_(False)
    if precision != torch.float32:
        halve(networks, precision)
        networks.vocoder.to(precision)
    networks.to(device)
    lay_out(networks)
    return networks


def wait(device: str) -> None:
    """Waits until the device has finished its queued work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def stages(networks: Networks, device: str, rows: int, seconds: float) -> dict[str, float]:
    """Wall milliseconds of each stage on a batch, and of the noise of one step, which the CPU draws."""
    heard = torch.cat([torch.from_numpy(window.samples) for window in windows_of(rows, seconds)]).to(device)
    x = mel.log_mel(mel.magnitude(heard))[:, None]
    z = networks.encoder(x).mean
    steps = torch.full((2 * rows,), 500.0, device=device)
    noise, shape = PhiloxNoise(0), (networks.latent_channels, mel.BANDS // networks.time_stride)

    def drawn() -> Tensor:
        return torch.from_numpy(noise("step 1", 0, 0, rows * z.shape[2], shape))

    calls: dict[str, Callable[[], Tensor]] = {
        "encode": lambda: networks.encoder(x).mean,
        "U-Net, guided": lambda: networks.unet(torch.cat([z, z]), steps, torch.cat([z, z]))[0],
        "decode": lambda: networks.decoder(z),
        "noise": drawn,
    }
    if networks.has_vocoder:
        calls["vocode"] = lambda: networks.vocoder(x[:, 0].transpose(1, 2))
    return {name: 1000 * median_s(call, device) for name, call in calls.items()}


def median_s(call: Callable[[], object], device: str, times: int = 3) -> float:
    """Median wall seconds of `times` calls, after one to warm up."""
    spent = []
    for _ in range(times + 1):
        began_s = time.perf_counter()
        call()
        wait(device)
        spent.append(time.perf_counter() - began_s)
    return sorted(spent[1:])[times // 2]


def rendered(
    model: AudioSR, device: str, precision: str, windows: Sequence[Window], preset: Preset
) -> tuple[Rendered, Tensor]:
    """The cost of one call of the model, and the log-mel spectrogram of its result."""
    with most_memory(device) as peak_gb:
        wall_s = median_s(lambda: model.upscale(windows, PhiloxNoise(0), preset, lambda _: None), device)
    made = model.upscale(windows, PhiloxNoise(0), preset, lambda _: None)
    spectrogram = mel.log_mel(mel.magnitude(torch.from_numpy(np.concatenate(made))))
    new_s = len(windows) * (windows[0].samples.shape[1] - 2 * CELL_FRAMES) / RATE_HZ
    line = Rendered(
        precision,
        len(windows),
        preset.sampler,
        preset.steps,
        preset.vocoder,
        round(wall_s, 4),
        round(new_s / wall_s, 1),
        round(peak_gb(), 2),
        0.0,
    )
    return line, spectrogram


@contextmanager
def most_memory(device: str) -> Iterator[Callable[[], float]]:
    """Yields a function that gives the peak of memory allocated in the block, in GB; 0 if not on CUDA."""
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    yield lambda: torch.cuda.max_memory_allocated(device) / 1e9 if on_gpu else 0.0


@torch.inference_mode()
def table(
    device: str,
    configuration: Configuration,
    seconds: float,
    rows: Sequence[int] = ROWS,
    samplers: Sequence[tuple[str, int]] = SAMPLERS,
    precisions: Sequence[torch.dtype] = PRECISIONS,
    compiles: bool = False,
) -> dict[str, Any]:
    """The whole table, as `bench audiosr` prints it; each line also goes to stderr as it is measured.

    Args:
        device: as torch names it.
        configuration: of the networks; `Configuration()` is the published size.
        seconds: length of a window, a multiple of 0.64.
        rows: sizes of batches to measure.
        samplers: samplers and their steps.
        precisions: of the networks; float32 first, as the others are compared with it.
        compiles: whether 16-bit networks are also compiled, which takes minutes.
    """
    lines: list[Rendered] = []
    exact: dict[tuple[int, str, int, str], Tensor] = {}
    costs: dict[str, dict[int, dict[str, float]]] = {}
    for precision in precisions:
        name = str(precision).removeprefix("torch.")
        networks = networks_on(device, configuration, precision)
        for compiled in (False, True) if compiles and precision == torch.bfloat16 else (False,):
            if compiled:
                compile_for(networks, device)
                name += ", compiled"
            model = AudioSR("audiosr-random", "0", networks, device, rows=max(rows))
            for count in rows:
                windows = windows_of(count, seconds)
                if not compiled:
                    costs.setdefault(name, {})[count] = stages(networks, device, count, seconds)
                for sampler, steps in samplers:
                    for vocoder in ("hifigan", "phase"):
                        preset = make(steps=steps, sampler=sampler, vocoder=vocoder)
                        line, made = rendered(model, device, name, windows, preset)
                        same = exact.setdefault((count, sampler, steps, vocoder), made)
                        off_db = float((made - same).square().mean().sqrt()) * DB_A_NEPER
                        lines.append(replace(line, error_db=round(off_db, 3)))
                        print(lines[-1], file=sys.stderr, flush=True)
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device,
        "seconds": seconds,
        "stages_ms": costs,
        "renders": [asdict(line) for line in lines],
    }
