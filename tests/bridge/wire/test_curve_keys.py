"""Allow-lists, as `airband keys` writes them and an engine reads them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge.wire.curve_keys import KeyPair, allow, allowed, new_keys, own_keys, revoke
from engine.serving.curve_auth import CurveAuth
from presets.errors import UsageError


def test_keys_are_allowed_listed_renamed_and_revoked(tmp_path: Path) -> None:
    path = tmp_path / "state" / "allowed.keys"
    one, two = new_keys().public, new_keys().public
    assert allowed(path) == {}
    allow(path, one, "studio  a")
    allow(path, two)
    allow(path, two, "laptop")
    assert allowed(path) == {one: "studio a", two: "laptop"}
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    revoke(path, "studio a")
    assert allowed(path) == {two: "laptop"}
    with pytest.raises(UsageError, match="keys list"):
        revoke(path, one)
    with pytest.raises(UsageError, match="40 Z85"):
        allow(path, "no key")


def test_a_list_that_is_too_long_is_told_as_that_and_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "allowed.keys"
    allow(path, new_keys().public, "studio")
    with path.open("a") as file:
        file.write("# a year of notes\n" * 4096)
    with pytest.raises(UsageError, match="more than 65536 bytes"):
        allowed(path)


def test_all_who_ask_for_a_key_at_the_same_moment_keep_the_same(tmp_path: Path) -> None:
    all_there = threading.Barrier(16)

    def asked(_: int) -> KeyPair:
        all_there.wait(20)
        return own_keys(tmp_path / "state")

    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(asked, range(16)))
    assert keys == {own_keys(tmp_path / "state")}


def test_nobody_takes_back_what_somebody_else_allows_or_revokes_at_the_same_moment(tmp_path: Path) -> None:
    path, bad = tmp_path / "allowed.keys", new_keys().public
    allow(path, bad)
    good = [new_keys().public for _ in range(7)]
    all_there = threading.Barrier(8)

    def changed(key: str) -> None:
        all_there.wait(20)
        revoke(path, key) if key == bad else allow(path, key)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(changed, [*good, bad]))
    assert set(allowed(path)) == set(good)


def test_an_engine_obeys_the_list_as_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "allowed.keys"
    mine, other = own_keys(tmp_path), new_keys().public
    auth = CurveAuth(own_keys(tmp_path, "engine"), mine.public, path)
    assert auth.allows(mine.public)
    assert not auth.allows(other)
    allow(path, other)
    assert auth.allows(other)
    assert (auth.owner(other), auth.owner(mine.public)) == (other, "")
    path.write_text("no list\n")
    assert not auth.allows(other)
    assert auth.allows(mine.public)
    path.unlink()
    assert not auth.allows(other)
