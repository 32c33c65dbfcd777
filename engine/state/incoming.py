"""Incoming sources: the room promised to their jobs, their uploads, and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bridge.wire.messages import Accepted, Chunk, Failed, Grant, Path, Submit
from engine.state.job_room import JobRoom
from engine.state.source_files import SourceFiles
from engine.state.spool import Spool
from engine.state.upload import Upload
from engine.state.uploads import Uploads
from presets.errors import AirbandError, BusyError

RETRY_S = 0.5
"""Seconds after which to retry with a job name whose last upload is still ending."""


class Incoming:
    """All sources of an engine's jobs, except those given by path.

    Attributes:
        uploads: by job, while their bytes arrive.
        files: the complete sources.
        room: the room promised for sources and their results.

    Args:
        spool: holds the files.
        wake: called from a thread when there is `news`, or a source is `stored`.
    """

    def __init__(self, spool: Spool, wake: Callable[[], None]) -> None:
        self._spool = spool
        self.files = SourceFiles(spool)
        self.uploads = Uploads(wake, spool.results.evict, self.files.name)
        self.room = JobRoom(spool)

    def begin(self, submit: Submit) -> None:
        """Promises a new job its room, and begins its upload.

        Raises:
            BusyError: there is no room now, or an upload of that name is still ending.
            OutputError: there can never be room, or the spool cannot be read.
        """
        if self.uploads.is_ending(submit.job):
            raise BusyError(f"the upload of the forgotten job {submit.job} is still ending", retry_s=RETRY_S)
        self.room.promise(submit)
        try:
            self._open(submit)
        except AirbandError:
            self.end(submit.job)
            raise

    def go_on(self, submit: Submit) -> list[Accepted | Grant]:
        """The offset of an upload, and credit from there on; raises as `begin` does."""
        self.room.take_up(submit)
        upload = self._open(submit)
        accepted = Accepted(submit.job, "uploading", offset=upload.receiver.offset)
        if upload.receiver.complete:  # it is about to be queued
            return [accepted]
        return [accepted, Grant(submit.job, *upload.renew())]

    def take(self, chunk: Chunk, buffer: memoryview) -> list[Grant]:
        """Takes a piece of a source whose upload has begun; returns the credit that is due.

        Raises:
            WireError: a piece out of turn (`field` is then `offset`), or a wrong last piece.
            OutputError: the disk had no room for an earlier piece.
        """
        self.uploads.take(chunk, buffer)
        return self.uploads.credit(chunk.job)

    def let_lapse(self, silence_s: float) -> None:
        """Releases the room for the missing part of uploads that were silent for so long."""
        for job, upload in self.uploads.silent(silence_s):
            self.room.lapse(job, upload.receiver.offset)

    def news(self, change: int) -> Iterator[Grant | Failed]:
        """As `Uploads.news`; also deletes the files of abandoned uploads that are no longer written to.

        Args:
            change: the number of the store's last change, for `files` to wait for.
        """
        yield from self.uploads.news()
        for job, digest in self.uploads.let_go():
            self._spool.drop(job)  # its file may have been created again since the job ended
            if digest:
                self.files.release(digest, change)

    def stored(self) -> list[tuple[str, str]]:
        """Jobs whose sources are complete and on disk, with their digests, until they are closed."""
        return [(job, upload.receiver.digest or "") for job, upload in self.uploads.complete if upload.stored]

    def end(self, job: str) -> None:
        """Ends a job's upload, and releases its room."""
        self.uploads.close(job)
        self.room.settle(job)

    def close(self) -> None:
        """Ends the threads; received bytes stay for the next engine."""
        self.uploads.close_all()
        self.files.close()

    def _open(self, submit: Submit) -> Upload:
        assert not isinstance(submit.source, Path)
        return self.uploads.open(submit.job, self._spool.part(submit.job), submit.source)
