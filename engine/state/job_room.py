"""The room in the spool that jobs are promised while they are sent, wait and run."""

from __future__ import annotations

from contextlib import suppress

from bridge.wire.messages import File, Path, Submit
from engine.state.need import need
from engine.state.spool import Spool
from engine.state.uploads import nbytes
from presets.errors import AirbandError, UsageError


class JobRoom:
    """Promises of one engine, by job.

    Args:
        spool: whose room it is.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lapsed: set[str] = set()
        """Uploads that were silent for so long that the room for the rest of them was given back."""

    def promise(self, submit: Submit) -> None:
        """Sets aside what a new job needs.

        Raises:
            OutputError: it never will fit.
            BusyError: not now.
        """
        self._spool.promise(submit.job, _needed(submit))

    def set_aside(self, submit: Submit) -> None:
        """Sets aside what a job needs that an earlier engine took; its worker tells what is wrong with it."""
        with suppress(UsageError):
            self._spool.set_aside(submit.job, _needed(submit))

    def lapse(self, job: str, there: int) -> None:
        """Gives back all but the `there` bytes of a silent upload that came."""
        if job not in self._lapsed:
            self._lapsed.add(job)
            self._spool.set_aside(job, there)

    def take_up(self, submit: Submit) -> None:
        """Promises a silent upload its room again; as `promise`, and nothing for one that was not silent."""
        job = submit.job
        if job in self._lapsed:
            there = self._spool.settle(job)
            try:
                self.promise(submit)
            except AirbandError:
                self._spool.set_aside(job, there)
                raise
            self._lapsed.discard(job)

    def has_lapsed(self, job: str) -> bool:
        """Whether an upload lost the room for the rest of it."""
        return job in self._lapsed

    def settle(self, job: str) -> None:
        """Sets nothing aside for a job any more."""
        self._lapsed.discard(job)
        self._spool.settle(job)

    def beside_source(self, submit: Submit) -> int:
        """What a job may write beside its source: what was promised to it for that, and what is free."""
        source = submit.source
        there = 0 if isinstance(source, Path) else nbytes(source)
        return self._spool.room() + self._spool.promised(submit.job) - there


def _needed(submit: Submit) -> int:
    """What is promised to a job that is sent: for bare samples all it will ever write, for a file its bytes.

    What a file decodes to is known once its worker has opened it.
    """
    source = submit.source
    if isinstance(source, Path):
        return 0
    if isinstance(source, File):
        return source.nbytes
    audio = source.audio
    return audio.nbytes + need(submit, audio.rate, audio.channels, audio.frames).total_bytes
