"""Jobs as one line each: for the answers to `status` and `jobs`, and for the log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from itertools import accumulate

import msgspec

from bridge.wire.bounds import bounded_text
from bridge.wire.messages import Done, Failed, File, JobStatus, Path, Pcm, Progress
from engine.state.job_record import JobRecord, Outcome
from presets.limits import HEADER_BYTES

SHOWN_CHARS = 96
"""Longest name and message in a line: of a longer name the end is kept, of a message both ends."""
LISTING_BYTES = HEADER_BYTES - 1024


def status_line(record: JobRecord, progress: Progress | None) -> JobStatus:
    """A job as one line; `progress` is its worker's latest."""
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
        message=bounded_text(failed.message, SHOWN_CHARS) if failed else "",
    )


def fit_header(lines: Iterable[JobStatus]) -> tuple[JobStatus, ...]:
    """As many of the first lines as fit into one header."""
    lines = list(lines)
    weights = accumulate(len(msgspec.msgpack.encode(line)) for line in lines)
    return tuple(line for line, weight in zip(lines, weights, strict=True) if weight < LISTING_BYTES)


def log_line(outcome: Outcome, record: JobRecord) -> str:
    """A line of JSON about the end of a job, for the log."""
    failed = outcome if isinstance(outcome, Failed) else None
    line = {
        "job": record.job,
        "state": type(outcome).__name__.lower(),
        "seconds": round(time.time() - record.created_s, 3),
        "render_seconds": round(outcome.seconds, 3) if isinstance(outcome, Done) else None,
        "code": failed.code if failed else None,
        "message": bounded_text(failed.message, 500) if failed else None,
    }
    return json.dumps({key: value for key, value in line.items() if value is not None})
