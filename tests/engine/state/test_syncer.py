"""What is synced, and in which order."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from bridge.wire.messages import Cancelled, DeliverPcm, Submit
from bridge.wire.messages import Path as PathSource
from bridge.wire.ulid import new_ulid
from engine.state import spool as spool_module
from engine.state import store as store_module
from engine.state import syncer as syncer_module
from engine.state.spool import Spool
from engine.state.store import KNOWN_MAX, Store
from engine.state.syncer import Syncer, sync
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


def test_the_log_of_changes_stays_small_while_changes_never_pause(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CHECKPOINT_WRITES", 50)
    wal, most = tmp_path / "jobs.sqlite-wal", 0
    with ThreadPoolExecutor(1) as thread:
        for _ in range(10):
            written, syncing = store.written, thread.submit(store.sync)
            while (count := store.written - written) < 50 or (count < 500 and not syncing.done()):
                add_job(store)
            syncing.result()
            most = max(most, store.written - written)
    size = wal.stat().st_size
    with closing(Store(tmp_path / "other.sqlite")) as other:
        while other.written < 3 * most:
            add_job(other)
        assert size < (tmp_path / "other.sqlite-wal").stat().st_size


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


def test_what_is_promised_is_synced_at_once_and_the_rest_a_little_later(
    store: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    syncer = Syncer(store, spool, lambda: None)
    try:
        add_job(store)
        add_job(store)
        first, second = reversed(store.newest(2))
        assert (store.promise(second.job), store.promised) == (2, 2)
        syncer.start_when_due()
        wait_until(lambda: store.synced == 2, "the sync of a promise")
        store.start(first.job)
        assert store.promise(second.job) == 2, "that one has not changed since"
        monkeypatch.setattr(syncer_module, "LAZY_S", 1e9)
        syncer.start_when_due()
        syncer._thread.submit(int).result()
        assert store.synced == 2, "nobody waits for it"
        monkeypatch.setattr(syncer_module, "LAZY_S", 0.0)
        syncer.start_when_due()
        wait_until(lambda: store.synced == 3, "the sync of what nobody waits for")
        store.start(second.job)
        assert store.promise() == 4
    finally:
        syncer.close()


def test_a_row_that_is_read_anew_is_promised_with_all_that_was_written(store: Store) -> None:
    for _ in range(KNOWN_MAX + 1):
        add_job(store)
    *_, oldest = store.newest(KNOWN_MAX + 1)
    assert store.promise(oldest.job) == KNOWN_MAX + 1
    store.end(Cancelled(oldest.job))
    assert store.promise(oldest.job) == KNOWN_MAX + 2
    store.forget(oldest.job)
    assert store.promise(oldest.job) == KNOWN_MAX + 3
