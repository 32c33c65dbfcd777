"""How often a job reads its source, and that the digest made while reading is that of the file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.wire.messages import DeliverPath, Done, Submit
from bridge.wire.messages import Path as PathSource
from bridge.wire.ulid import new_ulid
from engine.serving.worker_messages import Task
from engine.state.spool import Spool
from engine.worker.model_cache import ModelCache
from engine.worker.run_job import run_job
from engine.worker.source_digest import SourceDigest
from presets.errors import Cancelled, InputError
from presets.schema import make
from render.upscaler import Step

IO = Path("/proc/self/io")
needs_io = pytest.mark.skipif(not IO.exists(), reason="counts bytes by /proc/self/io")


def ignore(step: Step) -> None:
    """A progress hook that does nothing."""


def digest_of(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()


class Worker:
    """Runs the jobs of a test in this process, and counts the bytes they read from disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.spool, self.models = folder, Spool(folder / "spool"), ModelCache("cpu")

    def run(self, source: Path, out: str, on_step: Callable[[Step], None] = ignore, **knobs: Any) -> Done:
        deliver = DeliverPath(str(self.folder / out), knobs.pop("force", False))
        submit = Submit(new_ulid(), PathSource(str(source)), deliver, make(**{"model": "null", **knobs}))
        return run_job(
            Task(submit, "", 10**9), self.spool, self.models, (self.folder, source.parent), on_step
        )

    def bytes_read(self, *arguments: Any, **knobs: Any) -> int:
        before = self._count()
        self.run(*arguments, **knobs)
        return self._count() - before

    def _count(self) -> int:
        return int(IO.read_text().split("rchar:")[1].split()[0])


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of noise that fills 48 kHz: 23 MB, of which a job may ask for a second."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    minute = 0.1 * np.random.default_rng(1).standard_normal((48000 * 60, 2), dtype="f4")
    with soundfile.SoundFile(path, "w", 48000, 2, "PCM_16") as file:
        file.title = "Take 7"
        for _ in range(2):
            file.write(minute)
    return path


def changed(source: Path, copy: Path) -> Path:
    """A copy that differs in its last samples."""
    content = source.read_bytes()
    copy.write_bytes(content[:-1000] + bytes(500) + content[-500:])
    return copy


@needs_io
def test_a_source_is_read_once_by_all_that_comes_before_its_render(worker: Worker, long_file: Path) -> None:
    """A second of a long file: the second pass and the result add next to nothing to the bytes read."""
    size = long_file.stat().st_size
    worker.run(long_file, "warm.wav", end=0.1, seed=1)
    read = worker.bytes_read(long_file, "out.wav", end=1.0, seed=2)
    assert 1 <= read / size < 1.1


@needs_io
def test_what_is_done_or_cached_costs_one_reading_and_the_done_no_model(
    worker: Worker, long_file: Path
) -> None:
    size = long_file.stat().st_size
    worker.run(long_file, "out.wav", end=1.0)
    assert worker.bytes_read(long_file, "out.wav", end=1.0) / size < 1.1
    assert worker.run(long_file, "out.wav", end=1.0).already
    assert worker.bytes_read(long_file, "again.wav", end=1.0) / size < 1.1
    assert worker.run(long_file, "a third.wav", end=1.0).report.cached


def test_what_was_hashed_on_the_way_is_the_digest_of_the_file(worker: Worker, long_file: Path) -> None:
    report = worker.run(long_file, "out.wav", end=1.0).report
    assert report.source_digest == digest_of(long_file)
    other = changed(long_file, worker.folder / "of the same size.wav")
    report = worker.run(other, "changed.wav", end=1.0).report
    assert (report.cached, report.source_digest) == (False, digest_of(other))


@pytest.mark.parametrize(("name", "subtype"), [("a.flac", "PCM_16"), ("a.aiff", "PCM_24"), ("a.mp3", None)])
def test_every_kind_of_file_is_hashed_as_it_is(worker: Worker, name: str, subtype: str | None) -> None:
    noise = 0.1 * np.random.default_rng(2).standard_normal((48000, 1))
    soundfile.write(worker.folder / name, noise, 48000, subtype=subtype)
    report = worker.run(worker.folder / name, f"{name}.wav", format="wav").report
    assert report.source_digest == digest_of(worker.folder / name)


def test_a_file_that_changes_between_its_passes_fails(worker: Worker, long_file: Path) -> None:
    source = changed(long_file, worker.folder / "growing.wav")

    def change(step: Step) -> None:
        if step.stage == "render":
            with open(source, "r+b") as file:
                file.seek(-8, 2)
                file.write(b"\1" * 8)

    with pytest.raises(InputError, match="changed while it was read"):
        worker.run(source, "out.wav", change, end=1.0)
    assert not (worker.folder / "out.wav").exists()


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [(0, 1000)],
        [(44, 300), (300, 700), (690, 900)],
        [(500, 600), (0, 100), (590, 1000)],
        [(10, 20), (10, 20), (15, 25)],
    ],
)
def test_a_digest_is_that_of_the_whole_file_whatever_passed(
    tmp_path: Path, pieces: Sequence[tuple[int, int]]
) -> None:
    content = np.random.default_rng(3).bytes(1000)
    (tmp_path / "file").write_bytes(content)
    digest = SourceDigest(tmp_path / "file", ignore)
    digest.read_to(44)
    for start, end in pieces:
        digest.see(start, memoryview(content)[start:end])
    assert digest.hexdigest() == digest.hexdigest() == digest_of(tmp_path / "file")


def test_a_cancel_is_heard_while_a_file_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(step: Step) -> None:
        raise Cancelled("enough")

    monkeypatch.setattr("engine.worker.source_digest.HASH_BYTES", 100)
    (tmp_path / "file").write_bytes(bytes(1000))
    with pytest.raises(Cancelled):
        SourceDigest(tmp_path / "file", cancel).hexdigest()
    with pytest.raises(InputError, match="cannot be read"):
        SourceDigest(tmp_path / "none", ignore).hexdigest()
