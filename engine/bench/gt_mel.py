"""`python -m engine bench gt-mel IN FULL OUT`: the paper's GT-Mel, a ceiling of mel models.

The mel spectrogram of the full-band clip becomes sound as a model's prediction would: by phase retrieval, or
by the vocoder of an AudioSR model; the rest of the path is a render's. `airband eval --paper` runs it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.models import registry
from engine.models.audiosr import mel, phase
from engine.models.audiosr.checkpoint import load_networks
from presets.errors import InputError, UsageError
from presets.schema import RATE_HZ, Preset, make
from render.clip import Clip, open_clip
from render.render import render
from render.upscaler import Audio, NoiseField, Step, StepHook, Window


class TrueMel:
    """An Upscaler that knows the answer's mel spectrogram.

    Args:
        full: the full-band clip, mono, 48 kHz.
        vocoder: (B, 256, T) log mel -> (B, samples); None retrieves phases.
    """

    name, digest = "gt-mel", "none"
    body_cells = 14
    context_cells = 1
    links_channels = False
    generates = True

    def __init__(self, full: Clip, vocoder: nn.Module | None) -> None:
        self._full, self._vocoder = full, vocoder

    def batch(self, preset: Preset) -> int:
        """Windows gain nothing from each other."""
        return 1

    def steps(self, preset: Preset) -> int:
        """One a window."""
        return 1

    @torch.inference_mode()
    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The true spectrogram of each window as sound: same shape as its samples, the level of the input."""
        made = []
        for window in windows:
            frames = window.samples.shape[1]
            full = torch.from_numpy(self._full.read(window.start, frames) * np.float32(window.gain))
            log_mel = mel.log_mel(mel.magnitude(full))
            if self._vocoder is None:
                wave = phase.waveform(
                    log_mel,
                    torch.from_numpy(window.samples * np.float32(window.gain)),
                    phase.drawn(window, noise),
                    torch.tensor([window.cutoff_hz]),
                )
            else:
                wave = self._vocoder(log_mel.transpose(1, 2))
                late = (wave.shape[1] - frames) // 2
                wave = wave[:, late : late + frames]
            made.append(np.asarray(wave.numpy() / window.gain, dtype=np.float32))
            on_step(Step("vocode", 1, 1))
        return made


def main(argv: Sequence[str]) -> int:
    """Writes OUT, 48 kHz float WAV.

    Raises:
        InputError: clips of more than one channel, or FULL not at 48 kHz.
        UsageError: a model without a vocoder.
    """
    parser = argparse.ArgumentParser("python -m engine bench gt-mel", description=__doc__)
    parser.add_argument("given", type=Path, metavar="IN", help="the band-limited clip, mono")
    parser.add_argument("full", type=Path, metavar="FULL", help="the full-band clip, mono, 48 kHz")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--vocoder", metavar="MODEL", help="an AudioSR model whose vocoder to use")
    arguments = parser.parse_args(argv)
    import soundfile

    vocoder = None
    if arguments.vocoder:
        networks = load_networks(registry.weights(arguments.vocoder), "cpu", None)
        if not networks.has_vocoder:
            raise UsageError(f"{arguments.vocoder} has no vocoder of its own", "vocoder")
        vocoder = networks.vocoder
    with open_clip(arguments.given) as given, open_clip(arguments.full) as full:
        if (full.rate, full.channels, given.channels) != (RATE_HZ, 1, 1):
            found = f"{full.rate} Hz, {full.channels} channels"
            raise InputError(f"{arguments.full}: {found}; give mono clips, FULL at 48000 Hz")
        preset = make(gate_db="off")
        made = render(given, preset, TrueMel(full, vocoder), lambda step: None).clip
        soundfile.write(arguments.out, made.read(0, made.frames)[0], made.rate, subtype="FLOAT")
    return 0
