"""One client's side of protocol 1 in the engine: handles its messages, and holds the replies to it.

A session may be lost at any time; all that matters is in the store. Replies wait in an outbox of bounded
size. Those that say where a job stands wait until that is on disk, except for a job that is still uploading:
its client still has it if the power fails. Only the latest progress of each job is kept. Pieces of a fetched
stem are read only while few earlier ones are on their way, so that a slow client costs little memory.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import zmq

from bridge.wire.bounds import bounded_field, bounded_report, bounded_text
from bridge.wire.frames import encode
from bridge.wire.messages import (
    Accepted,
    Busy,
    Bye,
    Cancel,
    Cancelled,
    Chunk,
    ClientMessage,
    Closing,
    Done,
    EngineMessage,
    Error,
    Failed,
    Fetch,
    Forget,
    Grant,
    Hello,
    Listing,
    Ping,
    Pong,
    Prioritise,
    Progress,
    Status,
    Submit,
    Watch,
)
from bridge.wire.messages import (
    Jobs as ListJobs,
)
from engine.serving.jobs import Jobs
from presets.errors import AirbandError, BusyError, EngineError, WireError
from presets.limits import CHUNK_BYTES

OUTBOX_MAX = 4096
"""Replies that may wait for one client; a client with more is dropped, and may reconnect."""
OUTBOX_BYTES = 4 * 1024**2
"""Size limit for these replies together."""
FETCHES_MAX = 64
"""Fetches that may wait for one client."""

FETCHING_S = 60.0
"""How long pieces of a stem may still wait for a slow client after its last request, in seconds."""

log = logging.getLogger("airband.engine")

Frames = Sequence[bytes | memoryview]


class Session:
    """A client that has said hello.

    Attributes:
        watching: jobs whose news it gets.
        uploading: jobs whose sources it uploads.

    Args:
        name: the session's ULID; the client resumes with it, and its jobs take turns under it.
        jobs: all jobs of the engine.
        owner: the client's CURVE key; None on ipc, where every client is the user.
    """

    def __init__(self, name: str, jobs: Jobs, owner: str | None = None) -> None:
        self.name, self.owner = name, owner
        self._jobs = jobs
        self._outbox: deque[tuple[int, Frames]] = deque()
        """Replies, each after the number of the store's changes that must be synced before it is sent."""
        self._outbox_bytes = 0
        self._progress: dict[str, Progress] = {}
        self.watching: set[str] = set()
        self.uploading: set[str] = set()
        self._fetches: deque[Fetch] = deque()
        self._fetched_s = -math.inf
        self._on_way: deque[tuple[zmq.MessageTracker, int]] = deque()
        """Sent pieces that libzmq still holds, with their sizes."""
        self._next: Frames | None = None

    @property
    def overrun(self) -> bool:
        """Whether more replies have piled up than are kept."""
        return len(self._outbox) > OUTBOX_MAX or self._outbox_bytes > OUTBOX_BYTES

    @property
    def waiting_bytes(self) -> int:
        """Size of the waiting replies."""
        return self._outbox_bytes

    @property
    def has_news(self) -> bool:
        """Whether something waits to be sent, or to be synced first."""
        return bool(self._next or self._outbox or self._progress or self._fetches)

    @property
    def fetches(self) -> bool:
        """True while the client fetches stems, and for FETCHING_S after."""
        return time.monotonic() - self._fetched_s < FETCHING_S

    @property
    def waits_for_pieces(self) -> bool:
        """Whether it has requested more of a stem than it was sent."""
        return bool(self._fetches)

    @property
    def on_way_bytes(self) -> int:
        """Size of the sent pieces that libzmq still holds, because the client or its connection is slow."""
        while self._on_way and self._on_way[0][0].done:
            self._on_way.popleft()
        return sum(nbytes for _, nbytes in self._on_way)

    @property
    def watches(self) -> bool:
        """Whether the client waits for the end of a job."""
        return bool(self.watching)

    def receive(self, message: ClientMessage, buffer: memoryview | None) -> None:
        """Handles a message; its replies, or one error, go to the outbox."""
        job = getattr(message, "job", None)
        try:
            for reply in self._replies(message, buffer):
                self.post(reply)
        except BusyError as error:
            if job is None:
                self.post(error_message(error))
            else:
                self.post(Busy(job, error.retry_s, bounded_text(error.message)))
        except AirbandError as error:
            self.post(error_message(error, job))
        except Exception as error:  # a fault in one message must not affect other clients
            log.exception("a message of session %s", self.name)
            self.post(error_message(EngineError(f"the engine failed at this: {error}; see its log"), job))

    def tell(self, job: str, message: EngineMessage) -> None:
        """News of a job: posted if the client watches or uploads it; of progress, only the latest is kept."""
        if isinstance(message, Progress):
            if job in self.watching:
                self._progress[job] = message
            return
        if isinstance(message, Grant):
            if job in self.uploading:
                self.post(message)
            return
        is_wanted = job in self.watching or job in self.uploading
        self.uploading.discard(job)
        if not isinstance(message, Accepted):
            self._progress.pop(job, None)
            self.watching.discard(job)
        if is_wanted:
            self.post(message)

    def post(self, message: EngineMessage) -> None:
        """Puts a message in the outbox."""
        frames = _encoded(message)
        change = self._jobs.promise(getattr(message, "job", None)) if _promises(message) else 0
        self._outbox.append((change, frames))
        self._outbox_bytes += sum(map(len, frames))

    def peek(self, synced: float = math.inf, pieces_bytes: float = math.inf) -> Frames | None:
        """The frames to send next, the same ones until `sent`; None if nothing may be sent.

        Args:
            synced: how many of the store's changes are on disk.
            pieces_bytes: how much of stems may be on its way.
        """
        if self._next is None:
            if self._outbox:
                if self._outbox[0][0] > synced:
                    return None
                self._next = self._outbox.popleft()[1]
                self._outbox_bytes -= sum(map(len, self._next))
            elif self._progress:
                self._next = _encoded(self._progress.pop(next(iter(self._progress))))
            elif self._fetches and self.on_way_bytes + CHUNK_BYTES <= pieces_bytes:
                self._next = self._piece(self._fetches.popleft())
        return self._next

    def sent(self, tracker: zmq.MessageTracker | None = None) -> None:
        """Notes that the frames from `peek` were sent; `tracker` tells when libzmq has released them."""
        if self._next is not None and tracker is not None:
            self._on_way.append((tracker, len(self._next[-1])))
        self._next = None

    def _piece(self, fetch: Fetch) -> Frames:
        try:
            data, piece = self._jobs.read(fetch, min(fetch.bytes, CHUNK_BYTES), self.owner)
        except AirbandError as error:
            return _encoded(error_message(error, fetch.job))
        if fetch.bytes > len(piece) and not data.last:
            rest = Fetch(fetch.job, fetch.stem, fetch.offset + len(piece), fetch.bytes - len(piece))
            self._fetches.appendleft(rest)
        return encode(data, piece)

    def _replies(self, message: ClientMessage, buffer: memoryview | None) -> Sequence[EngineMessage]:
        if self._jobs.runs.closing and not isinstance(message, Ping | Bye):
            return [Closing("the engine is shutting down; queued jobs continue when it is started again")]
        match message:
            case Submit(job):
                replies = self._jobs.submit(message, self.name, self.owner)
                if isinstance(replies[0], Accepted) and replies[0].state == "uploading":
                    self.uploading.add(job)
                return replies
            case Chunk(job):
                assert buffer is not None
                self.uploading.discard(job)  # so that an error answers this piece, and is not news of the job
                replies = self._jobs.chunk(message, buffer, self.owner)
                self.uploading.add(job)
                return replies
            case Watch(job):
                return self._watch(job)
            case Status(job):
                return [Listing((self._jobs.status(job, self.owner),))]
            case ListJobs():
                return [Listing(self._jobs.listed(message, self.owner))]
            case Fetch():
                if len(self._fetches) >= FETCHES_MAX:
                    raise WireError(f"{FETCHES_MAX} fetches wait already; take their data first")
                self._fetches.append(message)
                self._fetched_s = time.monotonic()
                return []
            case Cancel(job):
                return [self._jobs.cancel(job, self.owner)]
            case Forget(job):
                return [self._jobs.forget(job, self.owner)]
            case Prioritise(job, priority):
                return [self._jobs.prioritise(job, priority, self.owner)]
            case Ping(t):
                return [Pong(t)]
            case Hello() | Bye():
                return []

    def _watch(self, job: str) -> Sequence[EngineMessage]:
        record = self._jobs.record(job, self.owner)
        if record.outcome is not None:
            return [self._jobs.stands(record), record.outcome]
        self.watching.add(job)
        return [self._jobs.stands(record)]


def _promises(message: EngineMessage) -> bool:
    """Whether a message says where a job stands, except for an upload, which its client could repeat."""
    if isinstance(message, Accepted):
        return message.state != "uploading"
    return isinstance(message, Listing | Done | Failed | Cancelled)


def error_message(error: AirbandError, job: str | None = None) -> Error:
    """The message that tells a client of an error."""
    return Error(error.code, bounded_text(error.message), job, bounded_field(error.field))


def _encoded(message: EngineMessage) -> Frames:
    """The frames of a reply; if it cannot be sent as it is, of a shortened one or of an error."""
    try:
        return encode(message)
    except WireError as error:
        log.error("%s", error.message)
        if isinstance(message, Done):
            with suppress(AirbandError):
                return encode(msgspec.structs.replace(message, report=bounded_report(message.report)))
        return encode(error_message(error, getattr(message, "job", None)))
