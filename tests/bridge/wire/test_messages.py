from __future__ import annotations

import re
import time
from typing import get_args

import msgspec
import pytest

from bridge.wire import frames, messages
from bridge.wire.messages import (
    ClientMessage,
    EngineMessage,
    Fetch,
    JobId,
    JobStatus,
    Limits,
    Listing,
    Message,
)
from bridge.wire.ulid import new_ulid
from presets import limits

ALL = [*get_args(ClientMessage), *get_args(EngineMessage)]


def test_every_message_belongs_to_one_side_and_has_a_type_of_its_own() -> None:
    assert len({cls.__struct_config__.tag for cls in ALL}) == len(ALL)
    assert set(ALL) == set(Message.__subclasses__()) & {
        value for value in vars(messages).values() if isinstance(value, type)
    }


def test_every_message_says_what_it_is_for() -> None:
    assert all(cls.__doc__ and cls.__doc__ != Message.__doc__ for cls in ALL)


def test_a_new_ulid_names_a_job() -> None:
    names = {new_ulid() for _ in range(1000)}
    assert len(names) == 1000
    for name in names:
        assert msgspec.convert(name, JobId) == name


def test_ulids_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for ms in (0, 1, 31, 32, 1_795_413_297_390, 2**48 - 1):
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000 + 999_999)
        names.append(new_ulid())
    assert names == sorted(names)
    assert names[-1].startswith("7ZZZZZZZZZ")


def test_the_limits_told_are_those_the_wire_keeps() -> None:
    assert Limits().chunk == limits.CHUNK_BYTES
    assert Limits().header == limits.HEADER_BYTES
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "fetch", "job": new_ulid(), "stem": "full", "offset": 0, "bytes": 0}, Fetch)


def test_a_full_listing_fits_a_header() -> None:
    line = JobStatus(
        job=new_ulid(),
        state="uploading",
        source="x" * 96,
        preset="p" * 20,
        model="m" * 20,
        priority=-9,
        created_s=time.time(),
        stage="generate",
        step=1000,
        of=1000,
        code="worker_crashed",
    )
    assert len(frames.encode(Listing((line,) * 200))) == 1


@pytest.mark.parametrize("text", ["", "a/b", "-a", "A", "a" * 65, "a\n", "ä"])
def test_names_are_plain(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, messages.Name)
    assert not re.fullmatch("[a-z0-9][a-z0-9-]{0,63}", text)
