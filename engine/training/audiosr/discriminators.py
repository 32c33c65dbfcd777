"""Networks that tell generated spectrograms and waveforms from real ones, and the losses of both sides.

- `Patch` (Isola et al. 2017, section 3.2.2): overlapping patches of a log-mel spectrogram, for the VAE.
- `MultiPeriod` (Kong et al. 2020, section 2.3): a waveform folded at five prime periods.
- `MultiResolution` (You et al. 2021): the logarithm of its STFT magnitudes at three resolutions.

The last two are given waveforms from `emphasised`: of a high band 50 dB below the rest they would see little.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.1
PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = ((2048, 480), (1024, 240), (512, 100))
"""FFT size and hop of each spectrogram of MultiResolution."""
EMPHASIS = 0.97
FAINTEST = 1e-3
"""Added to magnitudes before their logarithm: some 90 dB below the mean one of an emphasised waveform."""
QUIETEST = 1e-4
"""Least RMS that is brought to 1."""


class Judgement(NamedTuple):
    """The output of one discriminator.

    Attributes:
        score: high where it takes the input for real; any shape.
        features: outputs of its layers.
    """

    score: Tensor
    features: list[Tensor]


class Patch(nn.Module):
    """Judges patches of a log-mel spectrogram.

    Args:
        width: channels of the first layer; they double at each further one.
        depth: layers that halve the plane.
    """

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for level in range(1, depth):
            layers += [
                nn.Conv2d(width * 2 ** (level - 1), width * 2**level, 4, 2, 1),
                nn.GroupNorm(8, width * 2**level),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width * 2 ** (depth - 1), 1, 4, 1, 1))

    def forward(self, mel: Tensor) -> Tensor:
        """mel: (B, 1, T, F) -> scores (B, 1, t, f)."""
        y: Tensor = self.layers(mel)
        return y


class _Stack(nn.Module):
    """Convolutions with leaky rectifiers, and a last one to a single channel."""

    def __init__(self, layers: Sequence[nn.Module], post: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(weight_norm(layer) for layer in layers)
        self.post = weight_norm(post)

    def forward(self, x: Tensor) -> Judgement:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return Judgement(self.post(x), features)


class MultiPeriod(nn.Module):
    """Judges a waveform folded at each of PERIODS.

    Args:
        width: channels of the first layer; they grow fourfold, at most to 32 times that.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [1, width, 4 * width, 16 * width, 32 * width]
        self.stacks = nn.ModuleList(
            _Stack(
                [
                    *(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in itertools.pairwise(widths)),
                    nn.Conv2d(widths[-1], widths[-1], (5, 1), 1, (2, 0)),
                ],
                nn.Conv2d(widths[-1], 1, (3, 1), 1, (1, 0)),
            )
            for _ in PERIODS
        )

    def forward(self, wave: Tensor) -> list[Judgement]:
        """wave: (B, frames) -> a judgement a period."""
        judgements = []
        for period, stack in zip(PERIODS, self.stacks, strict=True):
            padded = F.pad(wave[:, None], (0, -wave.shape[1] % period), mode="reflect")
            folded = padded.reshape(len(wave), 1, -1, period)
            judgements.append(stack(folded))
        return judgements


class MultiResolution(nn.Module):
    """Judges STFT magnitudes of a waveform at each of RESOLUTIONS.

    Args:
        width: channels of every layer.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            _Stack(
                [
                    nn.Conv2d(1, width, (3, 9), padding=(1, 4)),
                    *(nn.Conv2d(width, width, (3, 9), (1, 2), (1, 4)) for _ in range(3)),
                    nn.Conv2d(width, width, 3, padding=1),
                ],
                nn.Conv2d(width, 1, 3, padding=1),
            )
            for _ in RESOLUTIONS
        )

    def forward(self, wave: Tensor) -> list[Judgement]:
        """wave: (B, frames) -> a judgement a resolution."""
        judgements = []
        for (size, hop), stack in zip(RESOLUTIONS, self.stacks, strict=True):
            window = torch.hann_window(size, device=wave.device)
            bins = torch.stft(wave, size, hop, window=window, return_complex=True)
            level = torch.log(bins.abs() + FAINTEST)
            judgements.append(stack(level.transpose(1, 2)[:, None]))
        return judgements


def emphasised(wave: Tensor, like: Tensor) -> Tensor:
    """Waveforms with their treble raised by the usual pre-emphasis of speech, applied twice.

    Args:
        wave: (B, frames).
        like: (B, frames); emphasised, it would be brought to an RMS of 1, and `wave` gets the same factor.

    Returns:
        (B, frames - 2).
    """
    level = _emphasis(like).square().mean(1, keepdim=True).sqrt().clamp(min=QUIETEST)
    return _emphasis(wave) / level


def _emphasis(wave: Tensor) -> Tensor:
    for _ in range(2):
        wave = wave[:, 1:] - EMPHASIS * wave[:, :-1]
    return wave


def judged_together(
    discriminators: Sequence[nn.Module], real: Tensor, generated: Tensor
) -> tuple[list[Judgement], list[Judgement]]:
    """The judgements of (B, frames) of real and of generated sound; each discriminator is called once for
    both."""
    both = [judgement for network in discriminators for judgement in network(torch.cat([real, generated]))]
    count = len(real)
    return (
        [Judgement(j.score[:count], [f[:count] for f in j.features]) for j in both],
        [Judgement(j.score[count:], [f[count:] for f in j.features]) for j in both],
    )


def hinge(real: Tensor, generated: Tensor) -> Tensor:
    """The loss of a discriminator: 0 once real scores are above 1 and generated ones below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + generated).mean())


def discriminator_loss(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """The loss of HiFi-GAN's discriminators: real scores go to 1, generated ones to 0."""
    pairs = zip(real, generated, strict=True)
    return torch.stack([(1 - r.score).square().mean() + g.score.square().mean() for r, g in pairs]).sum()


def generator_loss(generated: Sequence[Judgement]) -> Tensor:
    """The loss of HiFi-GAN's generator: its scores go to 1."""
    return torch.stack([(1 - judgement.score).square().mean() for judgement in generated]).sum()


def feature_distance(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """Mean distance of the features, layer by layer, summed (Kong et al. 2020, equation 4)."""
    return torch.stack(
        [
            (a.detach() - b).abs().mean()
            for r, g in zip(real, generated, strict=True)
            for a, b in zip(r.features, g.features, strict=True)
        ]
    ).sum()


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """In this context gradients pass through `networks`, but leave none in them."""
    trained = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
