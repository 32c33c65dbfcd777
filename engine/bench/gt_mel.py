"""`python -m engine bench gt-mel IN FULL OUT`: the paper's GT-Mel, a ceiling for mel models.

Turns the mel spectrogram of the full-band clip into sound, as if a model had predicted it: by phase
retrieval, or by the vocoder of an AudioSR model or of a file that `airband train vocoder` wrote. The rest is
the path of a render. `airband eval --paper` runs this.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.models import registry
from engine.models.audiosr import mel
from engine.models.audiosr.loading import load_networks
from engine.models.audiosr.networks import vocoder_of
from engine.models.audiosr.vocoders import phase, vocoding
from engine.training.audiosr.parts import read_part
from presets.errors import InputError, UsageError
from presets.schema import RATE_HZ, Preset, make
from render.clip import Clip, open_clip
from render.render import render
from render.upscaler import SHORT_FADE, Audio, NoiseField, Step, StepHook, Window


class TrueMel:
    """An Upscaler that is given the true mel spectrogram.

    Args:
        full: the full-band clip, mono, 48 kHz.
        vocoder: see `engine.models.audiosr.vocoders.vocoding.waveform`.
    """

    name, digest = "gt-mel", "none"
    body_cells = 14
    context_cells = 1
    fade_frames = SHORT_FADE
    links_channels = False
    generates = True

    def __init__(self, full: Clip, vocoder: nn.Module | None) -> None:
        self._full, self._vocoder = full, vocoder

    def batch(self, preset: Preset) -> int:
        """1: windows gain nothing from sharing a batch."""
        return 1

    def steps(self, preset: Preset) -> int:
        """1 for each window."""
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
            wave = vocoding.waveform(
                self._vocoder,
                log_mel,
                torch.from_numpy(window.samples * np.float32(window.gain)),
                phase.drawn(window, noise),
                torch.tensor([window.cutoff_hz]),
            )
            made.append(np.asarray(wave.numpy() / window.gain, dtype=np.float32))
            on_step(Step("vocode", 1, 1))
        return made


def _vocoder(name: str) -> nn.Module:
    if Path(name).is_file():
        part = read_part(Path(name), "vocoder")
        vocoder = vocoder_of(part.arguments)
        vocoder.load_state_dict({key.removeprefix("vocoder."): tensor for key, tensor in part.state.items()})
        return vocoder.eval()
    networks = load_networks(registry.weights(name), "cpu", None)
    if not networks.has_vocoder:
        raise UsageError(f"{name} has no vocoder of its own", "vocoder")
    return networks.vocoder


def main(argv: Sequence[str]) -> int:
    """Writes OUT as a 48 kHz float WAV; with `-` for the paths, one for each line of standard input.

    Raises:
        InputError: clips of more than one channel, or FULL not at 48 kHz.
        UsageError, ModelError: not three paths, a model without a vocoder, or a file that is no vocoder.
    """
    parser = argparse.ArgumentParser("python -m engine bench gt-mel", description=__doc__)
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="IN FULL OUT",
        help="the band-limited clip, mono; the full-band clip, mono, 48 kHz; what to write. Or - alone: "
        "reads lines of the three, separated by tabs, and prints `written` after each",
    )
    parser.add_argument(
        "--vocoder",
        metavar="MODEL|FILE",
        help="the AudioSR model whose vocoder to use, or a vocoder's file",
    )
    arguments = parser.parse_args(argv)
    vocoder = _vocoder(arguments.vocoder) if arguments.vocoder else None
    if arguments.paths != [Path("-")]:
        _write(arguments.paths, vocoder)
        return 0
    for line in sys.stdin:
        _write([Path(word) for word in line.rstrip("\n").split("\t")], vocoder)
        print("written", flush=True)
    return 0


def _write(paths: Sequence[Path], vocoder: nn.Module | None) -> None:
    import soundfile

    if len(paths) != 3:
        raise UsageError(f"{len(paths)} paths; give IN, FULL and OUT, or - to read them from stdin", "paths")
    given_path, full_path, out = paths
    with open_clip(given_path) as given, open_clip(full_path) as full:
        if (full.rate, full.channels, given.channels) != (RATE_HZ, 1, 1):
            found = f"{full.rate} Hz, {full.channels} channels"
            raise InputError(f"{full_path}: {found}; give mono clips, FULL at 48000 Hz")
        preset = make(gate_db="off")
        made = render(given, preset, TrueMel(full, vocoder), lambda step: None).clip
        soundfile.write(out, made.read(0, made.frames)[0], made.rate, subtype="FLOAT")
