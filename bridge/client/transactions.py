"""The exchanges of protocol 1 that take several messages: an upload, the progress of a job, a fetch."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bridge.client.link import Link
from bridge.client.replies import LinkLost, NoAnswer, Replies, Reply, answers
from bridge.wire.messages import (
    Accepted,
    Busy,
    Cancelled,
    Chunk,
    Data,
    Done,
    Error,
    Failed,
    Fetch,
    Grant,
    Progress,
    Submit,
    Watch,
)
from bridge.wire.transfer import CheckedReceiver, Sender
from presets.errors import BusyError, error_class
from presets.limits import CHUNK_BYTES

OUTCOMES = (Done, Failed, Cancelled)


def upload(link: Link, submit: Submit, sender: Sender | None, timeout_s: float) -> None:
    """Submits a job and sends its source from the engine's offset on; returns once the engine has all of it.

    Args:
        link: to the engine.
        submit: the job, new or known.
        sender: of the source's bytes; None where the engine reads them itself.
        timeout_s: how long the engine may be silent.

    Raises:
        BusyError: the engine has no room now. AirbandError: the error that the engine reports.
        LinkLost: the link broke; calling again continues the upload.
    """
    with link.open(submit.job, Grant, Accepted, Busy, Error, *OUTCOMES) as replies:
        accepts = answers(submit.job, Accepted, Busy, *OUTCOMES)
        answer = link.request(submit, accepts, timeout_s)
        if isinstance(answer, Busy):
            raise BusyError(answer.message or "the engine has no room for now", retry_s=answer.retry_s)
        if sender is None or not isinstance(answer, Accepted) or answer.state != "uploading":
            return
        sender.resume(answer.offset)
        while True:
            match _next_reply(link, replies, timeout_s)[0]:
                case Grant(_, offset, count):
                    sender.grant(offset, count)
                    while piece := sender.next():
                        chunk = Chunk(submit.job, piece.offset, piece.last, piece.digest)
                        link.send(chunk, piece.buffer, timeout_s)
                case Accepted(_, state) if state != "uploading":
                    return
                case Done() | Failed() | Cancelled():
                    return
                case Busy(_, retry_s, message):  # the upload paused too long, and its room went to others
                    raise BusyError(message or "the engine has no room for the rest now", retry_s=retry_s)
                case Error() as error:
                    raise error_class(error.code)(error.message, error.field)


def watch(
    link: Link, job: str, deadline_s: float, timeout_s: float
) -> Iterator[Accepted | Progress | Done | Failed | Cancelled]:
    """Yields a job's events up to its end; raises NoAnswer at `deadline_s` (monotonic), LinkLost."""
    with link.open(job, Accepted, Progress, *OUTCOMES) as replies:
        link.request(Watch(job), answers(job, Accepted, *OUTCOMES), timeout_s)
        while True:
            event, _ = replies.get(deadline_s)
            if isinstance(event, Accepted | Progress | Done | Failed | Cancelled):
                yield event
            if isinstance(event, OUTCOMES):
                return


def fetch(
    link: Link, job: str, stem: str, receiver: CheckedReceiver, digest: str, timeout_s: float
) -> Iterator[memoryview]:
    """Yields the rest of a stem that the receiver still lacks, in pieces.

    Pieces are requested one by one, far enough ahead that the engine never waits, and taken in order. Pieces
    that another thread requested arrive here too, and are skipped.

    Raises:
        AirbandError: the error that the engine reports; WireError if the digest is wrong at the end.
        LinkLost: the link broke; calling again continues.
    """
    with link.open(job, Data, Error) as replies:
        asked, granted = receiver.offset, sum(receiver.renew())
        while not receiver.complete:
            while asked < granted:
                count = min(CHUNK_BYTES, granted - asked)
                link.send(Fetch(job, stem, asked, count))
                asked += count
            match _next_reply(link, replies, timeout_s):
                case Data(_, name, offset, last), buffer if name == stem and offset == receiver.offset:
                    assert buffer is not None
                    yield receiver.take(offset, buffer, last, digest)
                case Error() as error, _:
                    raise error_class(error.code)(error.message, error.field)
            if (more := receiver.grant()) is not None:
                granted = sum(more)


def _next_reply(link: Link, replies: Replies, timeout_s: float) -> Reply:
    try:
        return replies.get(time.monotonic() + timeout_s)
    except NoAnswer:
        link.drop("it fell silent")
        raise LinkLost("the engine fell silent") from None
