"""The interface of renderers: an engine over a socket, or one in this process."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NoReturn, Protocol, Self

from bridge.client.job import Job, JobHolder
from bridge.client.request import (
    DeliverAs,
    Name,
    PresetName,
    Source,
    delivery,
    job_id,
    label,
    open_source,
    parameters,
    with_like,
)
from bridge.wire.messages import Jobs as ListJobs
from bridge.wire.messages import JobStatus, Model, Submit
from bridge.wire.transfer import Bytes
from bridge.wire.ulid import new_ulid
from presets.errors import UsageError

PAGE_JOBS = 200
"""The most jobs that one message can list."""


class Renderer(JobHolder, Protocol):
    """Renders jobs: `bridge.Client`, or `engine.local.LocalRenderer` without a socket."""

    local: bool
    """Whether it sees the caller's files, so that it takes paths in place of bytes."""

    @property
    def models(self) -> Sequence[Model]:
        """The models that the knob `model` can name."""
        ...

    @property
    def presets(self) -> Sequence[str]:
        """The names of the presets."""
        ...

    def submit(
        self,
        source: Source,
        preset: PresetName = "music",
        *,
        deliver: DeliverAs = "pcm",
        out: Name | None = None,
        force: bool = False,
        priority: int = 0,
        job: str | None = None,
        preset_name: str | None = None,
        **knobs: Any,
    ) -> Job:
        """Submits a clip. Returns once the engine has all of it, so the caller may change or delete it.

        Args:
            source: a file's path, or (array, rate in Hz). Arrays, of NumPy or PyTorch, are (channels,
                frames), (frames,) or (1, channels, frames), either float with full scale +-1 or int16.
            preset: a preset's name, the path of a .toml file, or a Preset.
            deliver: `pcm` gives `Result.audio`; `file` an encoded file to `Result.save`; `path` has the
                engine write `out`.
            out: the destination for `path`; its suffix sets the format.
            force: whether `out` may be replaced.
            priority: -9 to 9; a client's jobs of higher priority go first.
            job: a ULID, to resume an earlier submit; a fresh one by default.
            preset_name: the name under which a Preset is recorded.
            knobs: values that override the preset's (`cutoff`, `seed`, `stereo`, ...).

        Raises:
            UsageError, InputError, OutputError: the request cannot be honoured.
            BusyError: the engine's quota was reached and did not free up in time.
            EngineError: there is no engine.
        """
        params, name = parameters(preset, preset_name, knobs)
        where, upload = open_source(source, self.local)
        submit = Submit(
            job=new_ulid() if job is None else job_id(job),
            source=where,
            deliver=delivery(deliver, out, force, source, self.local),
            params=with_like(params, self.local),
            preset=label(name),
            priority=checked_priority(priority),
        )
        with upload as source_bytes:
            self._hand_over(submit, source_bytes, is_new=job is None)
        return Job(self, submit.job, submit)

    @abstractmethod
    def _hand_over(self, submit: Submit, source: Bytes | None, *, is_new: bool) -> None:
        """Submits a job and sends its source; `is_new` means that nobody else knows the job's name yet."""
        ...

    def job(self, job: str) -> Job:
        """A job by its ULID, whoever submitted it; UsageError if `job` is not a ULID."""
        return Job(self, job_id(job))

    def jobs(self, limit: int | None = 200, *, unfinished: bool = False) -> Sequence[JobStatus]:
        """The engine's jobs, newest first.

        Args:
            limit: the most jobs to list; None for all.
            unfinished: leave out jobs that have ended.
        """
        jobs: list[JobStatus] = []
        while limit is None or len(jobs) < limit:
            count = PAGE_JOBS if limit is None else min(PAGE_JOBS, limit - len(jobs))
            before = (jobs[-1].created_s, jobs[-1].job) if jobs else None
            page = self._listed(ListJobs(count, before, unfinished))
            if not page:
                break
            jobs += page
        return jobs

    @abstractmethod
    def _listed(self, asked: ListJobs) -> Sequence[JobStatus]:
        """One page of jobs."""
        ...

    def ping(self) -> float:
        """Seconds the engine takes to answer."""
        ...

    def close(self) -> None:
        """Releases the renderer's resources; jobs go on."""
        ...

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} belongs to its process: make one in each that needs it")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def checked_priority(priority: int) -> int:
    """`priority`; raises UsageError if it is outside -9 to 9."""
    if isinstance(priority, bool) or not isinstance(priority, Integral) or not -9 <= priority <= 9:
        raise UsageError(f"priority = {priority!r}; allowed: whole numbers from -9 to 9", "priority")
    return int(priority)
