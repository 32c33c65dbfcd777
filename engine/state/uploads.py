"""All incoming sources: their files, the threads that write them, and the credit they share.

Credit follows what is written, and is shared: the more uploads are active, the less each gets. This bounds
    their
memory, however slow the disk.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from bridge.wire.bounds import bounded_text
from bridge.wire.messages import Chunk, Failed, File, Grant, Pcm
from bridge.wire.transfer import Receiver
from engine.state.disk import write_errors_explained
from engine.state.upload import Upload
from presets.errors import AirbandError
from presets.limits import CREDIT_BYTES

FILES_MAX = 128
"""How many upload files may be open; beyond it, the one silent longest is closed until its next piece."""
WRITERS = 4
"""Number of writing threads: file systems sync several files nearly as fast as one."""
CREDIT_SUM_BYTES = 256 * 1024**2
"""The credit that active uploads share; with FILES_MAX of them, it is two pieces each."""


class Uploads:
    """All uploads of an engine, by job.

    Args:
        wake: called from a thread when there is `news`, or when an upload was stored or let go.
        evict, name: as for `Upload`.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        evict: Callable[[int], int],
        name: Callable[[Path, str], None],
    ) -> None:
        self._wake, self._evict, self._name = wake, evict, name
        self._uploads: dict[str, Upload] = {}
        self._writing: OrderedDict[str, Upload] = OrderedDict()
        """Uploads with an open file, the one silent for longest first."""
        self._complete: dict[str, Upload] = {}
        self._abandoned: dict[str, Upload] = {}
        """Uploads closed while a thread still worked on their files."""
        self._due: SimpleQueue[str] = SimpleQueue()
        self._outstanding, self._counting = 0, Lock()
        self._writers = [ThreadPoolExecutor(1, "airband-spool") for _ in range(WRITERS)]
        self._turns = cycle(self._writers)

    def __contains__(self, job: str) -> bool:
        return job in self._uploads

    @property
    def outstanding(self) -> int:
        """How many bytes may be on their way; never more than FILES_MAX times CREDIT_BYTES."""
        return min(self._outstanding, FILES_MAX * CREDIT_BYTES)

    @property
    def complete(self) -> list[tuple[str, Upload]]:
        """Uploads whose last piece has arrived, until they are closed."""
        return list(self._complete.items())

    def digest(self, job: str) -> str:
        """The digest in a source's last piece; "" before that, and once the upload is closed."""
        return self._complete[job].receiver.digest or "" if job in self._complete else ""

    def brings(self, digest: str) -> bool:
        """Whether an upload whose last piece has arrived should have this digest."""
        return any(upload.receiver.digest == digest for upload in self._complete.values())

    def is_ending(self, job: str) -> bool:
        """Whether a thread still works on the file of a closed upload."""
        return job in self._abandoned

    def silent(self, for_s: float) -> list[tuple[str, Upload]]:
        """Uploads that received nothing for so long."""
        before_s = time.monotonic() - for_s
        return [each for each in self._uploads.items() if each[1].heard_s < before_s]

    def open(self, job: str, path: Path, source: Pcm | File) -> Upload:
        """The upload of a job, begun or resumed.

        Raises:
            WireError: its file is larger than the source.
            OutputError: the folder of its file cannot be read.
        """
        upload = self._uploads.get(job)
        if upload is None:
            with write_errors_explained(path.parent):
                there = path.stat().st_size if path.exists() else 0
            receiver, on_news = Receiver(nbytes(source), there), partial(self._note, job)
            turn = next(self._turns)
            upload = Upload(path, receiver, turn, on_news, self._evict, self._name, self._count)
            self._uploads[job] = upload
        upload.receiver.credit_bytes = self._share
        return upload

    def take(self, chunk: Chunk, buffer: memoryview) -> None:
        """Takes a piece of a source whose upload has begun; WireError for one out of turn."""
        upload = self._uploads[chunk.job]
        self._writing[chunk.job] = upload
        self._writing.move_to_end(chunk.job)
        if len(self._writing) > FILES_MAX:
            self._writing.popitem(last=False)[1].close_file()
        upload.take(chunk, buffer)
        if upload.receiver.complete:
            self._complete[chunk.job] = upload

    def credit(self, job: str) -> list[Grant]:
        """The grant if one is due; raises as `Upload.grant` does."""
        upload = self._uploads[job]
        upload.receiver.credit_bytes = self._share
        granted = upload.grant()
        return [] if granted is None else [Grant(job, *granted)]

    def news(self) -> Iterator[Grant | Failed]:
        """What became due since the last call: credit for what is written, failures of unusable uploads.

        While the existing part of a source is still read, it yields a credit of 0 bytes, which tells the
        client that the engine works on it.
        """
        while not self._due.empty():
            job = self._due.get()
            if job in self._uploads:
                try:
                    due, upload = self.credit(job), self._uploads[job]
                    yield from due or ([Grant(job, upload.receiver.offset, 0)] if upload.reads else [])
                except AirbandError as error:
                    yield Failed(job, error.code, bounded_text(error.message), error.field)

    def wait(self, job: str) -> None:
        """Waits until the received part of a source is written, or writing failed."""
        self._uploads[job].wait()

    def close(self, job: str) -> None:
        """Ends an upload; its unwritten part is discarded, see `let_go`."""
        self._writing.pop(job, None)
        self._complete.pop(job, None)
        upload = self._uploads.pop(job, None)
        if upload is not None:
            upload.abandon()
            if not upload.rests:
                self._abandoned[job] = upload

    def let_go(self) -> list[tuple[str, str]]:
        """Uploads that were closed before all was written, and whose files the threads now leave alone.

        Returns:
            Their jobs and the digests they should have had, "" if the last piece had not arrived; each once.
        """
        ended = [job for job, upload in self._abandoned.items() if upload.rests]
        return [(job, self._abandoned.pop(job).receiver.digest or "") for job in ended]

    def close_all(self) -> None:
        """Ends all uploads; received bytes stay for the next engine."""
        for upload in [*self._uploads.values(), *self._abandoned.values()]:
            upload.wait()
            upload.abandon()
            upload.wait()
        self._uploads.clear()
        for writer in self._writers:
            writer.shutdown()

    @property
    def _share(self) -> int:
        """The credit of one upload."""
        return min(CREDIT_BYTES, CREDIT_SUM_BYTES // max(1, len(self._writing)))

    def _count(self, grown: int) -> None:
        with self._counting:
            self._outstanding += grown

    def _note(self, job: str) -> None:
        self._due.put(job)
        self._wake()


def nbytes(source: Pcm | File) -> int:
    """The size of a source in bytes."""
    return source.audio.nbytes if isinstance(source, Pcm) else source.nbytes
