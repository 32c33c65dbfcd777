"""Which parts of AudioSR compute in 16 bits, and the test that the vocoder may.

U-Net and encoder are 16-bit throughout. In the decoder and the vocoder only kernels are, and the signal
between them stays float32: that is a quarter less error in the decoder and 2 to 8 dB less in the vocoder
(random weights), which takes 6 s of CPU where it took 10. The decoder's coarse levels, to the first block of
the last but one, keep float32 kernels too, because an error there spreads over all finer ones.
"""

from __future__ import annotations

import copy
import re

import torch
from torch import Tensor, nn

from engine.models.audiosr import mel
from engine.models.audiosr.networks import Networks
from presets.schema import RATE_HZ

HALVED = re.compile(
    r"(unet|encoder)\.|decoder\.decoder\.up\.(0|1\.upsample|1\.block\.[12])\.(.+\.)?(conv\d?|nin_shortcut)\."
)
"""Names of the tensors that are kept in 16 bits."""

LEAST_SNR_DB = 40.0
"""Least SNR of a 16-bit vocoder against float32 with the loaded weights; below it, it stays float32."""

PROBE_FRAMES = 32
"""Mel frames of the signal it is tested with: 0.32 s."""


def fast_half(device: str) -> torch.dtype | None:
    """The 16-bit type the device multiplies faster than float32, or None: bfloat16 on a CPU with AVX512-BF16
    or AMX and on a GPU that has it, float16 on an older GPU."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if kind == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return None


def halve(networks: Networks, half: torch.dtype) -> None:
    """Bring every tensor that may be 16-bit, see HALVED, to `half`."""
    for name, parameter in networks.named_parameters():
        if HALVED.match(name):
            parameter.data = parameter.data.to(half)


def halved_if_faithful(vocoder: nn.Module, half: torch.dtype) -> nn.Module:
    """The vocoder with 16-bit kernels where they sound the same with its weights, else the vocoder unchanged.

    Args:
        vocoder: in float32.
        half: the type of the kernels.
    """
    rounded = copy.deepcopy(vocoder).to(half)
    heard = mel.log_mel(mel.magnitude(probe(PROBE_FRAMES)))[:, :PROBE_FRAMES].transpose(1, 2)
    heard = heard.to(next(vocoder.parameters()).device)
    with torch.inference_mode():
        return rounded if snr_db(vocoder(heard), rounded(heard)) >= LEAST_SNR_DB else vocoder


def probe(frames: int) -> Tensor:
    """A chord that decays every second, in noise: (1, 480 frames) float32."""
    t = torch.arange(frames * mel.HOP) / RATE_HZ
    chord = sum(torch.sin(2 * torch.pi * f * t) * torch.exp(-2 * (t % 1)) for f in (220.0, 554.4, 659.3))
    noise = torch.randn(len(t), generator=torch.Generator().manual_seed(0))
    return (0.15 * chord + 0.01 * noise)[None]


def snr_db(exact: Tensor, rounded: Tensor) -> float:
    """Level of `exact` over that of the difference, both without DC."""
    signal, other = exact - exact.mean(), rounded - rounded.mean()
    return float(20 * torch.log10(signal.norm() / (signal - other).norm()))
