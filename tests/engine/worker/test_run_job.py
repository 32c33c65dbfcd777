"""A job's steps in order: model, source, cache, render, delivery; a step that settles the job ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.wire.messages import DeliverPath, DeliverPcm, Model, Submit
from bridge.wire.messages import Path as PathSource
from bridge.wire.ulid import new_ulid
from engine.models.null import Null
from engine.serving.worker_messages import Task
from engine.state.spool import Spool
from engine.worker import run_job as module
from engine.worker.delivery import Destination
from engine.worker.result_cache import ResultCache
from engine.worker.run_job import run_job
from presets.chains import Effect, Effects
from presets.errors import InputError, OutputError, UsageError
from presets.schema import make
from render.upscaler import Step, Upscaler


class Models:
    """A model with listed weights, and a log of when it is looked up and loaded."""

    device, compiles = "cpu", False

    def __init__(self, diary: list[str]) -> None:
        self._diary = diary

    @property
    def listed(self) -> tuple[Model, ...]:
        self._diary.append("model")
        return (Model("null", True, "cpu", Null.digest, ""),)

    def load(self, name: str) -> Upscaler:
        self._diary.append("load")
        return Null()


class Bench:
    """Jobs from a file to a file, and a log of the steps of each."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.spool = folder, Spool(folder / "spool")
        self.diary: list[str] = []
        self._note(monkeypatch, module, "open_source", "source")
        self._note(monkeypatch, module, "render", "render")
        self._note(monkeypatch, ResultCache, "find", "cache")
        self._note(monkeypatch, Destination, "bring", "delivery")
        noise = 0.1 * np.random.default_rng(1).standard_normal((4800, 1))
        soundfile.write(folder / "in.wav", noise, 48000)

    def _note(self, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, step: str) -> None:
        real = getattr(place, name)

        def noted(*arguments: Any, **named: Any) -> Any:
            self.diary.append(step)
            return real(*arguments, **named)

        monkeypatch.setattr(place, name, noted)

    def run(
        self,
        source: str = "in.wav",
        out: str = "out.wav",
        job: str = "",
        room: int = 10**9,
        deliver: DeliverPcm | None = None,
        **knobs: Any,
    ) -> list[str]:
        """Runs a job to its end, good or bad; returns its steps."""
        self.diary.clear()
        preset = make(**{"model": "null", **knobs})
        submit = Submit(
            job or new_ulid(),
            PathSource(str(self.folder / source)),
            deliver or DeliverPath(str(self.folder / out)),
            preset,
        )
        run_job(Task(submit, "", room), self.spool, Models(self.diary), (self.folder,), self._listen)  # type: ignore[arg-type]
        return self.diary

    def _listen(self, step: Step) -> None:
        """A progress hook that does nothing."""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_render_takes_the_five_steps_once_each_and_in_order(bench: Bench) -> None:
    assert bench.run() == ["model", "source", "cache", "load", "render", "delivery"]


def test_a_cached_result_is_delivered_without_a_model(bench: Bench) -> None:
    bench.run()
    assert bench.run(out="again.wav") == ["model", "source", "cache", "delivery"]


def test_a_result_that_is_there_ends_the_job_before_the_cache(bench: Bench) -> None:
    bench.run()
    assert bench.run() == ["model", "source"]


def test_what_is_refused_is_refused_before_the_steps_that_cost(bench: Bench) -> None:
    (bench.folder / "taken.wav").write_bytes(b"something else")
    for knobs, error, steps in [
        ({"model": "nonesuch"}, UsageError, ["model"]),
        ({"source": "none.wav"}, InputError, ["model", "source"]),
        ({"out": "taken.wav"}, OutputError, ["model", "source"]),
        ({"out": "/elsewhere/out.wav"}, OutputError, ["model", "source"]),
    ]:
        with pytest.raises(error):
            bench.run(**knobs)
        assert bench.diary == steps


RESULT_BYTES = 4 * 4800


def test_a_job_wants_the_room_of_what_it_writes_and_no_more(bench: Bench) -> None:
    gain = Effects(after=(Effect(name="Gain", params={"gain_db": -1.0}),))
    wanted: list[tuple[int, dict[str, Any]]] = [
        (RESULT_BYTES, {}),
        (2 * RESULT_BYTES, {"deliver": DeliverPcm(), "seed": 1}),
        (RESULT_BYTES // 2, {"end": 0.05, "seed": 2}),
        (4 * RESULT_BYTES, {"effects": gain}),
    ]
    for room, named in wanted:
        bench.spool.results.evict(10**9)
        with pytest.raises(OutputError, match=r"this job needs .*--quota"):
            bench.run(out=f"{room}.wav", room=room - 1, **named)
        assert "render" not in bench.diary
        bench.run(out=f"{room}.wav", room=room, **named)


def test_a_cached_result_wants_room_for_its_stem_alone_and_never_goes_for_it(bench: Bench) -> None:
    bench.run()
    with pytest.raises(OutputError, match="this job needs"):
        bench.run(deliver=DeliverPcm(), room=RESULT_BYTES - 1)
    assert bench.run(deliver=DeliverPcm(), room=RESULT_BYTES)[-2:] == ["cache", "delivery"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_costs_cached_results_and_one_more_try(bench: Bench) -> None:
    job = new_ulid()
    written = bench.spool.scratch(job, "pcm")
    written.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        bench.run(job=job)
    bench.run(seed=1)
    cached = bench.spool.folder / "results"
    [old] = cached.glob("*/*.pcm")
    written.symlink_to("/dev/full")
    steps = bench.run(job=job, out="second.wav")
    assert steps.count("render") == 2
    assert not old.exists()
    assert len(list(cached.glob("*/*.pcm"))) == 1
    assert soundfile.info(str(bench.folder / "second.wav")).frames == 4800
