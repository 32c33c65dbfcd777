"""The path of a clip through a render, step by step: the one place where the order stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from presets.errors import InputError, OutputError, RenderError, UsageError
from presets.report import EffectsReport, FillReport, LikeReport, RenderReport, SourceReport
from presets.schema import RATE_HZ, Preset, frames_at
from render.band.cells import holed_cells
from render.band.cutoff import find_cutoff
from render.clip import ArrayClip, Clip, PcmClip, Shared
from render.edges import LOW_EDGE, Contained
from render.effects.chain import apply_chain, label, workplace
from render.fill import HoleFiller
from render.generate import Generator, Model
from render.levels import LevelMeter
from render.like import Recordings, learn
from render.limits import check_finite
from render.loudness import deliver
from render.progress import Progress
from render.resample import resampled, resampled_frames
from render.segments import Grid, Segments
from render.stereo import StereoPolicy
from render.upscaler import Audio, StepHook, Upscaler

BLOCK_FRAMES = 1 << 17
"""Frames of the result written at a time."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a render hands back.

    Attributes:
        clip: the stem, at the preset's rate.
        report: what was found and done.
    """

    clip: Clip
    report: RenderReport


def render(
    source: Clip,
    preset: Preset,
    upscaler: Upscaler,
    on_step: StepHook,
    *,
    spool: Path | None = None,
    mask: int = 0,
    recordings: Recordings = (),
) -> Rendered:
    """Effects, the missing band above the original's, effects, loudness: everything a preset asks for.

    A selection is cut after `effects.before`, which hear the whole source, and before `effects.after`, which
    hear the selection alone.

    Args:
        source: 4 to 384 kHz, 1 to 8 channels; read in two passes. Analysis is the first; in the second, the
            model's input is read ahead of the original that its band is added to.
        preset: every knob; `upscaler` stands in for its `model`.
        upscaler: the model.
        on_step: called with progress, one count over all stages (see `render.progress`); cancels by raising.
        mask: which speakers the channels are for (see `render.channels`); 0 when not known.
        recordings: what the knob `like` names: full-band recordings of the same source, by name.
        spool: file for the result as interleaved little-endian float32, so that memory does not grow with the
            clip; in memory when None. A render that does not finish removes it.

    Raises:
        InputError: the source breaks off, or holds samples beyond the limits; a recording is not full-band.
        UsageError: a selection that is empty or outside the source, an effect that refuses its parameters.
        PluginError: an external plugin failed whose `on_error` is not `bypass`.
        OutputError: the spool cannot be written.
        RenderError: a stage made NaN or infinity, or an effect before the model samples beyond the limits;
            the message says which.
    """
    effects, delivery = preset.effects, preset.delivery
    progress = Progress(on_step, preset, upscaler)
    if (
        not (effects.before or effects.after)
        and delivery.loudness == "as-is"
        and delivery.true_peak_dbtp is None
    ):
        return generate_band(source, preset, upscaler, progress, spool, mask, recordings)
    with workplace(spool) as work:
        before = apply_chain(effects.before, source, work.with_name(f"{work.name}.before"), progress.before)
        written = work.with_name(f"{work.name}.band")
        try:
            band = generate_band(before.clip, preset, upscaler, progress, written, mask, recordings)
        except InputError as error:
            if before.clip is source or error.field != "source":
                raise
            names = ", ".join(label(effect) for effect in effects.before)
            raise RenderError(
                f"{names}, before the model, made what cannot be rendered: {error.message}", "effects"
            ) from None
        after = apply_chain(effects.after, band.clip, work.with_name(f"{work.name}.after"), progress.after)
        delivered = deliver(after.clip, source, delivery, progress.measured)
        blocks = _checked(_blocks(delivered.clip), preset.rate, "an effect after the model, or its loudness,")
        clip, peak = _written(blocks, spool, preset.rate, source.channels)
    around = EffectsReport(
        before=tuple(label(effect) for effect in effects.before),
        after=tuple(label(effect) for effect in effects.after),
        bypassed=(*before.bypassed, *after.bypassed),
    )
    report = msgspec.structs.replace(
        band.report, peak=peak, frames=clip.frames, effects=around, loudness=delivered.report
    )
    return Rendered(clip, report)


def generate_band(
    source: Clip,
    preset: Preset,
    upscaler: Upscaler,
    progress: Progress,
    spool: Path | None,
    mask: int = 0,
    recordings: Recordings = (),
) -> Rendered:
    """The source at the output's rate with its missing band, without effects; arguments as for `render`, and
    its progress."""
    source = Shared(source)

    # 1. The frames of the source that are wanted, and those of the result.
    first, end = selection(preset, source.rate, source.frames)
    wanted = range(*(resampled_frames(frame, source.rate, preset.rate) for frame in (first, end)))
    if not wanted:
        raise UsageError(
            f"start to end ({end - first} frames) holds no frame at {preset.rate} Hz; choose a longer "
            "stretch",
            "end",
        )
    at_48k = resampled(source, RATE_HZ)
    lo, hi = (resampled_frames(frame, source.rate, RATE_HZ) for frame in (first, end))
    grid = Grid(at_48k.frames, upscaler.body_cells, upscaler.context_cells, upscaler.fade_frames)
    policy = StereoPolicy(preset.stereo, source.channels, upscaler.links_channels, mask, preset.lfe)
    lengths = [grid.extent(index)[1] for index in grid.touching(lo, hi, 0)]
    progress.expect(sum(lengths) * len(policy.groups))

    # 2. Analysis, always of the whole source and in one pass: its level, and where its band ends.
    meter = LevelMeter(source, progress.analysed)
    cutoff = find_cutoff(meter, preset.cutoff, preset.fill_holes, preset.ceiling)
    levels = meter.levels()
    fills = preset.fill_holes and preset.stem != "low" and upscaler.generates
    cells = holed_cells(cutoff) if fills else None

    # 3. The original at the output's rate, and what the model adds to it above the cut-off and in holes.
    original = at_48k if preset.rate == RATE_HZ else resampled(source, preset.rate)
    parts: list[Clip] = [] if preset.stem == "high" else [original]
    like: LikeReport | None = None
    filler: HoleFiller | None = None
    with ExitStack() as stack:
        correction = None
        if recordings and cutoff.hz is not None:
            lesson = learn(recordings, at_48k, cutoff, preset, upscaler, progress.learned)
            correction, like = lesson.filter, lesson.report
        model = Model(preset, upscaler, policy, levels.peak, correction)
        if cells is not None:
            filler = HoleFiller(at_48k, grid, preset, model, policy, cells, progress.filled)
            segments = stack.enter_context(closing(Segments(at_48k, grid, filler, hi)))
            parts.append(resampled(segments, preset.rate))
        if cutoff.hz is not None:
            generator = Generator(at_48k, grid, preset, model, policy, cutoff, progress.generated)
            segments = stack.enter_context(closing(Segments(at_48k, grid, generator, hi)))
            low_energy = levels.energy_below(LOW_EDGE * cutoff.hz) * preset.rate / source.rate
            band = resampled(segments, preset.rate)
            parts.append(Contained(band, original.frames, cutoff.hz, low_energy))
        stack.callback(progress.end)

        # 4. Their sum, written as it is made.
        blocks = _checked(
            _summed(parts, source.channels, wanted, progress), preset.rate, "resampling or restoring"
        )
        clip, out_peak = _written(blocks, spool, preset.rate, source.channels)

    return Rendered(
        clip,
        RenderReport(
            generated=cutoff.hz is not None,
            cutoff_hz=cutoff.hz,
            cutoff_method=cutoff.method,
            cutoff_reason=cutoff.reason,
            model=upscaler.name,
            weights_digest=upscaler.digest,
            seed=preset.seed,
            stem=preset.stem,
            rate_hz=clip.rate,
            channels=clip.channels,
            mask=mask,
            frames=clip.frames,
            peak=out_peak,
            source=SourceReport(source.rate, source.frames, first, end, levels.peak),
            like=like,
            filled=_filled(filler, lo, hi) if fills else None,
        ),
    )


def _filled(filler: HoleFiller | None, lo: int, hi: int) -> FillReport:
    return filler.report(lo, hi) if filler else FillReport("no holes were found below the end of the band")


def selection(preset: Preset, rate_hz: int, frames: int) -> tuple[int, int]:
    """The frames [first, end) that `start` and `end` select of a source; `end` may lie beyond it.

    Raises:
        UsageError: a start that is not inside the source, or not before the end.
    """
    first = frames_at(preset.start, rate_hz, preset.fps) or 0
    end = frames_at(preset.end, rate_hz, preset.fps)
    end = frames if end is None else min(end, frames)
    if first >= frames:
        length = f"{frames} frames, {frames / rate_hz:g} s"
        raise UsageError(f"start = {preset.start} is not inside the source ({length})", "start")
    if first >= end:
        raise UsageError(f"start = {preset.start} is not before end = {preset.end}", "end")
    return first, end


def _largest(block: Audio) -> float:
    return max(float(block.max()), -float(block.min()))


def _summed(parts: list[Clip], channels: int, wanted: range, progress: Progress) -> Iterator[Audio]:
    progress.written(0.0)
    for start in range(wanted.start, wanted.stop, BLOCK_FRAMES):
        frames = min(BLOCK_FRAMES, wanted.stop - start)
        total = np.zeros((channels, frames), np.float32)
        for part in parts:
            total += part.read(start, frames)
        yield total
        progress.written((start + frames - wanted.start) / len(wanted))


def _checked(blocks: Iterator[Audio], rate: int, made_by: str) -> Iterator[Audio]:
    """Passes the blocks on; raises RenderError at one that is not finite."""
    start = 0
    for block in blocks:
        check_finite(block, made_by, start / rate)
        yield block
        start += block.shape[1]


def _blocks(clip: Clip) -> Iterator[Audio]:
    for start in range(0, clip.frames, BLOCK_FRAMES):
        yield clip.read(start, min(BLOCK_FRAMES, clip.frames - start))


def _written(blocks: Iterator[Audio], spool: Path | None, rate: int, channels: int) -> tuple[Clip, float]:
    if spool is None:
        samples = np.concatenate(list(blocks), axis=1)
        return ArrayClip(samples, rate, limited=False), _largest(samples)
    peak = 0.0
    try:
        with spool.open("wb") as file:
            for block in blocks:
                peak = max(peak, _largest(block))
                file.write(np.ascontiguousarray(block.T, "<f4").data)
    except BaseException as error:
        spool.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(
                f"{spool} cannot be written: {error.strerror}; make room or mend its permissions", "spool"
            ) from None
        raise
    return PcmClip(spool, rate, channels), peak
