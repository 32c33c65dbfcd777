"""Super-resolution as one stage among Pedalboard effects.

A Python object cannot be part of a `pedalboard.Pedalboard`, so `Rack` is a list that holds both. Consecutive
native plugins become one Pedalboard call (bit for bit the result of one board); the stages between them work
on the whole clip. It is named Rack because `pedalboard.Chain` exists.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast, overload

import numpy as np

from bridge.rack.pickling import packed, unpacked
from bridge.rack.stages import External, SharedClient, Stage, SuperResolution, no_hook
from presets.chains import CONTAINERS, EFFECTS, Effect
from presets.errors import Cancelled, UsageError
from render.upscaler import Audio, Step, StepHook

if TYPE_CHECKING:
    import pedalboard

    from bridge.client.renderer import Renderer

__all__ = ["External", "Rack", "Rendered", "SuperResolution"]

BUFFER_FRAMES = 8192
"""Pedalboard's own default."""


class Rendered(NamedTuple):
    """A file's result: its path, (channels, frames) float32, and the rate in Hz."""

    path: Path
    audio: Audio
    rate: int


class Rack(Stage, MutableSequence["pedalboard.Plugin | Stage"]):
    """A list of Pedalboard plugins and stages, called like a Pedalboard.

    Args:
        stages: Pedalboard effects (also Chain, Mix and loaded plugins), `SuperResolution`, `External`
            plugins, other racks.
        tail_s: silence appended to the input so that reverbs and delays ring out, 0 to 60 s.
        client: a `bridge.Client` (or `engine.local` renderer) that all stages share; made on first need.

    Raises:
        UsageError: a stage of another type, or a tail outside its bounds.
    """

    def __init__(
        self,
        stages: Iterable[pedalboard.Plugin | Stage] = (),
        *,
        tail_s: float = 0.0,
        client: Renderer | None = None,
    ) -> None:
        if not 0 <= tail_s <= 60:
            raise UsageError(f"tail_s = {tail_s}; allowed: 0 to 60 s", "tail_s")
        self.tail_s = tail_s
        self._connection = SharedClient(client)
        self._stages = [_checked(stage) for stage in stages]

    @classmethod
    def from_effects(cls, effects: Iterable[Effect]) -> Self:
        """The rack equivalent to `effects.before` or `effects.after` of a preset."""
        from render.effects.native import native

        stages: list[pedalboard.Plugin | Stage] = []
        for effect in effects:
            stage: pedalboard.Plugin | Stage = External(effect) if effect.path else native(effect)
            stages.append(Rack([stage], tail_s=effect.tail_s) if effect.tail_s else stage)
        return cls(stages)

    @overload
    def __getitem__(self, index: int) -> pedalboard.Plugin | Stage: ...

    @overload
    def __getitem__(self, index: slice) -> Rack: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = Rack(self._stages[index], tail_s=self.tail_s)
            part._connection = self._connection
            return part
        return self._stages[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        many = isinstance(index, slice)
        self._stages[index] = [_checked(stage) for stage in value] if many else _checked(value)

    def __delitem__(self, index: int | slice) -> None:
        del self._stages[index]

    def __len__(self) -> int:
        return len(self._stages)

    def insert(self, index: int, value: pedalboard.Plugin | Stage) -> None:
        """Inserts a stage before `index`."""
        self._stages.insert(index, _checked(value))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stages": [packed(stage) for stage in self._stages]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._stages = [unpacked(stage) for stage in state["_stages"]]

    def __repr__(self) -> str:
        tail = f", tail_s={self.tail_s:g}" if self.tail_s else ""
        return f"Rack([{', '.join(_describe(stage) for stage in self._stages)}]{tail})"

    def output_rate(self, sample_rate: float) -> float:
        """The output rate for an input at `sample_rate`, in Hz."""
        for stage in self._stages:
            if isinstance(stage, Stage):
                sample_rate = stage.output_rate(sample_rate)
        return sample_rate

    def reset(self) -> None:
        """Clears the memory of every stage: reverb tails, envelopes."""
        for stage in self._stages:
            stage.reset()

    def process(
        self,
        input_array: np.ndarray[Any, Any],
        sample_rate: float,
        buffer_size: int = BUFFER_FRAMES,
        reset: bool = True,
        on_step: StepHook = no_hook,
    ) -> Audio:
        """Like Pedalboard's `process`, but stages may change the rate.

        Args:
            input_array: (channels, frames), (frames, channels) or (frames,), float32 or float64; the output
                has the same layout, as float32.
            sample_rate: of the input, in Hz; `output_rate` gives that of the output.
            buffer_size: frames that a native plugin gets at a time.
            reset: clear all memory first. False (for a stream in several calls) works with native plugins
                only.
            on_step: called with progress; it cancels by raising `presets.errors.Cancelled`.

        Raises:
            UsageError: an ambiguous layout, `reset=False` with stages that need the whole clip, or a buffer
                of no frames.
            AirbandError: whatever a stage raises.
        """
        if buffer_size < 1:  # Pedalboard would loop forever
            raise UsageError(f"buffer_size = {buffer_size}; allowed: 1 frame and more", "buffer_size")
        stages = list(self._flat())
        if not self.tail_s and not any(isinstance(stage, Stage) for stage in stages):
            native = cast("list[pedalboard.Plugin]", stages)
            return _run(native, input_array, sample_rate, buffer_size, reset)
        if not reset:
            raise UsageError(
                "reset=False needs native plugins only: super-resolution and tails need the whole clip",
                "reset",
            )
        audio, restore = _channels_first(input_array)
        return restore(self._render(audio, sample_rate, buffer_size, self._connection, on_step))

    __call__ = process

    def render(self, audio: Audio, rate: float, connection: SharedClient, on_step: StepHook) -> Audio:
        """See `Stage.render`; for a rack within a rack."""
        return self._render(audio, rate, BUFFER_FRAMES, connection, on_step)

    async def process_async(
        self, input_array: np.ndarray[Any, Any], sample_rate: float, on_step: StepHook = no_hook
    ) -> Audio:
        """`process` for an event loop, which it does not block.

        Cancelling the awaiting task ends the render at its next step.
        """
        is_off = threading.Event()

        def watched(step: Step) -> None:
            if is_off.is_set():
                raise Cancelled("the task that awaited it was cancelled")
            on_step(step)

        try:
            return await asyncio.to_thread(self.process, input_array, sample_rate, on_step=watched)
        finally:
            is_off.set()

    def map(self, files: Iterable[str | PathLike[str]], workers: int = 2) -> Iterator[Rendered]:
        """Yields every file's result, in order, `workers` at a time.

        Args:
            files: paths of audio files.
            workers: number of files processed at a time; the engine's queue takes them as they come.

        Raises:
            InputError: a file cannot be read; raised when its turn comes.
            UsageError: a single path instead of several, or no workers.
        """
        if isinstance(files, str | PathLike):
            raise UsageError(f"map takes several files; for one, give [{str(files)!r}]", "files")
        if not isinstance(workers, Integral) or workers < 1:
            raise UsageError(f"workers = {workers!r}; allowed: 1 and more", "workers")
        pool = ThreadPoolExecutor(workers, "rack")
        try:
            yield from pool.map(self._file, files)
        finally:
            pool.shutdown(cancel_futures=True)

    def _file(self, file: str | PathLike[str]) -> Rendered:
        from render.clip import open_clip

        with open_clip(file) as clip:
            audio, rate = clip.read(0, clip.frames), clip.rate
        return Rendered(Path(file), self.process(audio, rate), int(self.output_rate(rate)))

    def _render(
        self, audio: Audio, rate: float, buffer_size: int, connection: SharedClient, on_step: StepHook
    ) -> Audio:
        if self.tail_s:
            audio = np.pad(audio, ((0, 0), (0, round(self.tail_s * rate))))
        run: list[pedalboard.Plugin] = []
        stages = list(self._flat())
        for number, stage in enumerate(stages, 1):
            if not isinstance(stage, Stage):
                run.append(stage)
                continue
            audio = _run(run, audio, rate, buffer_size) if run else audio
            run = []
            audio = stage.render(audio, rate, connection, _numbered(on_step, number, len(stages)))
            rate = stage.output_rate(rate)
        audio = _run(run, audio, rate, buffer_size) if run else audio
        on_step(Step("rack", len(stages), len(stages)))
        return audio

    def _flat(self) -> Iterator[pedalboard.Plugin | Stage]:
        """The stages, with those of inner racks, so that neighbouring native plugins share one board."""
        for stage in self._stages:
            if isinstance(stage, Rack) and not stage.tail_s:
                yield from stage._flat()
            else:
                yield stage


def _run(
    plugins: list[pedalboard.Plugin],
    audio: np.ndarray[Any, Any],
    rate: float,
    buffer_size: int,
    reset: bool = True,
) -> Audio:
    from pedalboard import Pedalboard

    try:
        out: Audio = Pedalboard(plugins).process(audio, rate, buffer_size, reset)
    except RuntimeError as error:
        if "main thread" not in str(error):
            raise
        raise UsageError(
            "a plugin loaded here resets on the main thread only; External(path) runs on any thread",
            "stages",
        ) from error
    return out


def _checked(stage: Any) -> Any:
    import pedalboard

    if isinstance(stage, Stage) or (isinstance(stage, pedalboard.Plugin) and stage.is_effect):
        return stage
    raise UsageError(
        f"{stage!r} cannot be part of a Rack, which takes Pedalboard effects, SuperResolution and racks",
        "stages",
    )


def _describe(stage: Any) -> str:
    if isinstance(stage, Stage):
        return repr(stage)
    name = type(stage).__name__
    if name in CONTAINERS:
        return f"{name}([{', '.join(map(_describe, stage))}])"
    if name not in EFFECTS:
        return f"{name}({stage.name!r})"
    values = {key: getattr(stage, key) for key in EFFECTS[name] if hasattr(stage, key)}
    return f"{name}({', '.join(f'{key}={_short(value)}' for key, value in values.items())})"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "name", repr(value)))


def _numbered(on_step: StepHook, number: int, of: int) -> StepHook:
    return lambda step: on_step(Step(f"{number}/{of} {step.stage}", step.step, step.of))


def _channels_first(array: np.ndarray[Any, Any]) -> tuple[Audio, Callable[[Audio], Audio]]:
    """(channels, frames) float32, and the inverse; by Pedalboard's rule the shorter side is the channels."""
    audio = np.asarray(array)
    if audio.size == 0:
        raise UsageError(f"the audio is empty: its shape is {audio.shape}", "input_array")
    if audio.dtype.kind != "f" or audio.ndim not in (1, 2):
        raise UsageError(
            f"audio of shape {audio.shape} and type {audio.dtype}: give (channels, frames) float32",
            "input_array",
        )
    if audio.ndim == 1:
        return np.ascontiguousarray(audio[np.newaxis], np.float32), lambda out: out[0]
    if audio.shape[0] > audio.shape[1]:
        return np.ascontiguousarray(audio.T, np.float32), lambda out: np.ascontiguousarray(out.T)
    if audio.shape[0] == audio.shape[1] > 1:
        raise UsageError(
            f"cannot tell channels from frames in audio of shape {audio.shape}: give more frames",
            "input_array",
        )
    return np.ascontiguousarray(audio, np.float32), lambda out: out
