"""A chain of effects applied to a clip, into a spool file that a render can seek in.

Effects carry state, so a stretch in the middle cannot be computed without what comes before it: the chain
runs once over the whole clip, in pieces. Adjacent native effects form one run; a plugin, or an effect whose
tail is kept, is a run of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from glob import escape
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from presets.chains import Effect
from presets.errors import OutputError, PluginError, RenderError
from render.clip import Clip, PcmClip
from render.effects.native import CHUNK_FRAMES, Processor, native, needs_whole_clip, stream
from render.effects.plugin_host import hosted
from render.effects.whole import AT_ONCE_S, process_apart
from render.upscaler import Audio, Step, StepHook


@dataclass(frozen=True, slots=True)
class Applied:
    """A clip after its chain; `bypassed` tells which plugins failed and were left out, and why."""

    clip: Clip
    bypassed: tuple[str, ...]


@contextmanager
def workplace(spool: Path | None) -> Iterator[Path]:
    """The path that the names of a render's work files begin with; they are removed at the end of the
    block."""
    if spool is None:
        with TemporaryDirectory(prefix="airband-") as folder:
            yield Path(folder) / "stem"
        return
    try:
        yield spool
    finally:
        for path in spool.parent.glob(f"{escape(spool.name)}.*"):
            path.unlink()


def apply_chain(effects: Sequence[Effect], clip: Clip, work: Path, on_step: StepHook) -> Applied:
    """The clip after `effects`, at its own rate, longer by their tails.

    Args:
        effects: of a preset, in order.
        clip: any length; read once, in order.
        work: the path that the result's files begin with: raw PCM, 4 bytes a sample, two of them while a
            chain runs.
        on_step: called with progress; cancels by raising.

    Raises:
        UsageError: an effect refuses the rate, the channels or a parameter, or a plugin is not allowed.
        PluginError: an external plugin failed, and its preset does not say `on_error = "bypass"`.
        RenderError: a run gives samples that are not finite.
        OutputError: no room in the folder.
    """
    bypassed: list[str] = []
    chain = runs(effects)
    for number, run in enumerate(chain):
        spool = work.with_name(f"{work.name}.{number}.f32")
        try:
            after = _run(run, clip, spool, on_step, number, len(chain))
        except PluginError as error:
            if run[0].on_error != "bypass":
                raise
            bypassed.append(error.message)
            continue
        if isinstance(clip, PcmClip) and clip.path.name.startswith(f"{work.name}."):
            clip.path.unlink()
        clip = after
    return Applied(clip, tuple(bypassed))


def runs(effects: Sequence[Effect]) -> list[tuple[Effect, ...]]:
    """The effects in groups, each of which is processed in one go."""
    numbered = groupby(enumerate(effects), key=lambda item: item[0] if _alone(item[1]) else None)
    return [tuple(effect for _, effect in group) for _, group in numbered]


def label(effect: Effect) -> str:
    """An effect's name in messages and in the sidecar."""
    return str(effect.path or effect.name)


def _alone(effect: Effect) -> bool:
    return effect.path is not None or effect.tail_s > 0


def _run(
    run: tuple[Effect, ...], clip: Clip, spool: Path, on_step: StepHook, number: int, of: int
) -> PcmClip:
    frames = clip.frames + round(run[0].tail_s * clip.rate)
    written = 0

    def report() -> None:
        on_step(Step("effects", number * frames + written, of * frames))

    with ExitStack() as stack:
        plugins: list[Processor] = [
            stack.enter_context(hosted(effect, clip.rate, clip.channels, report))
            if effect.path is not None
            else native(effect, clip.rate)
            for effect in run
        ]
        is_long = frames * clip.channels > AT_ONCE_S * clip.rate
        is_whole = is_long and any(needs_whole_clip(plugin) for plugin in plugins)
        try:
            if is_whole:
                for piece in _pieces(process_apart(run, clip, frames, spool, report)):
                    _check_finite(piece, run)
                    written += piece.shape[1]
                    report()
                return PcmClip(spool, clip.rate, clip.channels)
            file = stack.enter_context(spool.open("wb"))
            for piece in stream(plugins, _pieces(clip), frames, clip.channels, clip.rate):
                _check_finite(piece, run)
                file.write(np.ascontiguousarray(piece.T, "<f4").data)
                written += piece.shape[1]
                report()
        except OSError as error:
            raise OutputError(
                f"{spool} cannot be written: {error.strerror}; make room or mend its permissions", "spool"
            ) from None
    return PcmClip(spool, clip.rate, clip.channels)


def _check_finite(piece: Audio, run: tuple[Effect, ...]) -> None:
    if not np.isfinite(piece).all():
        names = ", ".join(label(effect) for effect in run)
        raise RenderError(
            f"{names}: gave samples that are not finite (NaN or infinity); change or leave out one",
            "effects",
        )


def _pieces(clip: Clip) -> Iterator[Audio]:
    for start in range(0, clip.frames, CHUNK_FRAMES):
        yield clip.read(start, min(CHUNK_FRAMES, clip.frames - start))
