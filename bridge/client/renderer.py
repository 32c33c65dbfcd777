"""The interface of what renders jobs: an engine over a socket, or one in process."""

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
"""The most jobs that one message lists."""


class Renderer(JobHolder, Protocol):
    """What renders jobs: `bridge.Client`, and `engine.local.LocalRenderer` without a socket."""

    local: bool
    """Whether it sees the caller's files, so that paths can be given in place of bytes."""

    @property
    def models(self) -> Sequence[Model]:
        """What can be asked for by the knob `model`."""
        ...

    @property
    def presets(self) -> Sequence[str]:
        """What can be asked for by name."""
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
        """Hands a clip over; returns once the engine has all of it, and the caller may change or delete it.

        Args:
            source: a file's path, or (array, rate in Hz); arrays, of NumPy or PyTorch, are
                (channels, frames), (frames,) or (1, channels, frames), float with full scale +-1, or int16.
            preset: a preset's name, the path of a .toml file, or a Preset.
            deliver: `pcm` gives `Result.audio`; `file` an encoded file to `Result.save`; `path` has the
                engine write `out`.
            out: the destination for `path`; its suffix says the format.
            force: whether `out` may be replaced.
            priority: -9 to 9; among one client's jobs the higher goes first.
            job: a ULID, to take up an earlier submit again; a fresh one by default.
            preset_name: what to call a Preset in the record.
            knobs: values to lay over the preset (`cutoff`, `seed`, `stereo`, ...).

        Raises:
            UsageError, InputError, OutputError: what cannot be honoured.
            BusyError: the engine's quota is reached and stayed so.
            EngineError: no engine.
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
        """Submits a job and sends its source; `is_new` when nobody else knows the job's name yet."""
        ...

    def job(self, job: str) -> Job:
        """A job by its ULID, whoever submitted it; UsageError for what is no ULID."""
        return Job(self, job_id(job))

    def jobs(self, limit: int | None = 200, *, unfinished: bool = False) -> Sequence[JobStatus]:
        """The jobs there are, newest first.

        Args:
            limit: at most so many; None for all.
            unfinished: leave out those that have ended.
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
        """Lets go; jobs go on."""
        ...

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} belongs to its process: make one in each that needs it")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def checked_priority(priority: int) -> int:
    """`priority`; raises UsageError where it is outside -9 to 9."""
    if isinstance(priority, bool) or not isinstance(priority, Integral) or not -9 <= priority <= 9:
        raise UsageError(f"priority = {priority!r}; allowed: whole numbers from -9 to 9", "priority")
    return int(priority)
