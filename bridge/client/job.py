"""A job and its result, as the caller sees them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from bridge.client.model_choice import choose
from bridge.wire.messages import (
    Accepted,
    Cancelled,
    DeliverFile,
    DeliverPath,
    Done,
    Failed,
    File,
    JobStatus,
    Model,
    Progress,
    State,
    Stem,
    Submit,
)
from bridge.wire.messages import Path as PathSource
from presets import errors
from presets.errors import EngineError, InputError, OutputError, UsageError, WireError, error_class

if TYPE_CHECKING:
    from bridge.client.request import Name
    from presets.report import RenderReport
    from render.files.sidecar import StemRecord
    from render.upscaler import Audio

Event: TypeAlias = Accepted | Progress | Done | Failed | Cancelled


class JobHolder(Protocol):
    """The part of a renderer that a `Job` and its `Result` need."""

    @property
    def models(self) -> Sequence[Model]:
        """The models that the knob `model` can name."""
        ...

    def watch(self, job: str, timeout_s: float | None = None) -> Iterator[Event]:
        """Events of a job from now up to and including its end; EngineError after `timeout_s`."""
        ...

    def fetch(self, job: str, stem: Stem) -> Iterator[memoryview]:
        """A finished stem in pieces, in order; WireError at the end if the digest is wrong."""
        ...

    def status(self, job: str) -> JobStatus:
        """The status of one job; UsageError if it is not known."""
        ...

    def cancel(self, job: str) -> State:
        """Cancels a job unless it has ended; returns its state."""
        ...

    def forget(self, job: str) -> None:
        """Drops an ended job and its result."""
        ...


class Job:
    """One render, wherever it runs.

    Args:
        renderer: the engine or in-process renderer that runs it.
        id: its ULID.
        submit: the request, where it is known.
    """

    def __init__(self, renderer: JobHolder, id: str, submit: Submit | None = None) -> None:
        self._renderer = renderer
        self._submit = submit
        self._done: Done | None = None
        self.id = id

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    @property
    def state(self) -> State:
        """uploading, queued, running, done, failed or cancelled."""
        return self._renderer.status(self.id).state

    def wait(self, timeout_s: float | None = None) -> Result:
        """Waits for the job to end, and returns its result.

        Args:
            timeout_s: stop waiting after so many seconds; the job continues. None waits without limit.

        Raises:
            AirbandError: the job failed, as the class of its error; Cancelled if it was cancelled.
            EngineError: no result within `timeout_s`, or the engine is gone and does not come back.
        """
        for _ in () if self._done else self.progress(timeout_s):
            pass
        if self._done is None:
            raise EngineError(f"job {self.id} was left without an end")
        return Result(self._renderer, self._done, self._submit)

    def progress(self, timeout_s: float | None = None) -> Iterator[Progress]:
        """Yields each step of the job up to its end; raises as `wait` does."""
        for event in self._renderer.watch(self.id, timeout_s):
            if isinstance(event, Progress):
                yield event
                continue
            try:
                done = _outcome(event)
            except OutputError as error:
                raise self._explained(error) from None
            if done is not None:
                self._check(done.stems[0])
                self._done = done

    def cancel(self) -> State:
        """Cancels the job unless it has ended; returns its state."""
        return self._renderer.cancel(self.id)

    def forget(self) -> None:
        """Drops the ended job and its result from the engine."""
        self._renderer.forget(self.id)
        self._done = None

    def _explained(self, error: OutputError) -> OutputError:
        """The error; if another render of a file is in the way, it says how that one differs."""
        from render.files.encode import file_digest
        from render.files.publish import explained

        submit = self._submit
        if (
            submit is None
            or not isinstance(submit.deliver, DeliverPath)
            or not isinstance(submit.source, PathSource)
        ):
            return error
        source, out = Path(submit.source.path), Path(submit.deliver.path)
        model = choose(submit.params.model, self._renderer.models).model
        return explained(error, out, lambda: file_digest(source), submit.params, model.name, model.digest)

    def _check(self, stem: Stem) -> None:
        """Raises WireError if the stem is not where the request wanted it: in the engine, or at a path."""
        if self._submit is None or bool(stem.path) == isinstance(self._submit.deliver, DeliverPath):
            return
        where = f"at {stem.path}" if stem.path else "in the engine"
        raise WireError(f"the engine says that the stem of job {self.id} is {where}, which nobody asked for")


class Result:
    """A finished render; its samples or bytes stay in the engine until they are read.

    Args:
        renderer: the renderer that holds it.
        done: the message that ended the job.
        submit: the request, where it is known.
    """

    def __init__(self, renderer: JobHolder, done: Done, submit: Submit | None = None) -> None:
        self._renderer = renderer
        self._done = done
        self._submit = submit

    def __repr__(self) -> str:
        stem = self.stem
        return f"Result({self._done.job!r}, {stem.channels}x{stem.frames} at {stem.rate} Hz)"

    @property
    def stem(self) -> Stem:
        """The stem's name, rate, channels, frames, size and digest."""
        return self._done.stems[0]

    @property
    def rate(self) -> int:
        """Sample rate of the stem, in Hz."""
        return self.stem.rate

    @property
    def path(self) -> Path | None:
        """The file that the engine wrote; None when it wrote none."""
        return Path(self.stem.path) if self.stem.path else None

    @property
    def report(self) -> RenderReport:
        """The render's report: cut-off and how it was found, seed, peak, model and why it was chosen."""
        return self._done.report

    @property
    def already(self) -> bool:
        """True when nothing was written because the destination already held this very result."""
        return self._done.already

    @property
    def seconds(self) -> float:
        """How long the render took."""
        return self._done.seconds

    @cached_property
    def audio(self) -> Audio:
        """The stem as (channels, frames) float32, full scale +-1; fetched on first use."""
        import numpy as np

        shape = (self.stem.channels, self.stem.frames)
        if not self._is_pcm:
            return self._decoded(shape)
        if self.stem.nbytes != 4 * shape[0] * shape[1]:
            raise WireError(f"the engine says that {shape} float32 samples weigh {self.stem.nbytes} bytes")
        audio = np.empty(shape, "<f4")
        into, offset = audio.data.cast("B"), 0
        for piece in self._renderer.fetch(self._done.job, self.stem):
            into[offset : offset + len(piece)] = piece
            offset += len(piece)
        return audio

    def save(self, path: Name, force: bool = False) -> Path:
        """Writes the stem and its sidecar to a file of the caller's, which appears only when complete.

        A file that holds this very result already stays as it is.

        Args:
            path: the destination. A stem delivered as pcm is encoded in the format of the suffix; one
                delivered as a file is written unchanged.
            force: whether an existing file may be replaced.

        Raises:
            OutputError: the destination holds something else or may not be written, or its disk is full.
        """
        from render.clip import ArrayClip
        from render.files.publish import deliver
        from render.files.sidecar import find_result

        path = Path(os.fsdecode(path))
        if self.path is not None:
            raise OutputError(f"the engine has written {self.path} already; copy it from there", str(path))
        if self._submit is None:
            raise UsageError(
                "this job's request is not known here, so it cannot be encoded; use its `audio` or `pieces`",
                "job",
            )
        record = self._record(self._submit)
        if find_result(path, *record.origin) is not None:
            return path
        if isinstance(self._submit.deliver, DeliverFile):
            self._publish(record, path, force)
        else:
            deliver(ArrayClip(self.audio, self.rate), path, record, force=force, mask=self.report.mask)
        return path

    def pieces(self) -> Iterator[memoryview]:
        """The stem's bytes as the engine holds them: planar float32, or an encoded file."""
        return self._renderer.fetch(self._done.job, self.stem)

    @property
    def _is_pcm(self) -> bool:
        if self._submit is not None:
            return not isinstance(self._submit.deliver, DeliverFile) and self.path is None
        # Without the request, the size tells: a float file is larger by its header, other files far smaller.
        return self.path is None and self.stem.nbytes == 4 * self.stem.channels * self.stem.frames

    def _decoded(self, shape: tuple[int, int]) -> Audio:
        import io

        import numpy as np
        import soundfile

        file = self.path or io.BytesIO(b"".join(self.pieces()))
        try:
            samples = soundfile.read(file, dtype="float32", always_2d=True)[0].T
        except (OSError, soundfile.SoundFileError) as error:
            raise InputError(
                f"{self.path or 'the stem'} cannot be read any more: {error}", "source"
            ) from None
        if samples.shape != shape:
            raise InputError(f"{self.path or 'the stem'} holds other audio than this job made", "source")
        return np.ascontiguousarray(samples)

    def _publish(self, record: StemRecord, path: Path, force: bool) -> None:
        from render.files.encode import Encoded, decibels, encoding
        from render.files.parts import part_beside
        from render.files.publish import check_destination, publish

        check_destination(path, force=force, record=record)
        how = encoding(record.preset, record.source_name)
        encoding(msgspec.structs.replace(record.preset, format=how.format), record.source_name, path.name)
        with part_beside(path) as part:
            with part.open("wb") as file:
                for piece in self.pieces():
                    file.write(piece)
            encoded = Encoded(how, self.stem.digest, self.stem.nbytes, decibels(self.report.peak))
            publish(part, path, encoded, record, force=force)

    def _record(self, submit: Submit) -> StemRecord:
        from render.files.sidecar import StemRecord

        source = submit.source
        name = source.name if isinstance(source, File) else ""
        if isinstance(source, PathSource):
            name = Path(source.path).name
        return StemRecord(name, submit.preset, submit.params, self.report)


def _outcome(event: Event) -> Done | None:
    if isinstance(event, Failed):
        raise error_class(event.code)(event.message, event.field)
    if isinstance(event, Cancelled):
        raise errors.Cancelled(f"job {event.job} was cancelled")
    return event if isinstance(event, Done) else None
