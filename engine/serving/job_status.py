"""The one-line descriptions of jobs that `status` and `jobs` answer with."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import msgspec

from bridge.wire.messages import Failed, File, JobStatus, Path, Pcm, Progress
from engine.serving.store import JobRecord
from presets.limits import HEADER_BYTES

SHOWN_CHARS = 96
"""Names and messages are cut to this."""
LISTING_BYTES = HEADER_BYTES - 1024


def status_line(record: JobRecord, progress: Progress | None) -> JobStatus:
    """A job in one line; `progress` is the last that its worker told."""
    submit = record.asked
    match submit and submit.source:
        case File(name) | Path(name):
            source = name
        case Pcm():
            source = "pcm"
        case _:
            source = "unreadable"
    failed = record.outcome if isinstance(record.outcome, Failed) else None
    return JobStatus(
        job=record.job,
        state=record.state,
        source=source[-SHOWN_CHARS:],
        preset=submit.preset if submit else "",
        model=submit.params.model if submit else "",
        priority=submit.priority if submit else 0,
        created_s=record.created_s,
        stage=progress.stage if progress else "",
        step=progress.step if progress else 0,
        of=progress.of if progress else 0,
        code=failed.code if failed else "",
        message=failed.message[:SHOWN_CHARS] if failed else "",
    )


def fit_header(lines: Iterable[JobStatus]) -> tuple[JobStatus, ...]:
    """As many of the first lines as fit one header."""
    lines = list(lines)
    weights = accumulate(len(msgspec.msgpack.encode(line)) for line in lines)
    return tuple(line for line, weight in zip(lines, weights, strict=True) if weight < LISTING_BYTES)
