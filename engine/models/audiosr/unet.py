"""The Transformer-UNet of AudioSR: predicts the velocity v of a latent (paper section 3.1).

258.2 M parameters in the published configuration: 128 channels times 1, 2, 3, 5, two residual blocks a
level, and two spatial transformers wherever the plane is halved at least once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.audiosr.blocks import SpatialTransformer, TimeResBlock, group_norm, timestep_embedding


class Downsample(nn.Module):
    """Halves time and frequency by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, F) -> (B, C, T / 2, F / 2)."""
        y: Tensor = self.op(x)
        return y


class Upsample(nn.Module):
    """Doubles time and frequency by repetition, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, F) -> (B, C, 2 T, 2 F)."""
        y: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return y


class Stage(nn.ModuleList):
    """Layers one after another; residual blocks are also given the step's embedding."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x: (B, C, T, F), embedding: (B, E)."""
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, TimeResBlock) else layer(x)
        return x


class TransformerUNet(nn.Module):
    """v-prediction network G of the paper's equation (1).

    Args:
        in_channels: channels of the noisy latent and of the condition together.
        out_channels: channels of the latent.
        model_channels: width of the first level.
        channel_mult: width of each level, in units of `model_channels`.
        num_res_blocks: residual blocks a level on the way down; one more on the way up.
        attention_resolutions: downsampling factors at which the transformers stand.
        num_head_channels: width of an attention head.
        transformer_depth: blocks in one spatial transformer.
        extra_sa_layer: whether a second transformer stands beside each one (the published model has it).
    """

    def __init__(
        self,
        in_channels: int = 32,
        out_channels: int = 16,
        model_channels: int = 128,
        channel_mult: Sequence[int] = (1, 2, 3, 5),
        num_res_blocks: int = 2,
        attention_resolutions: Sequence[int] = (8, 4, 2),
        num_head_channels: int = 32,
        transformer_depth: int = 1,
        extra_sa_layer: bool = True,
    ) -> None:
        super().__init__()
        self.model_channels = model_channels
        self.stride = 2 ** (len(channel_mult) - 1)
        self.fine_blocks = num_res_blocks + 1
        embed_channels = 4 * model_channels

        def transformers(channels: int) -> list[nn.Module]:
            count = 2 if extra_sa_layer else 1
            return [SpatialTransformer(channels, num_head_channels, transformer_depth) for _ in range(count)]

        def level(channels: int, out_channels: int, factor: int) -> list[nn.Module]:
            block: list[nn.Module] = [TimeResBlock(channels, out_channels, embed_channels)]
            return block + (transformers(out_channels) if factor in attention_resolutions else [])

        self.time_embed = nn.Sequential(
            nn.Linear(model_channels, embed_channels), nn.SiLU(), nn.Linear(embed_channels, embed_channels)
        )
        widths = [model_channels * multiple for multiple in channel_mult]
        channels, factor = model_channels, 1

        self.input_blocks = nn.ModuleList([Stage([nn.Conv2d(in_channels, channels, 3, padding=1)])])
        skips = [channels]
        for depth, width in enumerate(widths):
            for _ in range(num_res_blocks):
                self.input_blocks.append(Stage(level(channels, width, factor)))
                channels = width
                skips.append(channels)
            if depth + 1 < len(widths):
                self.input_blocks.append(Stage([Downsample(channels)]))
                skips.append(channels)
                factor *= 2

        self.middle_block = Stage(
            [
                TimeResBlock(channels, channels, embed_channels),
                *transformers(channels),
                TimeResBlock(channels, channels, embed_channels),
            ]
        )

        self.output_blocks = nn.ModuleList()
        for depth, width in reversed(list(enumerate(widths))):
            for block in range(num_res_blocks + 1):
                layers = level(channels + skips.pop(), width, factor)
                channels = width
                if depth > 0 and block == num_res_blocks:
                    layers.append(Upsample(channels))
                    factor //= 2
                self.output_blocks.append(Stage(layers))

        self.out = nn.Sequential(
            group_norm(channels, 1e-5),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels, out_channels, 3, padding=1),
        )

    def forward(
        self, x: Tensor, t: Tensor, condition: Tensor, coarse: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The velocity at step t, and what the coarse levels pass to the finest one.

        That changes little from one step to the next and costs nine tenths of the work, so a later step may
        use it again (DeepCache, Ma et al. 2023, which does so with Stable Diffusion's U-Net).

        Args:
            x: (B, out_channels, T, F) noisy latent; T and F are multiples of `stride`.
            t: (B,) diffusion steps, 0..999.
            condition: (B, in_channels - out_channels, T, F), scaled as the latent is.
            coarse: as an earlier step with this condition returned it; None to compute it.

        Returns:
            (B, out_channels, T, F) v, and (B, C, T, F) from the coarse levels.
        """
        dtype = next(self.parameters()).dtype
        embedding = self.time_embed(timestep_embedding(t, self.model_channels).to(dtype))
        h = torch.cat([x, condition], dim=1).to(dtype)
        skips = []
        for stage in self.input_blocks[: self.fine_blocks]:
            h = stage(h, embedding)
            skips.append(h)
        h = self._coarse(h, embedding) if coarse is None else coarse.to(dtype)
        coarse = h
        for stage in self.output_blocks[-self.fine_blocks :]:
            h = stage(torch.cat([h, skips.pop()], dim=1), embedding)
        y: Tensor = self.out(h).to(x.dtype)
        return y, coarse

    def _coarse(self, h: Tensor, embedding: Tensor) -> Tensor:
        """All levels below the finest, down and up again."""
        skips = []
        for stage in self.input_blocks[self.fine_blocks :]:
            h = stage(h, embedding)
            skips.append(h)
        h = self.middle_block(h, embedding)
        for stage in self.output_blocks[: -self.fine_blocks]:
            h = stage(torch.cat([h, skips.pop()], dim=1), embedding)
        return h
