"""One client's side of protocol 1 in the engine: what its messages do, and what waits to be sent to it.

A session outlives nothing: what matters of it is in the store. Replies wait in an outbox of bounded length;
progress is conflated, one message a job; pieces of a fetched stem are read when there is room to send them,
so that a slow client costs a file position and no memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bridge.wire.frames import encode
from bridge.wire.messages import (
    Busy,
    Bye,
    Cancel,
    Chunk,
    ClientMessage,
    Closing,
    EngineMessage,
    Error,
    Fetch,
    Forget,
    Hello,
    Listing,
    Ping,
    Pong,
    Progress,
    Status,
    Submit,
    Watch,
)
from bridge.wire.messages import (
    Jobs as JobsAsked,
)
from engine.serving.jobs import Jobs
from presets.errors import AirbandError, BusyError, WireError
from presets.limits import CHUNK_BYTES

OUTBOX_MAX = 4096
"""Replies that may wait for one client; one that lets more pile up is let go, and may come back."""
FETCHES_MAX = 64
"""Fetches that may wait for one client."""


class Session:
    """A client that has said hello.

    Args:
        name: the session's ULID; the client resumes with it, and its jobs take turns under it.
        jobs: all jobs of the engine.
    """

    def __init__(self, name: str, jobs: Jobs) -> None:
        self.name = name
        self._jobs = jobs
        self._outbox: deque[EngineMessage] = deque()
        self._progress: dict[str, Progress] = {}
        self._watching: set[str] = set()
        self._fetches: deque[Fetch] = deque()
        self._next: Sequence[bytes | memoryview] | None = None

    @property
    def overrun(self) -> bool:
        """True once the client has let more replies pile up than are kept."""
        return len(self._outbox) > OUTBOX_MAX

    def receive(self, message: ClientMessage, buffer: memoryview | None) -> None:
        """Does what a message asks; its replies, or one error, go to the outbox."""
        job = getattr(message, "job", None)
        try:
            self._outbox.extend(self._replies(message, buffer))
        except BusyError as error:
            if job is None:
                self._outbox.append(Error(error.code, error.message, None, error.field))
            else:
                self._outbox.append(Busy(job, error.retry_s, error.message))
        except AirbandError as error:
            self._outbox.append(Error(error.code, error.message, job, error.field))

    def tell(self, job: str, message: EngineMessage) -> None:
        """News of a job: kept if the client watches it, the last progress only."""
        if job not in self._watching:
            return
        if isinstance(message, Progress):
            self._progress[job] = message
            return
        self._progress.pop(job, None)
        self._watching.discard(job)
        self._outbox.append(message)

    def post(self, message: EngineMessage) -> None:
        """Puts a message in the outbox."""
        self._outbox.append(message)

    def peek(self) -> Sequence[bytes | memoryview] | None:
        """The frames to send next, None when nothing waits; the same ones until `sent`."""
        if self._next is None:
            if self._outbox:
                self._next = encode(self._outbox.popleft())
            elif self._progress:
                self._next = encode(self._progress.pop(next(iter(self._progress))))
            elif self._fetches:
                self._next = self._piece(self._fetches.popleft())
        return self._next

    def sent(self) -> None:
        """What `peek` gave is on its way."""
        self._next = None

    def _piece(self, fetch: Fetch) -> Sequence[bytes | memoryview]:
        try:
            data, piece = self._jobs.read(fetch, min(fetch.bytes, CHUNK_BYTES))
        except AirbandError as error:
            return encode(Error(error.code, error.message, fetch.job, error.field))
        if fetch.bytes > len(piece) and not data.last:
            rest = Fetch(fetch.job, fetch.stem, fetch.offset + len(piece), fetch.bytes - len(piece))
            self._fetches.appendleft(rest)
        return encode(data, piece)

    def _replies(self, message: ClientMessage, buffer: memoryview | None) -> Sequence[EngineMessage]:
        if self._jobs.closing and not isinstance(message, Ping | Bye):
            return [Closing("the engine is leaving; what is queued goes on when it is started again")]
        match message:
            case Submit():
                return self._jobs.submit(message, self.name)
            case Chunk():
                assert buffer is not None
                return self._jobs.chunk(message, buffer)
            case Watch(job):
                return self._watch(job)
            case Status(job):
                return [Listing((self._jobs.status(job),))]
            case JobsAsked(limit):
                return [Listing(self._jobs.newest(limit))]
            case Fetch():
                if len(self._fetches) >= FETCHES_MAX:
                    raise WireError(f"{FETCHES_MAX} fetches wait already; take their data first")
                self._fetches.append(message)
                return []
            case Cancel(job):
                return [self._jobs.cancel(job)]
            case Forget(job):
                return [self._jobs.forget(job)]
            case Ping(t):
                return [Pong(t)]
            case Hello() | Bye():
                return []

    def _watch(self, job: str) -> Sequence[EngineMessage]:
        outcome = self._jobs.record(job).outcome
        if outcome is not None:
            return [self._jobs.state(job), outcome]
        self._watching.add(job)
        return [self._jobs.state(job)]
