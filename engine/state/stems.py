"""The stems that clients fetch: reading one in pieces, and the size of all of a job's."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.wire.messages import Data, Done, Fetch
from engine.state.job_record import Outcome
from presets.errors import InputError, UsageError


def read_piece(path: Path, outcome: Outcome | None, fetch: Fetch, nbytes: int) -> tuple[Data, bytes]:
    """Up to `nbytes` of a finished stem.

    Args:
        path: the stem's file in the spool.
        outcome: how its job ended; None if it has not.
        fetch: the request.
        nbytes: the most to read.

    Raises:
        UsageError: the job is not done, has no such stem, or the offset lies beyond its end.
        InputError: the stem is gone from the spool, or has become shorter.
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
            f"the stem of job {fetch.job} is damaged: {size} of its {stem.nbytes} bytes exist; "
            "submit the job again under a new name",
            "stem",
        )
    return Data(fetch.job, fetch.stem, fetch.offset, fetch.offset + len(piece) >= stem.nbytes), piece


def kept_bytes(done: Done) -> int:
    """Size of a finished job's stems that wait in the spool."""
    return sum(stem.nbytes for stem in done.stems if not stem.path)
