"""Sources on their way in: the room that is promised to their jobs, their uploads, and their files."""

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
"""When to ask again for a name whose last upload is still ending."""


class Incoming:
    """All sources of an engine's jobs, but for those at paths.

    Attributes:
        uploads: by job, while their bytes come.
        files: those that are whole.
        room: what is promised for them and what will come of them.

    Args:
        spool: where they go.
        wake: called from a thread when there is `news`, or a source is `stored`.
    """

    def __init__(self, spool: Spool, wake: Callable[[], None]) -> None:
        self._spool = spool
        self.files = SourceFiles(spool)
        self.uploads = Uploads(wake, spool.results.evict, self.files.name)
        self.room = JobRoom(spool)

    def begin(self, submit: Submit) -> None:
        """Promises a new job its room and begins its upload.

        Raises:
            BusyError: no room now, or an upload of that name is still ending.
            OutputError: there never will be room, or the spool cannot be read.
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
        """Where an upload stands, and credit from there on; raises as `begin` does."""
        self.room.take_up(submit)
        upload = self._open(submit)
        accepted = Accepted(submit.job, "uploading", offset=upload.receiver.offset)
        if upload.receiver.complete:  # and about to be queued
            return [accepted]
        return [accepted, Grant(submit.job, *upload.renew())]

    def take(self, chunk: Chunk, buffer: memoryview) -> list[Grant]:
        """Takes a piece of a source that was begun; the credit that is due.

        Raises:
            WireError: a piece out of turn (`field` is then `offset`), or an end that is none.
            OutputError: no room on the disk for an earlier piece.
        """
        self.uploads.take(chunk, buffer)
        return self.uploads.credit(chunk.job)

    def let_lapse(self, silence_s: float) -> None:
        """Gives back the room for what is missing of uploads that were silent for so long."""
        for job, upload in self.uploads.silent(silence_s):
            self.room.lapse(job, upload.receiver.offset)

    def news(self, change: int) -> Iterator[Grant | Failed]:
        """As `Uploads.news`; what was called off and is written no more is deleted meanwhile.

        Args:
            change: the number of the store's last change, which `files` waits for.
        """
        yield from self.uploads.news()
        for job, digest in self.uploads.let_go():
            self._spool.drop(job)  # its file may have been made anew since the job ended
            if digest:
                self.files.release(digest, change)

    def stored(self) -> list[tuple[str, str]]:
        """Jobs whose sources are whole and on the disk, with their digests; until they are closed."""
        return [(job, upload.receiver.digest or "") for job, upload in self.uploads.complete if upload.stored]

    def end(self, job: str) -> None:
        """Neither room nor bytes are for this job any more."""
        self.uploads.close(job)
        self.room.settle(job)

    def close(self) -> None:
        """Ends the threads; what has come stays for the next engine."""
        self.uploads.close_all()
        self.files.close()

    def _open(self, submit: Submit) -> Upload:
        assert not isinstance(submit.source, Path)
        return self.uploads.open(submit.job, self._spool.part(submit.job), submit.source)
