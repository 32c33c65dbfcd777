"""What the official package (audiosr 0.0.7) does differently, kept for parity and used nowhere in a render.

Unlike Airband, it keeps channel 0 alone, rounds up to blocks of 5.12 s, draws the prefilter's family from the
seed, finds the cut-off three times by a 0.985 roll-off of magnitudes, spaces timesteps from the clean end and
stops one step short of clean, and returns every result at half of full scale. Lengths are padded lengths plus
16, as its vocoder returns them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.models.audiosr import mel, sampler
from engine.models.audiosr.networks import Networks
from engine.models.audiosr.pipeline import EMPTY_CONDITION
from presets.schema import RATE_HZ

FAMILIES = ("butter", "cheby1", "ellip", "bessel")
BLOCK_S = 5.12

Signal = NDArray[np.float32]
"""(samples,) float32, one channel at 48 kHz."""


def read_block(samples: Signal, rate_hz: int) -> Signal:
    """The front end: 48 kHz, channel 0, peak 0.5 without DC, zeros up to the next multiple of 5.12 s.

    Args:
        samples: (channels, frames) at `rate_hz`.
        rate_hz: of the file.
    """
    seconds = samples.shape[1] / rate_hz
    padded_s = seconds if seconds % BLOCK_S == 0 else seconds + (BLOCK_S - seconds % BLOCK_S)
    waveform = normalise(resample(samples, rate_hz)[0])
    return np.pad(waveform, (0, int(RATE_HZ * padded_s) - len(waveform)))


def normalise(waveform: Signal) -> Signal:
    """Mean 0, then peak 0.5."""
    centred = waveform - np.mean(waveform)
    return np.asarray(centred / (np.max(np.abs(centred)) + 1e-8) * 0.5, dtype=np.float32)


def resample(samples: Signal, rate_hz: int, zeros: int = 6, rolloff: float = 0.99) -> Signal:
    """Windowed-sinc interpolation to 48 kHz, torchaudio's default: Hann over `zeros` crossings a side.

    Args:
        samples: (channels, frames).
        rate_hz: of the samples.
        zeros: zero crossings of the sinc on each side.
        rolloff: the filter's edge as a share of the lower Nyquist frequency.
    """
    divisor = math.gcd(rate_hz, RATE_HZ)
    source, target = rate_hz // divisor, RATE_HZ // divisor
    if source == target:
        return samples
    edge = min(source, target) * rolloff
    reach = math.ceil(zeros * source / edge)
    taps = torch.arange(-reach, reach + source, dtype=torch.float64)[None, :] / source
    phases = torch.arange(target, dtype=torch.float64)[:, None] / target
    angles = ((taps - phases) * edge).clamp(-zeros, zeros)
    kernels = torch.sinc(angles) * torch.cos(angles * torch.pi / zeros / 2) ** 2 * (edge / source)
    x = F.pad(torch.from_numpy(samples)[:, None], (reach, reach + source))
    y = F.conv1d(x, kernels.float()[:, None], stride=source)
    length = math.ceil(samples.shape[1] * RATE_HZ / rate_hz)
    return y.transpose(1, 2).flatten(1)[:, :length].numpy()


def rolloff_bin(magnitudes: NDArray[np.float32], share: float = 0.985) -> int:
    """The highest bin, 1 or above, below which less than `share` of the summed magnitude lies; 0 if none.

    Args:
        magnitudes: (frames, bins), magnitudes and not powers.
        share: of the whole.
    """
    energy = np.cumsum(np.sum(magnitudes, axis=0))
    below = np.flatnonzero(energy < energy[-1] * share)
    return int(below[-1]) if len(below) else 0


def prefilter_cutoff_hz(magnitudes: NDArray[np.float32]) -> float:
    """The prefilter's edge from (frames, 1024) magnitudes: the roll-off, or 24 kHz where that is < 1 kHz."""
    cutoff_hz = rolloff_bin(magnitudes) / magnitudes.shape[1] * 24000
    return cutoff_hz if cutoff_hz >= 1000 else 24000.0


def drawn_family(seed: int) -> str:
    """The prefilter's family, which the official code draws after seeding numpy."""
    return str(np.random.RandomState(seed).choice(FAMILIES))


def prefilter(waveform: Signal, cutoff_hz: float, family: str) -> Signal:
    """Order 8 forward and backward, resampled to twice the cut-off and back, then the same filter once
    more."""
    from scipy import signal

    edge = int(cutoff_hz) / (RATE_HZ / 2)
    design: dict[str, Callable[[], NDArray[np.float64]]] = {
        "butter": lambda: signal.butter(8, edge, output="sos"),
        "cheby1": lambda: signal.cheby1(8, 0.1, edge, output="sos"),
        "ellip": lambda: signal.ellip(8, 0.1, 60, edge, output="sos"),
        "bessel": lambda: signal.bessel(8, edge, output="sos"),
    }
    sos = design[family]()
    y = signal.sosfiltfilt(sos, waveform)
    rate_down = int(edge * RATE_HZ)
    y = signal.resample_poly(y, rate_down, RATE_HZ)
    y = signal.resample_poly(y, RATE_HZ, rate_down)[: len(waveform)]
    y = signal.sosfiltfilt(sos, np.pad(y, (0, len(waveform) - len(y))))
    return np.asarray(y, dtype=np.float32)


def linear_magnitude(waveform: Tensor) -> Tensor:
    """(B, samples) -> (B, frames, 1024): the official features drop the top bin."""
    return mel.magnitude(waveform)[..., :1024]


def leading(steps: int) -> list[sampler.Level]:
    """Timesteps 1, 1 + c, 1 + 2 c, ... with c = 1000 // steps, run downwards to abar(0) and not to 1."""
    timesteps: NDArray[np.float64] = (
        np.arange(0.0, sampler.TRAINING_STEPS, sampler.TRAINING_STEPS // steps)[::-1] + 1
    )
    return sampler.levels(timesteps, final_abar=float(sampler.abar(0)))


def velocity(networks: Networks, condition: Tensor, guidance: float) -> sampler.Velocity:
    """Guided prediction by two calls; the empty condition is a constant, scaled like the real one.

    Args:
        networks: the model.
        condition: (B, C, T, F), unscaled.
        guidance: scale.
    """
    scaled = condition * networks.scale_factor
    empty = torch.full_like(condition, EMPTY_CONDITION) * networks.scale_factor

    def predict(z: Tensor, t: float) -> Tensor:
        steps = torch.full((len(z),), t)
        v_condition, v_empty = (networks.unet(z, steps, heard)[0] for heard in (scaled, empty))
        return sampler.guide(v_condition, v_empty, guidance)

    return predict


def replace_low_bands(decoded: Tensor, lowpass_mel: Tensor) -> Tensor:
    """Mel bands below the roll-off of exp(lowpass_mel) taken from `lowpass_mel`; both (1, 1, T, 256)."""
    edge = rolloff_bin(lowpass_mel[0, 0].exp().numpy())
    return torch.cat([lowpass_mel[..., :edge], decoded[..., edge:]], dim=-1)


def merge_low_band(generated: Tensor, lowpassed: Tensor) -> Tensor:
    """STFT bins below the roll-off of `lowpassed` taken from it, brought to the generated level.

    Args:
        generated: (samples,) from the vocoder.
        lowpassed: (samples,) the prefiltered input; up to a hop shorter.

    Returns:
        (samples,) as long as `generated`.
    """
    window = torch.hann_window(2048)

    def spectrum(x: Tensor) -> Tensor:
        return torch.stft(x, 2048, 512, window=window, center=True, pad_mode="constant", return_complex=True)

    x, y = spectrum(lowpassed), spectrum(generated)
    edge = wave_rolloff_bin(lowpassed)
    ratio = (x[edge].abs().sum() / y[edge].abs().sum()).clamp(0.8, 1.2)
    y[:edge] = x[:edge] / ratio
    return torch.istft(y, 2048, 512, window=window, center=True, length=len(generated))


def wave_rolloff_bin(lowpassed: Tensor) -> int:
    """Roll-off over the 1025 bins of the merge's own STFT (2048 points, hop 512, zeros around)."""
    window = torch.hann_window(2048)
    spectrum = torch.stft(
        lowpassed, 2048, 512, window=window, center=True, pad_mode="constant", return_complex=True
    )
    return rolloff_bin(spectrum.abs().T.numpy())


def final_level(waveform: Tensor) -> Tensor:
    """Peak 0.5, then mean 0, in that order."""
    scaled = waveform * 0.5 / waveform.abs().max()
    return scaled - scaled.mean()


def draws(shape: Sequence[int], steps: int, seed: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Noise of the condition, x_T and the steps, in the order in which a model's first call draws it.

    The very first draw belongs to the encoding of the target, whose values the official code does not use.
    """
    generator = torch.Generator().manual_seed(seed)
    _, condition, start, *of_steps = (torch.randn(*shape, generator=generator) for _ in range(steps + 3))
    return condition, start, of_steps


@torch.inference_mode()
def generate(networks: Networks, lowpassed: Signal, steps: int, guidance: float, seed: int) -> Signal:
    """The official `generate_batch` from the prefiltered waveform to the final one, eta 1.

    Args:
        networks: the model, fp32.
        lowpassed: (samples,) prefiltered; samples is a multiple of 30720.
        steps: of DDIM; a number that does not divide 1000 gives another count, as in the official code.
        guidance: scale.
        seed: of torch's generator.

    Returns:
        (samples + 16,).
    """
    waveform = torch.from_numpy(lowpassed)
    lowpass_mel = mel.log_mel(mel.magnitude(waveform[None]))[:, None]
    posterior = networks.encoder(lowpass_mel)
    plan = leading(steps)
    condition_noise, start, step_noise = draws(posterior.mean.shape, len(plan), seed)
    condition = posterior.mean + posterior.std * condition_noise
    predict = velocity(networks, condition, guidance)
    latent = sampler.ddim(predict, start, plan, 1.0, step_noise.__getitem__)
    spectrogram = replace_low_bands(networks.decoder(latent / networks.scale_factor), lowpass_mel)
    generated = networks.vocoder(spectrogram[:, 0].transpose(1, 2))[0]
    return final_level(merge_low_band(generated, waveform)).numpy()


def super_resolution(
    networks: Networks, samples: Signal, rate_hz: int, steps: int, guidance: float, seed: int
) -> Signal:
    """The official `super_resolution` of a file's (channels, frames) samples, first call on a model."""
    waveform = read_block(samples, rate_hz)
    magnitudes = linear_magnitude(torch.from_numpy(waveform)[None])[0].numpy()
    lowpassed = prefilter(waveform, prefilter_cutoff_hz(magnitudes), drawn_family(seed))
    return generate(networks, lowpassed, steps, guidance, seed)
