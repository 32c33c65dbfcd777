"""A job as the store keeps it: its request, its state and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import msgspec

from bridge.wire.messages import Cancelled, Done, Failed, State, Submit
from presets.errors import EngineError

COLUMNS = "job, owner, session, state, created_s, changed_s, deaths, digest, submit, outcome"
STATES: frozenset[str] = frozenset(get_args(State))

Outcome = Done | Failed | Cancelled
_OUTCOMES: msgspec.msgpack.Decoder[Outcome] = msgspec.msgpack.Decoder(Outcome)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job.

    Attributes:
        owner: the CURVE key that submitted it, "" for the user on this machine.
        digest: names its source in the spool, once that is complete.
        asked: the submitted request; None if this version cannot read it.
        outcome: how it ended; None before that.
        change: the number of the store's change that gave the row this content, or of a later one.
    """

    job: str
    owner: str
    session: str
    state: State
    created_s: float
    changed_s: float
    deaths: int
    digest: str
    asked: Submit | None
    outcome: Outcome | None
    change: int = field(default=0, compare=False)

    @property
    def submit(self) -> Submit:
        """The submitted request; raises EngineError if this version cannot read it."""
        if self.asked is None:
            raise EngineError(
                f"job {self.job} was written by another version of Airband, or its row is damaged; "
                f"`airband forget {self.job}` drops it",
                "job",
            )
        return self.asked

    def is_of(self, owner: str | None) -> bool:
        """Whether a client may see the job: a key sees its own jobs, None (the user) sees all."""
        return owner is None or owner == self.owner


def read_row(row: Sequence[Any]) -> JobRecord:
    """A job from its COLUMNS, whatever they hold, since another version may have written them."""
    job, owner, session, state, created_s, changed_s, deaths, digest, submit, outcome = row
    return JobRecord(
        job,
        owner,
        session,
        state if state in STATES else "failed",
        created_s,
        changed_s,
        deaths,
        digest,
        _submitted(submit),
        None if outcome is None else _ended(job, outcome),
    )


def _submitted(packed: bytes) -> Submit | None:
    try:
        return msgspec.msgpack.decode(packed, type=Submit)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
        return None


def _ended(job: str, packed: bytes) -> Outcome:
    try:
        return _OUTCOMES.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
        text = "this job's outcome cannot be read: another version of Airband wrote it, or the row is damaged"
        return Failed(job, EngineError.code, text)
