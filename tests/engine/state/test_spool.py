"""Files of the spool: named by content, complete or absent, within the quota."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from bridge.wire.messages import Audio, State
from engine.state.results import content_key
from engine.state.source_files import SourceFiles
from engine.state.spool import Spool
from engine.worker.planar_pcm import PlanarClip, write_planar
from presets.errors import BusyError, InputError, OutputError
from presets.report import RenderReport
from presets.schema import make
from render.clip import ArrayClip

DIGEST = "cd" * 32
AUDIO = Audio(48000, 2, 100)
FACTS = {"weights": "none", "engine": "0.1.0", "dtype": "f4", "device": "cpu"}


Keep = Callable[..., Path]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 10_000)


@pytest.fixture
def keep(spool: Spool, report: RenderReport) -> Keep:
    """Keeps a result of so many bytes under a key, with the given age."""

    def kept(key: str, nbytes: int, age_s: float = 0.0) -> Path:
        written = spool.scratch("job", "pcm")
        written.write_bytes(bytes(nbytes))
        path = spool.results.keep(key, written, report)
        os.utime(path, (1e9 - age_s, 1e9 - age_s))
        return path

    return kept


def test_a_key_changes_with_all_that_changes_samples_and_with_nothing_else() -> None:
    base = content_key(DIGEST, AUDIO, make(), FACTS)
    assert base == content_key(DIGEST, AUDIO, make(), dict(reversed(FACTS.items())))
    same = [make(format="flac"), make(bit_depth=16), make(dither="none")]
    assert {content_key(DIGEST, AUDIO, params, FACTS) for params in same} == {base}
    others = [
        content_key("ef" * 32, AUDIO, make(), FACTS),
        content_key(DIGEST, Audio(44100, 2, 100), make(), FACTS),
        content_key(DIGEST, Audio(48000, 1, 200), make(), FACTS),
        content_key(DIGEST, None, make(), FACTS),
        *(content_key(DIGEST, AUDIO, make(), {**FACTS, name: "x"}) for name in FACTS),
        *(
            content_key(DIGEST, AUDIO, make(**knob), FACTS)
            for knob in ({"seed": 1}, {"cutoff": 4000}, {"stem": "high"}, {"start": 0.1}, {"model": "null"})
        ),
    ]
    assert len({base, *others}) == 1 + len(others)


def test_a_result_is_there_when_its_report_is(spool: Spool, keep: Keep, report: RenderReport) -> None:
    path = keep("k", 100)
    assert spool.results.report("k") == report
    path.with_suffix(".json").unlink()
    assert spool.results.report("k") is None
    assert not list((spool.folder / "scratch").iterdir())


@pytest.mark.parametrize("damage", ["bit", "cut"])
def test_a_damaged_result_is_never_served(spool: Spool, keep: Keep, damage: str) -> None:
    path = keep("k", 100)
    path.write_bytes(bytes(99) + b"x" if damage == "bit" else bytes(60))
    assert spool.results.report("k") is None
    assert not path.exists()


def test_a_result_is_known_by_the_first_half_of_its_key(spool: Spool, keep: Keep) -> None:
    kept = keep("ab1-one", 100)
    keep("ab2-one", 100)
    assert [spool.results.has(start) for start in ("ab1-", "ab2-", "ab-", "ab3-", "cd1-")] == [
        *(True, True),
        *(False, False, False),
    ]
    spool.results.evict(100, spare=kept)
    assert (spool.results.has("ab1-"), spool.results.has("ab2-")) == (True, False)


def test_results_of_an_earlier_layout_are_counted_and_make_room(spool: Spool, keep: Keep) -> None:
    new = keep("new", 3400)
    old = (spool.folder / "results" / "old").with_suffix(".pcm")
    old.write_bytes(bytes(3400))
    os.utime(old, (1, 1))
    spool.count()
    spool.make_room(5000)
    assert (old.exists(), new.exists()) == (False, True)


def test_what_is_promised_is_not_given_twice(spool: Spool) -> None:
    spool.promise("one", 6000)
    with pytest.raises(BusyError):
        spool.promise("two", 6000)
    assert spool.wanted_bytes == 6000, "which makes the engine look for room"
    spool.settle("one")
    spool.promise("two", 6000)


def test_the_oldest_results_make_room(spool: Spool, keep: Keep) -> None:
    old, new = keep("old", 3400, age_s=50), keep("new", 3400)
    spool.count()
    spool.make_room(1900)
    assert (old.exists(), new.exists()) == (True, True)
    spool.make_room(5000)
    assert (old.exists(), new.exists()) == (False, True)
    assert spool.results.report("old") is None


def test_results_that_go_make_room_for_many_jobs_at_once(spool: Spool, keep: Keep) -> None:
    kept = [keep(f"{number:02}", 100, age_s=50 - number) for number in range(32)]
    there = spool.used_bytes
    assert spool.results.evict(1) == 200
    assert [path.exists() for path in kept] == 2 * [False] + 30 * [True]
    assert spool.used_bytes <= there - 200


def test_a_result_that_was_used_counts_as_new(spool: Spool, keep: Keep) -> None:
    used, unused = keep("used", 3400, age_s=50), keep("unused", 3400)
    spool.results.report("used")
    spool.count()
    spool.make_room(5000)
    assert (used.exists(), unused.exists()) == (True, False)


def test_what_belongs_to_jobs_is_never_evicted(spool: Spool) -> None:
    spool.source(DIGEST).write_bytes(bytes(6000))
    spool.set_aside("job", 6000)
    with pytest.raises(BusyError) as busy:
        spool.make_room(5000)
    assert busy.value.retry_s > 0
    with pytest.raises(OutputError, match="quota"):
        spool.make_room(10_001)
    assert spool.source(DIGEST).exists()


def test_old_results_go_and_what_a_killed_engine_left_goes(
    spool: Spool, keep: Keep, report: RenderReport
) -> None:
    keep("old", 10, age_s=1000)
    new = keep("new", 10)
    spool.results.evict_older(1e9 - 500)
    assert (spool.results.report("old"), spool.results.report("new")) == (None, report)
    states: dict[str, State] = {"d": "done", "u": "uploading", "q": "queued", "c": "cancelled", "f": "failed"}
    there = [spool.scratch("d", "pcm"), spool.source(DIGEST), spool.source("ee")]
    for job in (*states, "unknown"):
        there += [spool.part(job), spool.stem(job)]
    for path in there:
        path.write_bytes(b"x")
    spool.tidy(lambda digest: digest == "ee", states.get)
    left = {path.relative_to(spool.folder).as_posix() for path in there if path.exists()}
    assert left == {"sources/ee", "parts/u", "stems/d", "stems/u", "stems/q"}
    kept = [new, new.with_suffix(".json"), spool.stem("d"), spool.stem("u"), spool.stem("q")]
    assert spool.used_bytes == sum(path.stat().st_size for path in kept)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission"):
        Spool(tmp_path / "spool")


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    with pytest.raises(OutputError, match="spool"):
        Spool(tmp_path / "spool")


def test_planar_samples_read_as_they_were_written(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((3, 1000), dtype="f4")
    write_planar(ArrayClip(samples, 44100), tmp_path / "f4")
    assert (tmp_path / "f4").read_bytes() == samples.tobytes()
    clip = PlanarClip(tmp_path / "f4", Audio(44100, 3, 1000))
    assert np.array_equal(clip.read(990, 20)[:, :10], samples[:, 990:])
    assert not clip.read(-5, 5).any()
    integers = np.array([[-32768, 0, 16384]], "<i2")
    (tmp_path / "i2").write_bytes(integers.tobytes())
    assert clip.rate == 44100
    assert PlanarClip(tmp_path / "i2", Audio(8000, 1, 3, "i2")).read(0, 3).tolist() == [[-1.0, 0.0, 0.5]]


def test_planar_samples_of_another_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(7))
    with pytest.raises(InputError, match="7 bytes"):
        PlanarClip(tmp_path / "short", Audio(8000, 1, 2))


def test_a_source_named_while_it_is_to_be_deleted_stays(spool: Spool, tmp_path: Path) -> None:
    sources = SourceFiles(spool)
    for place in ("first", "second"):
        (tmp_path / place).write_bytes(b"same")
    sources.name(tmp_path / "first", DIGEST)
    with sources._renaming:  # holds up the deletion
        sources.drop(DIGEST)
        second = Thread(target=sources.name, args=(tmp_path / "second", DIGEST))
        second.start()
    second.join()
    sources.close()
    assert spool.source(DIGEST).read_bytes() == b"same"
    sources = SourceFiles(spool)
    sources.drop(DIGEST)
    sources.close()
    assert not spool.source(DIGEST).exists()


def test_room_is_promised_without_a_look_at_the_files_that_are_there(
    spool: Spool, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in "abc":
        keep(key, 1000)
    spool.count()

    def refuse(*_: object) -> None:
        raise AssertionError("it looked")

    for name in ("scandir", "listdir", "stat"):
        monkeypatch.setattr(os, name, refuse)
    spool.promise("one", 2000)
    with pytest.raises(BusyError):
        spool.promise("two", 8000)
    spool.settle("one")


@pytest.mark.parametrize(("total", "kept"), [(40e6, "2.5"), (250e9, "268.4")])
def test_a_full_disk_is_told_with_what_is_free_needed_and_kept_free(
    spool: Spool, keep: Keep, monkeypatch: pytest.MonkeyPatch, total: float, kept: str
) -> None:
    disk = shutil._ntuple_diskusage(int(total), int(total - 2e6), int(2e6))
    monkeypatch.setattr("shutil.disk_usage", lambda _: disk)
    figures = rf"^2\.0 MB are free in .*this job needs 0\.0 MB and {kept} MB are kept free; make room"
    with pytest.raises(OutputError, match=figures):  # an empty spool will never have more
        spool.promise("job", 9000)
    keep("k", 1000)
    with pytest.raises(BusyError, match=figures):
        spool.promise("job", 9000)
    spool.stem("done").touch()
    assert "forget finished jobs" in spool.shortage(9000)


def test_a_file_that_cannot_be_deleted_stops_nobody(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    for path in (spool.part("job"), spool.stem("job"), spool.scratch("job", "pcm"), spool.source(DIGEST)):
        (path / "a folder of somebody's").mkdir(parents=True)
    spool.drop("job")
    spool.drop_source(DIGEST)
    assert caplog.text.count("cannot be deleted") == 4


def test_a_spool_that_is_gone_costs_one_error(spool: Spool) -> None:
    shutil.rmtree(spool.folder)
    with pytest.raises(OutputError, match="spool"):
        spool.promise("job", 100)
    spool.drop("job")
    assert spool.results.report("key") is None
    assert spool.results.evict(100) == 0


def test_a_spool_that_was_removed_under_it_is_told_with_a_way_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    shutil.rmtree(spool.folder)
    with pytest.raises(OutputError, match="removed under a running engine"):
        spool.room()
