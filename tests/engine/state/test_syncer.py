"""What is synced, and in which order."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.wire.messages import DeliverPcm, Submit
from bridge.wire.messages import Path as PathSource
from bridge.wire.ulid import new_ulid
from engine.state import spool as spool_module
from engine.state.spool import Spool
from engine.state.store import Store
from engine.state.syncer import sync
from presets.errors import OutputError
from presets.schema import make


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "jobs.sqlite")) as store:
        yield store


def add_job(store: Store) -> None:
    store.add(
        Submit(new_ulid(), PathSource("/clip.wav"), DeliverPcm(), make(model="null")), "session", "queued"
    )


@pytest.mark.skipif(os.name != "posix", reason="elsewhere folders cannot be opened, and keep their names")
def test_the_names_of_files_are_on_the_disk_before_the_rows_that_speak_of_them(
    store: Store, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job(store)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    sync(store, spool)
    places = ("spool/sources", "spool/stems", "jobs.sqlite-wal")
    assert synced == [(tmp_path / place).stat().st_ino for place in places]
    assert store.synced == store.written


def test_a_row_that_comes_while_names_are_synced_waits_for_the_next_time(
    store: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job(store)
    monkeypatch.setattr(spool, "sync", lambda: add_job(store))
    sync(store, spool)
    assert (store.synced, store.written) == (1, 2)


def test_nothing_counts_as_synced_while_the_disk_refuses_names_and_a_folder_that_is_gone_has_none(
    store: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    add_job(store)
    with monkeypatch.context() as patched:
        patched.setattr(spool_module, "sync_names", refuse)
        with pytest.raises(OutputError, match="Input/output error"):
            sync(store, spool)
    assert store.synced == 0
    (spool.folder / "stems").rmdir()
    sync(store, spool)
    assert store.synced == 1
