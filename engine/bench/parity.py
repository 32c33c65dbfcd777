"""Replay of the official code's results: `python -m engine parity DIR`.

DIR holds `weights.safetensors` under official key names, `config.json` with the networks' sizes, `input.wav`,
and `golden.npz` with the results of the official classes, stage by stage. Each stage is given the official
input, so an error shows where it arises; the last rows run the whole path from the file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models.audiosr import mel, official, sampler
from engine.models.audiosr.checkpoint import load_official
from engine.models.audiosr.networks import Networks

Arrays = dict[str, NDArray[Any]]

FEATURES, MOMENTS, UNET, LATENT, DECODED, WAVE, WHOLE = 1e-4, 1e-4, 1e-4, 1e-3, 1e-3, 1e-4, 2e-3
"""The largest absolute difference allowed, by kind of array; WHOLE is for the whole path. In fp32 on an AMD
processor the differences are 1e-6, 4e-6, 3e-6, 1e-5, 9e-6, 5e-7 and 9e-7: the rest is room for how
other processors round."""


@dataclass(frozen=True)
class Row:
    """One array compared.

    Attributes:
        name: of the golden array.
        error: largest absolute difference; infinite where the shapes differ.
        tolerance: the largest error allowed.
    """

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance; NaN is not."""
        return self.error <= self.tolerance


class Golden:
    """A golden folder: its arrays, its configuration and the networks with its weights."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        with np.load(folder / "golden.npz") as arrays:
            self.arrays: Arrays = {name: arrays[name] for name in arrays.files}
        self.networks: Networks = load_official(folder / "weights.safetensors", self.config)
        audio, self.rate_hz = soundfile.read(folder / "input.wav", dtype="float32", always_2d=True)
        self.input = np.ascontiguousarray(audio.T)
        self.guidance = float(self.config["guidance_scale"])

    def tensor(self, name: str) -> Tensor:
        """A golden array as a tensor."""
        return torch.from_numpy(self.arrays[name])

    def runs(self) -> Iterator[tuple[str, int, float]]:
        """Name, steps and eta of every DDIM run, from arrays named as `ddim_s10_eta0_timesteps`."""
        for name in list(self.arrays):
            if match := re.fullmatch(r"(ddim\w*_eta(\d))_timesteps", name):
                yield match[1], len(self.arrays[name]), float(match[2])


def compare(folder: Path) -> list[Row]:
    """Compares every array of the folder that Airband's classes can replay, in the order of the path."""
    golden = Golden(folder)
    with torch.inference_mode():
        return [
            Row(name, _error(result, golden.arrays[name]), tolerance)
            for stage in STAGES
            for name, result, tolerance in stage(golden)
            if name in golden.arrays
        ]


def _error(result: Any, expected: NDArray[Any]) -> float:
    values = np.asarray(result)
    if values.dtype.kind == "U":
        return 0.0 if np.array_equal(values, expected) else float("inf")
    if values.shape != expected.shape:
        return float("inf")
    return float(np.max(np.abs(values.astype(np.float64) - expected)))


Stage = Iterator[tuple[str, Any, float]]


def front_end(golden: Golden) -> Stage:
    """Reading, resampling, levelling; STFT and mel."""
    block = official.read_block(golden.input, golden.rate_hz)
    yield "file_padded_len", len(block), 0
    yield "file_target_frame", len(block) // mel.HOP, 0
    yield "file_wave_every16", block[::16], WAVE
    resampled = official.resample(golden.input, golden.rate_hz)
    yield "resampled_head", resampled[:, :4000], WAVE
    frames = int(golden.config["frames"])
    waveform = official.normalise(resampled[0])[: frames * mel.HOP]
    waveform = np.pad(waveform, (0, frames * mel.HOP - len(waveform)))
    yield "waveform", waveform, WAVE
    magnitudes = mel.magnitude(golden.tensor("waveform")[None])
    yield "log_mel", mel.log_mel(magnitudes)[0], FEATURES
    linear = official.linear_magnitude(golden.tensor("waveform")[None])[0]
    yield "stft_every16frames", linear[::16], FEATURES
    yield "mel_fb_rowsum", mel.filterbank().sum(dim=1), FEATURES
    yield "mel_fb_every32", mel.filterbank()[::32], FEATURES
    yield "cutoff_stft_bin", official.rolloff_bin(linear.numpy()), 0
    yield "cutoff_hz", official.prefilter_cutoff_hz(linear.numpy()), 0


def prefilters(golden: Golden) -> Stage:
    """The four filter families, and which one a seed draws."""
    waveform, cutoff_hz = golden.arrays["waveform"], float(golden.arrays["cutoff_hz"])
    for family in official.FAMILIES:
        yield f"lowpass_{family}_every8", official.prefilter(waveform, cutoff_hz, family)[::8], WAVE
    yield "ftype_seed42", official.drawn_family(42), 0
    yield "ftype_seeds0_9", [official.drawn_family(seed) for seed in range(10)], 0
    yield "waveform_lowpass", official.prefilter(waveform, cutoff_hz, official.drawn_family(42)), WAVE
    lowpassed = golden.tensor("waveform_lowpass")[None]
    yield "lowpass_mel", mel.log_mel(mel.magnitude(lowpassed))[0], FEATURES


def conditioning(golden: Golden) -> Stage:
    """The encoder and the sampled condition."""
    lowpass_mel = golden.tensor("lowpass_mel")[None, None]
    yield "vae_moments", golden.networks.encoder.moments(lowpass_mel), MOMENTS
    posterior = golden.networks.encoder(lowpass_mel)
    yield "cond", posterior.mean + posterior.std * golden.tensor("vae_eps"), MOMENTS


def unet(golden: Golden) -> Stage:
    """The velocity at single steps, without a condition, and for a batch of different steps."""
    network, scale = golden.networks.unet, golden.networks.scale_factor
    condition = golden.tensor("cond") * scale
    for name in list(golden.arrays):
        if name.startswith("unet_x_t"):
            t = torch.tensor([int(name.removeprefix("unet_x_t"))])
            yield name.replace("_x_", "_v_"), network(golden.tensor(name), t, condition)[0], UNET
    empty = torch.full_like(condition, float(golden.config["uncond_value"])) * scale
    v, _ = network(golden.tensor("unet_x_t501"), torch.tensor([501]), empty)
    yield "unet_v_uncond_t501", v, UNET
    pair = torch.cat([golden.tensor("unet_x_t1"), golden.tensor("unet_x_t981")])
    batch, _ = network(pair, torch.tensor([1, 981]), condition.repeat(2, 1, 1, 1))
    yield "unet_v_batch2_t1_t981", batch, UNET


def schedule(golden: Golden) -> Stage:
    """The cosine schedule and the official spacing of timesteps."""
    power = sampler.abar(np.arange(float(sampler.TRAINING_STEPS)))
    yield "alphas_cumprod", power, FEATURES
    yield "betas", 1 - power / np.concatenate([[1.0], power[:-1]]), FEATURES
    for run, steps, eta in golden.runs():
        plan = official.leading(steps)[::-1]
        yield f"{run}_timesteps", [level.t for level in plan], 0
        yield f"{run}_alphas", [level.abar for level in plan], FEATURES
        yield f"{run}_alphas_prev", [level.abar_next for level in plan], FEATURES
        yield f"{run}_sigmas", [sampler.ddim_sigma(level, eta) for level in plan], FEATURES


def latents(golden: Golden) -> Stage:
    """DDIM with guidance, the state after every step included."""
    predict = official.velocity(golden.networks, golden.tensor("cond"), golden.guidance)
    for run, steps, eta in golden.runs():
        plan = official.leading(steps)
        noises = golden.tensor(f"{run}_noises") if eta > 0 else torch.empty(0)
        states: list[Tensor] = []

        def traced(z: Tensor, t: float, states: list[Tensor] = states) -> Tensor:
            states.append(z)
            return predict(z, t)

        latent = sampler.ddim(traced, golden.tensor("ddim_xT"), plan, eta, noises.__getitem__)
        yield f"{run}_x_inter", torch.stack([*states[1:], latent]), LATENT
        yield f"{run}_latent", latent, LATENT


def synthesis(golden: Golden) -> Stage:
    """Decoder, low mel bands, vocoder and the merge of waveforms."""
    networks = golden.networks
    latent = golden.tensor("ddim_eta0_latent")
    yield "vae_decoded_mel", networks.decoder(latent / networks.scale_factor), DECODED
    lowpass_mel = golden.tensor("lowpass_mel")[None, None]
    yield "cutoff_mel_bin", official.rolloff_bin(lowpass_mel[0, 0].exp().numpy()), 0
    decoded = golden.tensor("vae_decoded_mel")
    yield "mel_replaced", official.replace_low_bands(decoded, lowpass_mel), DECODED
    waveform = networks.vocoder(golden.tensor("mel_replaced")[:, 0].transpose(1, 2))[0]
    yield "vocoder_wave", waveform, WAVE
    lowpassed = golden.tensor("waveform_lowpass")
    yield "cutoff_wave_bin", official.wave_rolloff_bin(lowpassed), 0
    merged = official.merge_low_band(golden.tensor("vocoder_wave"), lowpassed)
    yield "post_wave_every4", merged[::4], WAVE
    yield "final_wave", official.final_level(merged), WAVE


def whole(golden: Golden) -> Stage:
    """The order of random draws, then the whole path: from the prefiltered waveform, and from the file."""
    shape = golden.arrays["ddim_xT"].shape
    condition, start, of_steps = official.draws(shape, 5, seed=42)
    target = torch.randn(*shape, generator=torch.Generator().manual_seed(42))
    yield "rng42_heads", np.stack([x.flatten()[:8] for x in (target, condition, start, *of_steps)]), 0
    for name in list(golden.arrays):
        if match := re.fullmatch(r"(generate_batch|e2e)_seed(\d+)_steps(\d+)_every(\d+)", name):
            seed, steps, every = (int(number) for number in match.groups()[1:])
            if match[1] == "generate_batch":
                lowpassed = golden.arrays["waveform_lowpass"]
                result = official.generate(golden.networks, lowpassed, steps, golden.guidance, seed)
            else:
                audio, rate_hz = golden.input, golden.rate_hz
                result = official.super_resolution(
                    golden.networks, audio, rate_hz, steps, golden.guidance, seed
                )
                yield "e2e_len", len(result), 0
            yield name, result[::every], WHOLE


STAGES = (front_end, prefilters, conditioning, unet, schedule, latents, synthesis, whole)
"""In the order of the path: each gives (name, result, tolerance) of the arrays it replays."""


def main(argv: Sequence[str]) -> int:
    """Prints a line for every array; returns 1 if one is over its tolerance, else 0."""
    parser = argparse.ArgumentParser("python -m engine parity", description="Replay a golden folder.")
    parser.add_argument(
        "folder", type=Path, help="holds weights.safetensors, golden.npz, config.json, input.wav"
    )
    folder = parser.parse_args(argv).folder
    # MKL's FFT rounds differently on every kind of CPU, and near the mel floor the logarithm turns that into
    # 1e-3. Its compatible mode gives the same bits everywhere, those of the goldens.
    os.environ["MKL_CBWR"] = "COMPATIBLE"
    rows = compare(folder)
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:{width}}  {row.error:9.2e}  of {row.tolerance:7.0e}  {'ok' if row.ok else 'OVER'}")
    over = [row.name for row in rows if not row.ok]
    print(f"{len(rows)} arrays, {len(over)} over{': ' if over else ''}{', '.join(over)}")
    return 1 if over else 0
