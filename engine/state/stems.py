"""The stems that clients fetch: a finished one in pieces, and what all of a job's weigh."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.wire.messages import Data, Done, Fetch
from engine.state.job_record import Outcome
from presets.errors import InputError, UsageError


def read_piece(path: Path, outcome: Outcome | None, fetch: Fetch, nbytes: int) -> tuple[Data, bytes]:
    """Up to `nbytes` of a finished stem.

    Args:
        path: where the spool keeps it.
        outcome: how its job ended; None when it has not.
        fetch: what is asked for.
        nbytes: the most to read.

    Raises:
        UsageError: a job that is not done, a stem it has not, an offset beyond its end.
        InputError: the stem has gone from the spool, or is shorter than it was.
    """
    stems = outcome.stems if isinstance(outcome, Done) else ()
    stem = next((stem for stem in stems if stem.name == fetch.stem and not stem.path), None)
    if stem is None:
        raise UsageError(f"job {fetch.job} has no stem {fetch.stem!r} to fetch", "stem")
    if fetch.offset > stem.nbytes:
        raise UsageError(f"offset {fetch.offset} of a stem of {stem.nbytes} bytes", "offset")
    wanted = min(nbytes, stem.nbytes - fetch.offset)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(fetch.offset)
            piece = file.read(wanted)
    except OSError as error:
        raise InputError(f"the stem of job {fetch.job} cannot be read: {error.strerror}", "stem") from None
    if size != stem.nbytes or len(piece) != wanted:
        raise InputError(
            f"the stem of job {fetch.job} is damaged: {size} bytes are there of {stem.nbytes}; "
            "submit the job again under a new name",
            "stem",
        )
    return Data(fetch.job, fetch.stem, fetch.offset, fetch.offset + len(piece) >= stem.nbytes), piece


def kept_bytes(done: Done) -> int:
    """What of a finished job waits in the spool to be fetched."""
    return sum(stem.nbytes for stem in done.stems if not stem.path)
