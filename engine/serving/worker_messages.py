"""The messages between the server and its workers, over a private pipe.

Server to worker: Task, Beat and messages.Cancel. Worker to server: Ready (or Unfit) once; then Beat for each
Beat, messages.Progress, Grown, Next when a job is about to end, and for each task one of messages.Done,
Failed, Cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bridge.wire.messages import Cancel, Cancelled, Done, Failed, Message, Model, Progress, Submit

SMALL_MODELS = frozenset({"auto", "draft", "null"})
"""Models that render a short clip at once, the only ones that helpers run (engine/serving/worker_pool.py).
Helpers exist only on a processor, where `auto` means `draft`."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options that all worker processes of an engine share.

    Attributes:
        spool: the spool's folder.
        roots: folders below which jobs may name paths.
        compiles: whether AudioSR is compiled for the device.
    """

    spool: Path
    roots: tuple[Path, ...] = ()
    compiles: bool = False


class Task(Message, frozen=True, tag="task"):
    """A job for a worker.

    `digest` names its source in the spool, or is "" if the source is a path; `room` is how many bytes the
    spool had left for the job.
    """

    submit: Submit
    digest: str
    room: int


class Ready(Message, frozen=True, tag="ready"):
    """The worker can take tasks, on this device and with these models."""

    device: str
    models: tuple[Model, ...]


class Unfit(Message, frozen=True, tag="unfit"):
    """The worker cannot run here at all; sent instead of Ready."""

    code: str
    message: str
    field: str | None = None


class Next(Message, frozen=True, tag="next"):
    """The worker's job will end in a moment; it may be given the next one."""


class Grown(Message, frozen=True, tag="grown"):
    """By how many bytes the worker has enlarged the cached results; negative if it dropped some."""

    nbytes: int


class Beat(Message, frozen=True, tag="beat"):
    """Asks a worker for a sign of life; also the worker's answer."""


ToWorker = Task | Cancel | Beat
FromWorker = Ready | Unfit | Beat | Next | Grown | Progress | Done | Failed | Cancelled


class JobWorker(Protocol):
    """Runs jobs, one at a time: a process for the server, a thread for `engine.local`.

    Attributes:
        is_helper: whether it takes only small jobs.
    """

    is_helper: bool

    @property
    def ready(self) -> Ready | None:
        """Its device and models; None while it cannot take jobs."""
        ...

    def send(self, message: Task | Cancel) -> None:
        """Gives it a job, or cancels one."""
        ...


def send(pipe: Connection, message: Message) -> None:
    """Writes one message to the pipe."""
    pipe.send_bytes(msgspec.msgpack.encode(message))


def receive(pipe: Connection, kind: Any) -> Any:
    """Reads one message of the union `kind` from the pipe; EOFError or OSError if the peer is gone."""
    return _decoder(kind).decode(pipe.recv_bytes())


@cache  # msgspec takes longer to analyse the union than to decode a message
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)
