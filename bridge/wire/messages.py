"""Protocol 1 on one page: every message, every limit.

A message is `[header]` or `[header][buffer]`. The header is one msgpack map with a `type` and the fields of
one struct below; the buffer is raw bytes. The engine answers client messages as follows:

    hello                       welcome, or error{version}
    submit                      accepted (for a known job: with its state and the offset its upload is at),
                                busy, or error
    submit of pcm or file       grant: the client may send that many more bytes, from `offset` on
    chunk                       grant as the engine writes, or busy; after the last one accepted{queued} once
                                all is checked and stored, or failed; cancelled if somebody cancels the job
    watch                       accepted with its state, progress (conflated), then done, failed or cancelled
    status, jobs                listing
    fetch                       data, at most `bytes` of them; the client asks again for more
    cancel, forget              accepted with the new state (cancelled), or error
    prioritise                  accepted with the new position, or error
    ping                        pong
    bye                         nothing; jobs go on
    anything, while closing     closing

The client names a job (with a ULID), so it can safely submit it again. If the engine then already has the
whole source, an empty last chunk brings the digest. The knobs `start` and `end` select a range of the source.
Offsets and sizes count bytes; positions in audio count frames.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from presets.limits import (
    CHANNELS_MAX,
    CHUNK_BYTES,
    CLIP_BYTES,
    CREDIT_BYTES,
    HEADER_BYTES,
    RATE_MAX_HZ,
    RATE_MIN_HZ,
)
from presets.report import RenderReport
from presets.schema import Preset

VERSION = 1

# In Python `$` also matches before a final newline; `(?!\n)` excludes that, for JSON Schema as well.
JobId = Annotated[str, Meta(pattern="^[0-7][0-9A-HJKMNP-TV-Z]{25}$(?!\\n)")]
"""A ULID in Crockford's base 32: 48 bits of milliseconds since 1970, 80 random bits."""
Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$(?!\\n)")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$(?!\\n)")]
"""blake2b-256, hexadecimal."""
PathText = Annotated[str, Meta(min_length=1, max_length=4096)]
Text = Annotated[str, Meta(max_length=4096)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
State = Literal["uploading", "queued", "running", "done", "failed", "cancelled"]
FINAL: frozenset[str] = frozenset({"done", "failed", "cancelled"})


class Message(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True, omit_defaults=True):
    """What all messages share: the field `type` names the struct, in lower case."""


class Audio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The layout of a pcm source: planar little-endian samples, channel after channel."""

    rate: Annotated[int, Meta(ge=RATE_MIN_HZ, le=RATE_MAX_HZ)]
    channels: Annotated[int, Meta(ge=1, le=CHANNELS_MAX)]
    frames: Annotated[int, Meta(ge=1, le=2**40)]
    dtype: Literal["f4", "i2"] = "f4"

    @property
    def nbytes(self) -> int:
        """The size of the whole clip."""
        return self.channels * self.frames * (4 if self.dtype == "f4" else 2)


class Pcm(msgspec.Struct, frozen=True, tag="pcm", tag_field="kind", forbid_unknown_fields=True):
    """A source sent as samples."""

    audio: Audio


class File(msgspec.Struct, frozen=True, tag="file", tag_field="kind", forbid_unknown_fields=True):
    """A source sent as the bytes of an audio file; `name` serves messages, its suffix names the format."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    nbytes: Annotated[int, Meta(ge=1, le=CLIP_BYTES)]


class Path(msgspec.Struct, frozen=True, tag="path", tag_field="kind", forbid_unknown_fields=True):
    """A source that the engine opens by its path, which lies below one of the engine's roots."""

    path: PathText


Source = Pcm | File | Path


class DeliverPcm(msgspec.Struct, frozen=True, tag="pcm", tag_field="kind", forbid_unknown_fields=True):
    """The stem stays in the engine as samples; `fetch` gives it as planar f4."""


class DeliverFile(msgspec.Struct, frozen=True, tag="file", tag_field="kind", forbid_unknown_fields=True):
    """The stem stays in the engine as a finished audio file; the preset sets format and bit depth."""


class DeliverPath(msgspec.Struct, frozen=True, tag="path", tag_field="kind", forbid_unknown_fields=True):
    """The engine writes the finished file and its sidecar at `path`; `force` allows it to replace a file.

    `umask` is the client's, so that the engine's files get the permissions that the client's own would have.
    """

    path: PathText
    force: bool = False
    umask: Annotated[int, Meta(ge=0, le=0o777)] = 0o022


Deliver = DeliverPcm | DeliverFile | DeliverPath


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The engine's limits, sent with the welcome."""

    header: int = HEADER_BYTES
    chunk: int = CHUNK_BYTES
    credit: int = CREDIT_BYTES
    clip: int = CLIP_BYTES
    channels: int = CHANNELS_MAX


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model as the engine sees it; when it is not ready, `why` says what is missing."""

    name: Name
    ready: bool
    device: str = ""
    digest: str = ""
    why: str = ""


class Stem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finished stem: it can be fetched, or it was written at `path`."""

    name: Name
    rate: Annotated[int, Meta(ge=1, le=RATE_MAX_HZ)]
    channels: Annotated[int, Meta(ge=1, le=CHANNELS_MAX)]
    frames: Count
    nbytes: Count
    digest: str
    path: str = ""


class JobStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of `airband jobs`."""

    job: JobId
    state: State
    source: str
    preset: str
    model: str
    priority: int
    created_s: float
    stage: str = ""
    step: int = 0
    of: int = 0
    code: str = ""
    message: str = ""


# Client to engine


class Hello(Message, frozen=True, tag="hello"):
    """The first message of a connection; `session` resumes one after a reconnect."""

    v: int
    client: Annotated[str, Meta(max_length=128)]
    session: JobId | None = None


class Submit(Message, frozen=True, tag="submit"):
    """A job. `params` is the complete preset; `preset` only its name, for the record."""

    job: JobId
    source: Source
    deliver: Deliver
    params: Preset
    preset: Name = "music"
    priority: Annotated[int, Meta(ge=-9, le=9)] = 0


class Chunk(Message, frozen=True, tag="chunk"):
    """A piece of the source, in the buffer. The last piece carries the digest of the whole."""

    job: JobId
    offset: Count
    last: bool = False
    digest: Digest | None = None


class Watch(Message, frozen=True, tag="watch"):
    """Asks for a job's progress and outcome."""

    job: JobId


class Status(Message, frozen=True, tag="status"):
    """Asks for one job's line."""

    job: JobId


class Jobs(Message, frozen=True, tag="jobs"):
    """Asks for the lines of jobs, newest first: as many as fit one header.

    `before` is (created_s, job) of the last line of the page before; `unfinished` leaves out ended jobs.
    """

    limit: Annotated[int, Meta(ge=1, le=200)] = 200
    before: tuple[float, JobId] | None = None
    unfinished: bool = False


class Fetch(Message, frozen=True, tag="fetch"):
    """Asks for up to `bytes` bytes of a stem."""

    job: JobId
    stem: Name
    offset: Count
    bytes: Annotated[int, Meta(ge=1, le=CREDIT_BYTES)]


class Cancel(Message, frozen=True, tag="cancel"):
    """Cancels a job; a running render stops within one step."""

    job: JobId


class Forget(Message, frozen=True, tag="forget"):
    """Drops a finished job and its results from the spool."""

    job: JobId


class Prioritise(Message, frozen=True, tag="prioritise"):
    """Gives an unfinished job another priority, and so another place among its client's jobs."""

    job: JobId
    priority: Annotated[int, Meta(ge=-9, le=9)]


class Ping(Message, frozen=True, tag="ping"):
    """Asks whether the engine's loop still runs."""

    t: float = 0.0


class Bye(Message, frozen=True, tag="bye"):
    """Closes the session; jobs go on."""


# Engine to client


class Welcome(Message, frozen=True, tag="welcome"):
    """The answer to hello. `session` serves to resume; `engine` is the version of the software."""

    v: int
    engine: str
    session: JobId
    limits: Limits
    models: tuple[Model, ...]
    presets: tuple[str, ...]


class Accepted(Message, frozen=True, tag="accepted"):
    """The job is known. `offset` is where its upload continues, `position` its place in the queue, from 1."""

    job: JobId
    state: State
    position: int = 0
    offset: Count = 0


class Busy(Message, frozen=True, tag="busy"):
    """No room for this job now; try again after `retry_s`."""

    job: JobId
    retry_s: Annotated[float, Meta(ge=0, le=3600)]
    message: Text = ""


class Error(Message, frozen=True, tag="error"):
    """A request that cannot be honoured; `code` is an error code of presets.errors."""

    code: Annotated[str, Meta(max_length=64)]
    message: Text
    job: JobId | None = None
    field: str | None = None


class Grant(Message, frozen=True, tag="grant"):
    """Credit: the client may send bytes [offset, offset + bytes) of the source."""

    job: JobId
    offset: Count
    bytes: Count


class Progress(Message, frozen=True, tag="progress"):
    """Where a running job is; an update replaces an earlier one that was not sent yet.

    Attributes:
        job: its name.
        stage: what runs.
        step, of: how far the whole job is; from `analyse` on, steps of a job take about the same time.
        eta_s: seconds it still takes; None until the model has begun.
    """

    job: JobId
    stage: str
    step: int
    of: int
    eta_s: float | None = None


class Listing(Message, frozen=True, tag="listing"):
    """The answer to status and jobs."""

    jobs: tuple[JobStatus, ...]


class Data(Message, frozen=True, tag="data"):
    """A piece of a stem, in the buffer."""

    job: JobId
    stem: Name
    offset: Count
    last: bool = False


class Done(Message, frozen=True, tag="done"):
    """The end of a job that worked. `report` is the sidecar's account of the render, see presets.report.

    `already` means that nothing was written: the destination already held this very result.
    """

    job: JobId
    stems: Annotated[tuple[Stem, ...], Meta(min_length=1)]
    seconds: float
    seed: int
    report: RenderReport
    already: bool = False


class Failed(Message, frozen=True, tag="failed"):
    """The end of a job that failed."""

    job: JobId
    code: Annotated[str, Meta(max_length=64)]
    message: Text
    field: str | None = None


class Cancelled(Message, frozen=True, tag="cancelled"):
    """The end of a job that was cancelled."""

    job: JobId


class Pong(Message, frozen=True, tag="pong"):
    """The answer to ping, with its `t`."""

    t: float = 0.0


class Closing(Message, frozen=True, tag="closing"):
    """The engine is shutting down; queued jobs continue when it is started again."""

    reason: Text


ClientMessage = (
    Hello | Submit | Chunk | Watch | Status | Jobs | Fetch | Cancel | Forget | Prioritise | Ping | Bye
)
EngineMessage = (
    Welcome
    | Accepted
    | Busy
    | Error
    | Grant
    | Progress
    | Listing
    | Data
    | Done
    | Failed
    | Cancelled
    | Pong
    | Closing
)
