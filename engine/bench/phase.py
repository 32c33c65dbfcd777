"""`python -m engine bench phase`: what each vocoder costs to turn a mel spectrogram into sound, as JSON.

Compares HiFi-GAN of the published size, a small network with an inverse STFT, the network that refines
retrieved phases, and phase retrieval, on one spectrogram in one run. Weights are random: they change neither
the cost nor the shapes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from engine.bench.audiosr import cost
from engine.models.audiosr import mel
from engine.models.audiosr.networks import lay_out, vocoder_of
from engine.models.audiosr.precision import probe
from engine.models.audiosr.vocoders import vocoding
from presets.errors import UsageError
from presets.schema import RATE_HZ

VOCODERS: dict[str, Mapping[str, Any]] = {
    "hifigan": {},
    "istft": {"kind": "istft", "width": 256, "depth": 6},
    "refined-phase": {"kind": "refined-phase", "width": 32, "depth": 6},
}
"""Arguments of the networks: AudioSR's as published, mini-vocoder.toml's and phase-refiner.toml's."""

CUTOFF_HZ = 4000.0


def ways(vocoders: Mapping[str, Mapping[str, Any]], waveform: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Each vocoder as a call that turns the spectrogram of (1, 480 T) samples into a waveform."""
    log_mel = mel.log_mel(mel.magnitude(waveform))
    noise = torch.randn(waveform.shape, generator=torch.Generator().manual_seed(0))
    cutoff_hz = torch.tensor([CUTOFF_HZ])

    def by_network(arguments: Mapping[str, Any]) -> Callable[[], Tensor]:
        network = vocoder_of(arguments).eval().requires_grad_(False)
        lay_out(network)
        return lambda: vocoding.waveform(network, log_mel, waveform, noise, cutoff_hz)

    calls = {name: by_network(arguments) for name, arguments in vocoders.items()}
    return calls | {"phase": lambda: vocoding.waveform(None, log_mel, waveform, noise, cutoff_hz)}


@torch.inference_mode()
def main(argv: Sequence[str]) -> int:
    """Prints one JSON object; progress goes to stderr."""
    parser = argparse.ArgumentParser("python -m engine bench phase")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute (1)")
    parser.add_argument("--seconds", type=float, default=5.12, help="length of the clip (5.12)")
    arguments = parser.parse_args(argv)
    frames = round(arguments.seconds * RATE_HZ) // mel.HOP
    if frames < 2:
        raise UsageError(f"--seconds {arguments.seconds}: give at least 0.02", "seconds")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    costs = {}
    for name, call in ways(VOCODERS, probe(frames)).items():
        print(name, file=sys.stderr, flush=True)
        costs[name] = cost(call)
    report = {
        "torch": torch.__version__,
        "threads": arguments.threads,
        "seconds": arguments.seconds,
        "vocoders": [
            {
                "vocoder": name,
                "cpu_s": round(c.cpu_s, 4),
                "wall_s": round(c.wall_s, 4),
                "to_hifigan": c.cpu_s / costs["hifigan"].cpu_s,
            }
            for name, c in costs.items()
        ],
    }
    print(json.dumps(report, indent=2))
    return 0
