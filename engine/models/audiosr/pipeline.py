"""AudioSR as an Upscaler: the paper's path from a window of audio to a generated one, as numbered steps.

The names are the paper's (Liu et al. 2023): x_h the input at 48 kHz, X_h its log-mel spectrogram, F_enc the
autoencoder's encoder, z the latent, G the Transformer-UNet, Y_h the estimated spectrogram, V the vocoder.
What the official code adds of its own (engine.models.audiosr.official) is left out: the cut-off comes from
the render and is the same in every step, a window keeps its level and its length, and noise belongs to a
place in the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from engine.models.audiosr import mel, sampler
from engine.models.audiosr.batching import Batches, Row, RowProgress, rows_of
from engine.models.audiosr.checkpoint import GUIDANCE
from engine.models.audiosr.economy import predictions
from engine.models.audiosr.multidiffusion import JointLatent
from engine.models.audiosr.networks import Networks
from engine.models.audiosr.vocoders import vocoding
from presets.schema import RATE_HZ, Preset
from render.upscaler import SHORT_FADE, Audio, NoiseField, StepHook, Window

EMPTY_CONDITION = -11.4981
"""Value of an empty condition, before scaling, as AudioSR was trained with it."""

JOINT_WINDOWS = 32
"""Most windows (times channels) that `joint` makes one of: 4 min 46 s of mono. Longer clips are cut there,
with the usual fade, so that memory stays bounded."""

ENCODE_STEPS, DECODE_STEPS, NETWORK_STEPS, PHASE_STEPS = 5, 9, 22, 1
"""Stages that run once a window, as the steps of the sampler that take as long (engine/bench/README.md); the
last two are the vocoder's: its own network, or phase retrieval."""


class AudioSR:
    """Latent diffusion on log-mel spectrograms with a neural vocoder, 48 kHz.

    A window is 10.24 s, as in training, of which 0.64 s on each side are discarded.

    Args:
        name: as in `airband models`.
        digest: of the weights.
        networks: the model, on the device, in whatever precision it is to compute in.
        device: as torch names it.
        rows: channels of windows that the networks take at once, as long as memory allows.
        guidance: the value of `cfg_scale = auto`.
    """

    body_cells = 14
    context_cells = 1
    fade_frames = SHORT_FADE
    links_channels = False
    generates = True

    def __init__(
        self,
        name: str,
        digest: str,
        networks: Networks,
        device: str = "cpu",
        rows: int = 1,
        guidance: float = GUIDANCE,
    ) -> None:
        self.name = name
        self.digest = digest
        self._batches = Batches(rows)
        self.guidance = guidance
        self._networks = networks
        self._device = torch.device(device)

    def batch(self, preset: Preset) -> int:
        """Channels of windows that fill a batch of the networks; with `joint`, that share one latent."""
        return JOINT_WINDOWS if preset.joint else max(2, self._batches.rows)

    def steps(self, preset: Preset) -> int:
        """Sampler steps, and what encoding, decoding and the vocoder take."""
        return ENCODE_STEPS + preset.steps + DECODE_STEPS + self._vocoder_steps(preset)

    def _has_own_vocoder(self, preset: Preset) -> bool:
        return preset.vocoder == "hifigan" or (preset.vocoder == "auto" and self._networks.has_vocoder)

    def _vocoder_steps(self, preset: Preset) -> int:
        return NETWORK_STEPS if self._has_own_vocoder(preset) else PHASE_STEPS

    @torch.inference_mode()
    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The generated signal of each window: same shape as its samples, 48 kHz, the level of the input.

        Equal channels under equal noise are computed once. With `preset.joint`, windows of this call that
        overlap share one latent (MultiDiffusion, Bar-Tal et al. 2023); without it none sees another.
        """
        rows, places = rows_of(windows, self._networks.time_stride * mel.HOP, preset.joint)
        progress = RowProgress(places, self.steps(preset), on_step)

        # 1. Pre-processing: what the cut-off leaves of x_h, by an order-8 Chebyshev filter.
        lowpassed = [chebyshev_lowpass(row.waveform, row.cutoff_hz) for row in rows]

        # 2. X_h: its natural-log mel spectrogram.
        x_h = [self._log_mel(waveform) for waveform in lowpassed]

        # 3. F_enc(X_h): the condition, a draw from the encoder's posterior, scaled as latents are.
        condition = self._encode(x_h, rows, noise, progress)

        # 4. z_0 from noise, by G with guidance.
        z = self._sample(condition, rows, noise, preset, progress)

        # 5. Y_h, the spectrogram decoded from z_0.
        self._networks.take_turn("decoder")
        (y_h,) = self._batches(self._decode, progress.of_stage("decode", DECODE_STEPS), z)

        # 6. Post-processing: mel bands below the cut-off are the input's own.
        y_h = [
            torch.cat([x[..., :edge], y[..., edge:]], dim=-1)
            for x, y, edge in zip(x_h, y_h, [mel.bands_below(row.cutoff_hz) for row in rows], strict=True)
        ]

        # 7. V(Y_h): the waveform.
        y = self._waveforms(
            y_h, rows, noise, preset, progress.of_stage("vocode", self._vocoder_steps(preset))
        )

        # 8. Channels, level and length as they came. render.restore puts the low band back.
        return [
            np.asarray(np.stack([y[row] for row in of_window]) / window.gain, dtype=np.float32)
            for window, of_window in zip(windows, places, strict=True)
        ]

    def _log_mel(self, waveform: Audio) -> Tensor:
        """(samples,) -> (1, 1, T, 256)."""
        return mel.log_mel(mel.magnitude(torch.from_numpy(waveform).to(self._device)[None]))[:, None]

    def _noise(self, noise: NoiseField, name: str, group: int, first: int, cells: int) -> Tensor:
        """(1, C, cells, F) standard normal, from its place in the clip, on the CPU."""
        bands = mel.BANDS // self._networks.time_stride
        drawn = noise(name, group, first, cells, (self._networks.latent_channels, bands))
        return torch.from_numpy(drawn).transpose(0, 1)[None]

    def _encode(
        self, x_h: list[Tensor], rows: list[Row], noise: NoiseField, progress: RowProgress
    ) -> list[Tensor]:
        networks = self._networks
        networks.take_turn("encoder")

        def moments(x: Tensor) -> Tensor:
            return torch.cat(networks.encoder(x), dim=1)

        (posteriors,) = self._batches(moments, progress.of_stage("encode", ENCODE_STEPS), x_h)
        conditions = []
        for row, posterior in zip(rows, posteriors, strict=True):
            mean, std = posterior.chunk(2, dim=1)
            drawn = self._noise(noise, "condition", row.group, row.first, mean.shape[2])
            conditions.append((mean + std * drawn.to(self._device)) * networks.scale_factor)
        return conditions

    def _sample(
        self,
        condition: list[Tensor],
        rows: list[Row],
        noise: NoiseField,
        preset: Preset,
        progress: RowProgress,
    ) -> list[Tensor]:
        """The sampled latent of each row, (1, C, T / 8, F / 8).

        The sampler sees one joint latent that holds all of them.
        """
        self._networks.take_turn("unet")
        extents = [(row.first, c.shape[2]) for row, c in zip(rows, condition, strict=True)]
        voices = [(row.group, row.voice if preset.joint else index) for index, row in enumerate(rows)]
        joint = JointLatent(extents, voices)

        def draw(name: str) -> Tensor:
            parts = [self._noise(noise, name, group, *extent) for (group, _), extent in joint.stretches]
            return torch.cat(parts, dim=2)

        scale = self.guidance if preset.cfg_scale == "auto" else preset.cfg_scale
        wanted = iter(predictions(preset.steps, scale, preset.guided_share, preset.cache_interval))
        results = 2 if preset.cache_interval > 1 else 1
        coarse: list[list[Tensor]] = []

        def velocity(z: Tensor, t: float) -> Tensor:
            nonlocal coarse
            # Every sampler asks for one velocity a step.
            guidance, whole = next(wanted)

            def guided(*batch: Tensor) -> tuple[Tensor, ...]:
                return self._guided_velocity(t, guidance, *batch)[:results]

            done = progress.of_stage("sample")
            reused = [] if whole else coarse
            v, *coarse = self._batches(guided, done, joint.rows_of(z), condition, *reused)
            return joint.average(v)

        z = draw("x_T").to(self._device)
        if preset.sampler == "ddim":
            plan = sampler.trailing(preset.steps)
            with closing(_one_ahead(draw, [f"step {index}" for index in range(preset.steps)])) as steps:
                z = sampler.ddim(velocity, z, plan, 1.0, lambda _: next(steps).to(self._device))
        else:
            z = sampler.SOLVERS[preset.sampler](velocity, z, sampler.trailing_log_snr(preset.steps))
        return joint.rows_of(z)

    def _guided_velocity(
        self, t: float, scale: float, z: Tensor, condition: Tensor, coarse: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """v of a batch at step t, and the output of the U-Net's coarse levels. The two predictions of
        guidance are one call, and their coarse outputs are joined as channels. `coarse`, where it is given,
        is that of an earlier call and is used again."""
        unet = self._networks.unet
        if scale == 1:
            alone: tuple[Tensor, Tensor] = unet(
                z, torch.full((len(z),), t, device=z.device), condition, coarse
            )
            return alone
        empty = torch.full_like(condition, EMPTY_CONDITION) * self._networks.scale_factor
        steps = torch.full((2 * len(z),), t, device=z.device)
        both = None if coarse is None else torch.cat(coarse.chunk(2, dim=1))
        v, both = unet(torch.cat([z, z]), steps, torch.cat([condition, empty]), both)
        v_condition, v_empty = v.chunk(2)
        return sampler.guide(v_condition, v_empty, scale), torch.cat(both.chunk(2), dim=1)

    def _decode(self, z: Tensor) -> Tensor:
        y: Tensor = self._networks.decoder(z / self._networks.scale_factor)
        return y

    def _waveforms(
        self,
        y_h: list[Tensor],
        rows: list[Row],
        noise: NoiseField,
        preset: Preset,
        on_done: Callable[[list[int]], None],
    ) -> list[Audio]:
        """(samples,) of each spectrogram, by the model's own vocoder or by phase retrieval."""
        own = self._has_own_vocoder(preset)
        if own:
            self._networks.take_turn("vocoder")
        vocoder = self._networks.vocoder if own else None
        if vocoder is not None and not vocoding.hears_input(vocoder):
            (waves,) = self._batches(lambda y: vocoding.of_spectrogram(vocoder, y[:, 0]), on_done, y_h)
        else:

            def waveforms(y: Tensor, low: Tensor, noise: Tensor, cutoff_hz: Tensor) -> Tensor:
                heard = low[:, 0, 0], noise[:, 0, 0], cutoff_hz[:, 0, 0, 0]
                return vocoding.waveform(vocoder, y[:, 0], *heard)

            cell_frames = self._networks.time_stride * mel.HOP
            low, drawn, cutoffs = [], [], []
            for row, y in zip(rows, y_h, strict=True):
                cells = y.shape[2] // self._networks.time_stride
                of_row = noise("phase", row.group, row.first, cells, (cell_frames,)).reshape(-1)
                low.append(torch.from_numpy(row.waveform).to(self._device)[None, None, None])
                drawn.append(torch.from_numpy(of_row).to(self._device)[None, None, None])
                cutoffs.append(torch.full((1, 1, 1, 1), row.cutoff_hz, device=self._device))
            (waves,) = self._batches(waveforms, on_done, y_h, low, drawn, cutoffs)
        return [wave[0].cpu().numpy() for wave in waves]


def _one_ahead(draw: Callable[[str], Tensor], names: Sequence[str]) -> Generator[Tensor, None, None]:
    """The draw of each name, made while the one before is used.

    The noise of a step costs the CPU as much time as the step costs a GPU.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(draw, names[0])
        for name in names[1:]:
            drawn, coming = coming.result(), thread.submit(draw, name)
            yield drawn
        yield coming.result()


def chebyshev_lowpass(waveform: Audio, cutoff_hz: float) -> Audio:
    """Order 8, 0.1 dB of ripple, forward and backward, so without delay (paper section 3.2).

    Args:
        waveform: (samples,) at 48 kHz.
        cutoff_hz: the filter's edge.
    """
    from scipy import signal

    sections = signal.cheby1(8, 0.1, cutoff_hz / (RATE_HZ / 2), output="sos")
    return np.asarray(signal.sosfiltfilt(sections, waveform), dtype=np.float32)
