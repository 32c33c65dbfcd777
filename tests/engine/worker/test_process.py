"""A worker process at the end of its pipe: how it answers tasks, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.wire.messages import (
    Audio,
    Cancel,
    Cancelled,
    Deliver,
    DeliverFile,
    DeliverPath,
    DeliverPcm,
    Done,
    Failed,
    File,
    Pcm,
    Progress,
    Source,
    Submit,
)
from bridge.wire.messages import Path as PathSource
from bridge.wire.transfer import hasher
from bridge.wire.ulid import new_ulid
from engine.serving.worker_messages import Beat, Grown, Next, Ready, Task, WorkerOptions
from engine.serving.worker_pool import Worker, WorkerPool
from engine.state.spool import Spool
from engine.worker import process as worker_module
from presets.schema import make

Samples = NDArray[np.float32]
PATIENCE_S = 120.0
ROOM = 10**9


class Bench:
    """One worker process and the spool it works on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.spool = folder, Spool(folder / "spool")
        self.room = ROOM
        self.pool = WorkerPool(["cpu"], worker_module.main, WorkerOptions(self.spool.folder, (folder,)))
        self.pool.start_due()

    @property
    def worker(self) -> Worker:
        return self.pool.workers["cpu"]

    @property
    def pid(self) -> int:
        process = self.worker._process
        assert process is not None
        assert process.pid is not None
        return process.pid

    def hear(self) -> Any:
        assert self.worker.pipe is not None
        assert self.worker.pipe.poll(PATIENCE_S), "the worker says nothing"
        message = self.worker.receive()
        if isinstance(message, Grown):
            self.spool.add(message.nbytes)
            return self.hear()
        return message

    def keep(self, content: bytes) -> str:
        digest = hasher()
        digest.update(content)
        self.spool.source(digest.hexdigest()).write_bytes(content)
        return digest.hexdigest()

    def give(self, source: Source, digest: str, deliver: Deliver | None = None, **knobs: Any) -> str:
        submit = Submit(new_ulid(), source, deliver or DeliverPcm(), make(**{"model": "null", **knobs}))
        self.worker.send(Task(submit, digest, self.room))
        return submit.job

    def give_samples(self, samples: Samples, deliver: Deliver | None = None, **knobs: Any) -> str:
        return self.give(Pcm(Audio(48000, *samples.shape)), self.keep(samples.tobytes()), deliver, **knobs)

    def outcome(self) -> tuple[Any, list[Progress]]:
        steps = []
        while isinstance(message := self.hear(), Progress | Next):
            if isinstance(message, Progress):
                steps.append(message)
        return message, steps


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    ready = bench.hear()
    assert isinstance(ready, Ready)
    assert {"null", "draft"} <= {model.name for model in ready.models if model.ready}
    assert ready.device == "cpu"
    yield bench
    bench.pool.kill()


@pytest.fixture(scope="module")
def long(dull: Samples) -> Samples:
    """Half a minute of sound."""
    return np.tile(dull, 15)


def test_samples_go_in_and_come_out(bench: Bench, dull: Samples) -> None:
    job = bench.give_samples(dull)
    done, _ = bench.outcome()
    assert isinstance(done, Done)
    assert bench.spool.stem(job).read_bytes() == dull.tobytes()
    assert done.stems[0].digest == bench.keep(dull.tobytes())
    assert (done.report.model, done.report.model_reason) == ("null", "asked for")
    assert not list((bench.spool.folder / "scratch").iterdir())


def test_the_server_is_told_how_results_grow_and_shrink(bench: Bench, dull: Samples) -> None:
    bench.spool.count()
    for seed, room in ((41, ROOM), (42, 0), (43, 0)):
        bench.room = room
        bench.give_samples(dull, DeliverPath(str(bench.folder / f"{seed}.wav")), seed=seed)
        assert isinstance(bench.outcome()[0], Done)
    bench.room = ROOM
    told = bench.spool.used_bytes
    bench.spool.count()
    assert told == bench.spool.used_bytes


def test_a_render_tells_how_far_it_is(bench: Bench, long: Samples) -> None:
    job = bench.give_samples(long)
    done, steps = bench.outcome()
    assert isinstance(done, Done)
    assert steps
    assert all(step.job == job for step in steps)


def test_auto_is_draft_without_weights_and_a_gpu_and_says_why(bench: Bench, dull: Samples) -> None:
    bench.give_samples(dull, model="auto")
    done, _ = bench.outcome()
    assert isinstance(done, Done)
    assert done.report.model == "draft"
    assert "AudioSR" in done.report.model_reason


def test_the_same_again_comes_from_the_cache_in_another_format(bench: Bench, long: Samples) -> None:
    bench.give_samples(long, seed=31)
    bench.outcome()
    job = bench.give_samples(long, DeliverFile(), seed=31, format="flac")
    done, steps = bench.outcome()
    assert isinstance(done, Done)
    assert steps == [], "nothing was rendered"
    assert soundfile.info(str(bench.spool.stem(job))).format == "FLAC"
    bench.give_samples(long, seed=32)
    assert bench.outcome()[1] != []


def test_a_file_keeps_its_words_and_says_what_was_done(bench: Bench, dull: Samples, tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "in.wav", "w", 48000, 2, "PCM_24") as file:
        file.title = "Take 7"
        file.write(dull.T)
    content = (tmp_path / "in.wav").read_bytes()
    job = bench.give(File("in.wav", len(content)), bench.keep(content), DeliverFile(), seed=33)
    assert isinstance(bench.outcome()[0], Done)
    with soundfile.SoundFile(str(bench.spool.stem(job))) as file:
        assert file.title == "Take 7"


def test_a_sign_of_life_is_given_in_the_middle_of_a_job(bench: Bench) -> None:
    noise = 0.1 * np.random.default_rng(9).standard_normal((2, 48000 * 20), dtype="f4")
    bench.give_samples(noise, model="draft", cutoff=4000)
    while not (isinstance(message := bench.hear(), Progress) and message.step):
        pass
    bench.worker.send(Beat())
    kinds = []
    while not isinstance(message := bench.hear(), Done):
        kinds.append(type(message))
    assert Beat in kinds


def test_a_damaged_source_of_the_spool_is_refused(bench: Bench, dull: Samples) -> None:
    digest = bench.keep(dull.tobytes())
    with open(bench.spool.source(digest), "r+b") as file:
        file.write(b"xxxx")
    bench.give(Pcm(Audio(48000, *dull.shape)), digest)
    failed, _ = bench.outcome()
    assert isinstance(failed, Failed)
    assert (failed.code, "damaged" in failed.message) == ("input", True)


def test_cancel_lands_in_the_middle(bench: Bench) -> None:
    noise = 0.1 * np.random.default_rng(8).standard_normal((2, 48000 * 60), dtype="f4")
    job = bench.give_samples(noise, model="draft", cutoff=4000)
    while not (isinstance(message := bench.hear(), Progress) and message.step):
        pass
    bench.worker.send(Cancel(job))
    ended, _ = bench.outcome()
    assert ended == Cancelled(job)
    assert not list((bench.spool.folder / "scratch").iterdir())
    assert not bench.spool.stem(job).exists()


def test_it_asks_for_its_next_job_once_what_is_left_of_one_takes_but_a_moment(
    bench: Bench, dull: Samples, long: Samples
) -> None:
    def said(samples: Samples) -> list[Any]:
        bench.give_samples(samples, seed=41)
        messages = [bench.hear()]
        while not isinstance(messages[-1], Done):
            messages.append(bench.hear())
        return messages

    for _ in range(2):  # the second time the result exists
        short = said(dull)
        assert isinstance(short[0], Next), "so soon that the next is there when this one ends"
        assert sum(isinstance(message, Next) for message in short) == 1
    *earlier, last, _ = said(long)
    assert isinstance(last, Next), "after its render"
    assert not any(isinstance(message, Next) for message in earlier)
    minute = 0.1 * np.random.default_rng(9).standard_normal((2, 48000 * 60), dtype="f4")
    assert not any(isinstance(message, Next) for message in said(minute)), "its delivery takes a while"


def test_a_job_that_is_cancelled_while_another_one_runs_is_not_begun(bench: Bench) -> None:
    noise = 0.1 * np.random.default_rng(8).standard_normal((2, 48000 * 20), dtype="f4")
    first = bench.give_samples(noise, model="draft", cutoff=4000)
    out = bench.folder / "never.wav"
    second = bench.give_samples(noise[:, :4000], DeliverPath(str(out)))
    bench.worker.send(Cancel(second))
    done, _ = bench.outcome()
    assert isinstance(done, Done)
    assert done.job == first
    assert bench.hear() == Cancelled(second)
    assert not out.exists()


@pytest.mark.parametrize(
    ("source", "deliver", "knobs", "code", "field", "word"),
    [
        (PathSource("/etc/hostname"), None, {}, "input", "source", "--root"),
        (PathSource("{folder}/missing.wav"), None, {}, "input", "source", "missing.wav"),
        (None, None, {"model": "nonesuch"}, "usage", "model", "draft"),
        (None, None, {"start": 10**7}, "usage", "start", "not inside"),
        (None, DeliverFile(), {"format": "flac", "bit_depth": 32}, "usage", "bit_depth", "flac"),
        (None, DeliverPath("{folder}/x.mp3"), {}, "usage", "format", "mp3"),
        (None, DeliverPath("/etc/x.wav"), {}, "output", "deliver", "--root"),
    ],
)
def test_what_cannot_be_fails_with_its_code_and_field(
    bench: Bench, long: Samples, source: Any, deliver: Any, knobs: Any, code: str, field: str, word: str
) -> None:
    def placed(what: Any) -> Any:
        if not isinstance(what, PathSource | DeliverPath):
            return what
        return type(what)(what.path.format(folder=bench.folder))

    if source is None:
        bench.give_samples(long, placed(deliver), **knobs)
    else:
        bench.give(placed(source), "", placed(deliver), **knobs)
    failed, steps = bench.outcome()
    assert isinstance(failed, Failed)
    assert (failed.code, failed.field, word in failed.message) == (code, field, True), failed
    assert steps == [] or field == "start", "told before the work, not after it"


def test_a_spool_that_lost_the_source_fails_the_job_and_not_the_worker(bench: Bench, dull: Samples) -> None:
    bench.give(Pcm(Audio(48000, 2, 100)), "00" * 32)
    failed, _ = bench.outcome()
    assert isinstance(failed, Failed)
    assert (failed.code, "cannot be read" in failed.message) == ("input", True)
    bench.give_samples(dull)
    assert isinstance(bench.outcome()[0], Done)


def test_an_error_nobody_foresaw_is_the_jobs_end_and_no_more(tmp_path: Path) -> None:
    class Broken:
        listed = property(lambda self: 1 / 0)

    submit = Submit(new_ulid(), Pcm(Audio(48000, 2, 100)), DeliverPcm(), make())
    task, spool = Task(submit, "00" * 32, ROOM), Spool(tmp_path)
    failed = worker_module.outcome(task, spool, Broken(), (), lambda _: None)  # type: ignore[arg-type]
    assert isinstance(failed, Failed)
    assert (failed.code, "ZeroDivisionError" in failed.message) == ("render", True)


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_signals_meant_for_the_server_do_not_end_a_worker(bench: Bench, dull: Samples) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(bench.pid, number)
    bench.give_samples(dull)
    assert isinstance(bench.outcome()[0], Done)
    assert os.getpgid(bench.pid) == bench.pid


def test_a_worker_leaves_with_its_pipe_and_the_next_one_takes_over(
    tmp_path: Path, dull: Samples, wait_until: Callable[[Callable[[], bool], str], None]
) -> None:
    bench = Bench(tmp_path)
    try:
        assert isinstance(bench.hear(), Ready)
        process = bench.worker._process
        assert process is not None
        assert bench.worker.pipe is not None
        bench.give_samples(np.tile(dull, 30), model="draft", cutoff=4000)
        while not isinstance(bench.hear(), Progress):
            pass
        bench.worker.pipe.close()  # to a worker, as if the server had been killed
        wait_until(lambda: not process.is_alive(), "the worker's end")
        bench.worker.kill()
        bench.pool.start_due()
        assert isinstance(bench.hear(), Ready)
        os.kill(bench.pid, signal.SIGKILL)
        assert bench.hear() is None
        assert bench.worker.pipe is None
        assert bench.worker.restart_s > time.monotonic() - 1
    finally:
        bench.pool.kill()


def test_a_worker_that_cannot_answer_its_server_leaves(
    tmp_path: Path, wait_until: Callable[[Callable[[], bool], str], None]
) -> None:
    """As when the server is killed between its question and the worker's answer."""
    bench = Bench(tmp_path)
    try:
        assert isinstance(bench.hear(), Ready)
        process, pipe = bench.worker._process, bench.worker.pipe
        assert process is not None
        assert pipe is not None
        with socket.socket(fileno=os.dup(pipe.fileno())) as end:
            end.shutdown(socket.SHUT_RD)
        bench.worker.send(Beat())
        wait_until(lambda: not process.is_alive(), "the worker's end")
    finally:
        bench.pool.kill()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", ["null", "draft"])
def test_memory_does_not_grow_with_the_clip(tmp_path: Path, model: str) -> None:
    def peak_mb(bench: Bench) -> float:
        status = Path(f"/proc/{bench.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    bench = Bench(tmp_path)
    try:
        assert isinstance(bench.hear(), Ready)
        peaks = []
        minute = 0.1 * np.random.default_rng(9).standard_normal((48000 * 60, 2), dtype="f4")
        for minutes in (1, 30):
            path = tmp_path / f"{minutes}.wav"
            with soundfile.SoundFile(path, "w", 48000, 2, "FLOAT") as file:
                for _ in range(minutes):
                    file.write(minute)
            out = DeliverPath(str(tmp_path / f"{minutes}-out.wav"))
            bench.give(PathSource(str(path)), "", out, cutoff=4000, model=model)
            assert isinstance(bench.outcome()[0], Done)
            peaks.append(peak_mb(bench))
        assert peaks[1] - peaks[0] <= 150, peaks
    finally:
        bench.pool.kill()
