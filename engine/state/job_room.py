"""The room in the spool that is promised to jobs while they upload, wait and run."""

from __future__ import annotations

from contextlib import suppress

from bridge.wire.messages import File, Path, Submit
from engine.state.need import need
from engine.state.spool import Spool
from engine.state.uploads import nbytes
from presets.errors import AirbandError, UsageError


class JobRoom:
    """The promises of one engine, by job.

    Args:
        spool: provides the room.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lapsed: set[str] = set()
        """Uploads silent for so long that the room for their rest was released."""

    def promise(self, submit: Submit) -> None:
        """Sets aside the room that a new job needs.

        Raises:
            OutputError: it can never fit.
            BusyError: it does not fit now.
        """
        self._spool.promise(submit.job, _needed(submit))

    def set_aside(self, submit: Submit) -> None:
        """Sets aside room for a job that an earlier engine accepted; its worker reports if it is invalid."""
        with suppress(UsageError):
            self._spool.set_aside(submit.job, _needed(submit))

    def lapse(self, job: str, there: int) -> None:
        """Releases the room of a silent upload, except for the `there` bytes that have arrived."""
        if job not in self._lapsed:
            self._lapsed.add(job)
            self._spool.set_aside(job, there)

    def take_up(self, submit: Submit) -> None:
        """Promises a lapsed upload its room again, as `promise` does; does nothing for other uploads."""
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
        """Whether an upload has lost the room for its rest."""
        return job in self._lapsed

    def settle(self, job: str) -> None:
        """Releases all room of a job."""
        self._lapsed.discard(job)
        self._spool.settle(job)

    def beside_source(self, submit: Submit) -> int:
        """How much a job may write in addition to its source: the rest of its promise, and all free room."""
        source = submit.source
        there = 0 if isinstance(source, Path) else nbytes(source)
        return self._spool.room() + self._spool.promised(submit.job) - there


def _needed(submit: Submit) -> int:
    """The room promised to an uploading job: for bare samples all that it will ever write, for a file its
    bytes.

    The decoded size of a file is known only once its worker has opened it.
    """
    source = submit.source
    if isinstance(source, Path):
        return 0
    if isinstance(source, File):
        return source.nbytes
    audio = source.audio
    return audio.nbytes + need(submit, audio.rate, audio.channels, audio.frames).total_bytes
