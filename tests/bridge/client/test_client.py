"""One suite for all renderers: a client of a live engine, and the engine in process."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from bridge import Client, Renderer
from bridge.client.request import DeliverAs
from bridge.wire.ulid import new_ulid
from presets.errors import Cancelled, EngineError, InputError, OutputError, UsageError
from presets.schema import Preset
from render.files.sidecar import find_done, sidecar_path

if TYPE_CHECKING:
    from tests.conftest import LiveEngine

Samples = NDArray[np.float32]


@pytest.fixture(params=["engine", "local"])
def renderer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Renderer]:
    if request.param == "local":
        from engine.local import LocalRenderer

        with LocalRenderer(state=tmp_path / "local") as local:
            yield local
    else:
        engine: LiveEngine = request.getfixturevalue("engine")
        with Client.connect(state=engine.home.state, start=False) as client:
            yield client


@pytest.fixture(scope="session")
def long() -> Samples:
    """Minutes of noise below 4 kHz, so that a render is still running when a test looks at it."""
    from scipy.signal import butter, sosfilt

    noise = 0.1 * np.random.default_rng(2).standard_normal((2, 48000 * 10))
    low: Samples = sosfilt(butter(16, 4000, fs=48000, output="sos"), noise).astype("f4")
    return np.tile(low, 12)


def test_an_engine_and_this_process_make_the_same_samples(
    engine: LiveEngine, dull: Samples, tmp_path: Path
) -> None:
    from engine.local import LocalRenderer

    source = dull[:, :24000], 48000
    with Client.connect(state=engine.home.state) as client, LocalRenderer(tmp_path / "local") as local:
        here, there = (each.submit(source, model="draft").wait().audio for each in (local, client))
    np.testing.assert_array_equal(here, there)


@pytest.fixture
def busy(renderer: Renderer, long: Samples) -> Iterator[Any]:
    """A job that runs for as long as the test needs it."""
    job = renderer.submit((long, 48000), model="draft", seed=int(time.time_ns()) % 2**31)
    yield job
    job.cancel()


def test_an_array_comes_back_through_null_as_it_went(renderer: Renderer, dull: Samples) -> None:
    result = renderer.submit((dull, 48000), "music", model="null").wait(60)
    assert result.rate == 48000
    assert result.audio.dtype == np.float32
    assert np.array_equal(result.audio, dull)
    assert result.path is None
    assert result.report.model == "null"
    assert result.audio is result.audio


def test_the_callers_array_may_change_once_it_is_submitted(renderer: Renderer, dull: Samples) -> None:
    mine = dull.copy()
    job = renderer.submit((mine, 48000), model="null")
    mine[:] = 0
    assert np.array_equal(job.wait(60).audio, dull)


def test_draft_fills_the_band_above_and_leaves_that_below(renderer: Renderer, dull: Samples) -> None:
    result = renderer.submit((dull, 48000), "music", model="draft", seed=3).wait(60)
    assert result.audio.shape == dull.shape
    assert result.report.generated
    spectrum = np.abs(np.fft.rfft(result.audio[0])) / np.abs(np.fft.rfft(dull[0])).max()
    hz = np.fft.rfftfreq(dull.shape[1], 1 / 48000)
    assert spectrum[(hz > 6000) & (hz < 12000)].max() > 1e-4
    low = hz < 2000
    change = np.fft.rfft(result.audio[0] - dull[0])[low]
    assert np.abs(change).max() < 1e-4 * np.abs(np.fft.rfft(dull[0])[low]).max()


@pytest.mark.parametrize("rate", [22050, 44100])
def test_another_rate_gives_the_promised_length(renderer: Renderer, dull: Samples, rate: int) -> None:
    clip = dull[:, :10_001]
    result = renderer.submit((clip, rate), model="null").wait(60)
    assert result.rate == 48000
    assert result.audio.shape == (2, -(-10_001 * 48000 // rate))


def test_layouts_and_types_of_arrays(renderer: Renderer, dull: Samples) -> None:
    mono = renderer.submit((dull[0], 48000), model="null").wait(60)
    assert np.array_equal(mono.audio, dull[:1])
    double = renderer.submit((dull.T.astype(np.float64).T, 48000), model="null").wait(60)
    assert np.array_equal(double.audio, dull)
    integers = (dull * 32767).astype(np.int16)
    short = renderer.submit((integers, 48000), model="null").wait(60)
    assert np.array_equal(short.audio, integers.astype(np.float32) / 32768)


@pytest.fixture
def dull_file(dull: Samples, tmp_path: Path) -> Path:
    path = tmp_path / "dull one.wav"
    soundfile.write(path, dull.T, 48000, subtype="FLOAT")
    return path


def test_the_engine_writes_the_file_that_was_asked_for(
    renderer: Renderer, dull: Samples, dull_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "bright.wav"
    result = renderer.submit(dull_file, model="null", deliver="path", out=out).wait(60)
    assert result.path == out
    assert np.array_equal(soundfile.read(out, dtype="float32")[0].T, dull)
    assert np.array_equal(result.audio, dull)
    assert find_done(out, json.loads(sidecar_path(out).read_text())["key"])
    with pytest.raises(OutputError):
        renderer.submit(dull_file, model="draft", deliver="path", out=out).wait(60)
    renderer.submit(dull_file, model="draft", deliver="path", out=out, force=True).wait(60)
    assert not np.array_equal(soundfile.read(out, dtype="float32")[0].T, dull)


def test_a_finished_file_is_saved_with_its_sidecar(
    renderer: Renderer, dull: Samples, dull_file: Path, tmp_path: Path
) -> None:
    knobs: dict[str, Any] = {"model": "null", "format": "wav", "bit_depth": 24, "dither": "none"}
    result = renderer.submit(dull_file, deliver="file", **knobs).wait(60)
    assert result.path is None
    out = result.save(tmp_path / "bright.wav")
    assert soundfile.info(out).subtype == "PCM_24"
    assert np.abs(soundfile.read(out, dtype="float32")[0].T - dull).max() <= 2**-23
    assert np.abs(result.audio - dull).max() <= 2**-23
    said = json.loads(sidecar_path(out).read_text())
    assert said["source"]["name"] == dull_file.name
    assert find_done(out, said["key"])
    written_ns = out.stat().st_mtime_ns
    assert result.save(out) == out
    assert out.stat().st_mtime_ns == written_ns
    with pytest.raises(UsageError, match="suffix"):
        result.save(tmp_path / "bright.flac")
    out.write_bytes(b"another's")
    with pytest.raises(OutputError, match="was changed after it had been rendered; force=True replaces it"):
        result.save(out)
    assert find_done(result.save(out, force=True), said["key"])


@pytest.mark.parametrize("deliver", ["pcm", "file", "path"])
def test_another_result_in_the_way_says_how_it_differs(
    renderer: Renderer, dull_file: Path, tmp_path: Path, deliver: DeliverAs
) -> None:
    out = tmp_path / "out.flac"
    knobs: dict[str, Any] = {"model": "null", "format": "flac", "deliver": deliver}

    def brought(**other: Any) -> None:
        where = {"out": out} if deliver == "path" else {}
        result = renderer.submit(dull_file, **knobs, **where, **other).wait(60)
        if deliver != "path":
            result.save(out)

    brought()
    brought()
    told = "seed = 0, not 3, end = unset, not 1.5, delivery.clip = unset, not true; force=True replaces it"
    with pytest.raises(OutputError, match=f"out.flac: exists, and was made with {told}"):
        brought(seed=3, end=1.5, delivery={"clip": True})


@pytest.mark.parametrize(("suffix", "subtype"), [(".wav", "FLOAT"), (".flac", "PCM_24"), (".aiff", "FLOAT")])
def test_samples_are_saved_as_the_suffix_says(
    renderer: Renderer, dull: Samples, tmp_path: Path, suffix: str, subtype: str
) -> None:
    out = renderer.submit((dull, 48000), model="null").wait(60).save(tmp_path / f"bright{suffix}")
    assert soundfile.info(out).subtype == subtype
    assert np.abs(soundfile.read(out, dtype="float32")[0].T - dull).max() <= 2**-22
    assert sidecar_path(out).exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        out.name,
        sidecar_path(out).name,
    ]


def test_progress_goes_forward_to_the_end(renderer: Renderer, long: Samples) -> None:
    job = renderer.submit((long[:, : 48000 * 6], 48000), model="draft", seed=11)
    steps = list(job.progress(60))
    assert steps
    assert all(step.job == job.id and 0 <= step.step <= step.of for step in steps)
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    assert job.state == "done"
    assert job.wait(60).audio.shape == (2, 48000 * 6)


def test_a_cancelled_job_ends_as_cancelled(renderer: Renderer, busy: Any) -> None:
    assert busy.cancel() == "cancelled"
    with pytest.raises(Cancelled):
        busy.wait(60)
    with pytest.raises(Cancelled):
        list(busy.progress(60))
    assert busy.state == "cancelled"
    assert busy.cancel() == "cancelled"


def test_waiting_may_be_given_up_and_taken_up_again(renderer: Renderer, busy: Any) -> None:
    with pytest.raises(EngineError, match="goes on"):
        busy.wait(0.05)
    assert busy.state in ("queued", "running")
    assert renderer.ping() < 10


@pytest.mark.skipif(os.name != "posix", reason="sends itself a signal")
def test_an_interrupt_leaves_the_renderer_usable(renderer: Renderer, busy: Any, dull: Samples) -> None:
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        busy.wait(60)
    timer.join()
    assert busy.cancel() == "cancelled"
    assert np.array_equal(renderer.submit((dull, 48000), model="null").wait(60).audio, dull)


def test_threads_share_a_renderer_and_get_their_own_back(renderer: Renderer, dull: Samples) -> None:
    def through(number: int) -> bool:
        clip = dull[:, : 20_000 + number] * (1 - number / 20)
        result = renderer.submit((clip, 48000), model="null").wait(60)
        return np.array_equal(result.audio, clip)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(through, range(12)))


def test_files_of_one_name_rendered_at_once_stay_apart(
    renderer: Renderer, dull: Samples, tmp_path: Path
) -> None:
    def through(number: int) -> bool:
        clip, folder = dull * (1 - number / 10), tmp_path / str(number)
        folder.mkdir()
        soundfile.write(folder / "kick.wav", clip.T, 48000, "FLOAT")
        result = renderer.submit(folder / "kick.wav", model="null", deliver="file").wait(60)
        made = soundfile.read(result.save(folder / "kick-full.wav"), dtype="float32")[0].T
        return np.array_equal(made, clip)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(through, range(4)))


def test_a_sidecar_holds_all_that_the_same_samples_take(
    renderer: Renderer, dull: Samples, tmp_path: Path
) -> None:
    source, first, again = (tmp_path / name for name in ("kick.wav", "first.wav", "again.wav"))
    soundfile.write(source, dull[:, :24000].T, 48000, "FLOAT")
    knobs: dict[str, Any] = {"seed": 3, "cutoff": 5000, "high_gain_db": -3, "gate_db": "off"}
    renderer.submit(source, "archive", deliver="path", out=first, model="draft", **knobs).wait(60)
    told = json.loads(sidecar_path(first).read_text())["preset"]
    name = told.pop("name")
    preset = msgspec.convert(told, Preset)
    renderer.submit(source, preset, preset_name=name, deliver="path", out=again).wait(60)
    assert first.read_bytes() == again.read_bytes()


def test_one_result_is_fetched_by_several_threads(renderer: Renderer, long: Samples) -> None:
    clip = long[:, : 48000 * 20]
    job = renderer.submit((clip, 48000), model="null")

    def fetched(_: int) -> bool:
        return np.array_equal(job.wait(60).audio, clip)

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(fetched, range(3)))


def test_scalars_of_numpy_are_taken_wherever_a_number_is(renderer: Renderer, dull: Samples) -> None:
    knobs: dict[str, Any] = {
        "seed": np.random.default_rng(0).integers(0, 2**31), "cutoff": np.float64(5000),
        "high_gain_db": np.float32(-3), "start": np.float64(0.5), "end": np.float32(1.5),
        "joint": np.bool_(False), "priority": np.int64(1),
    }  # fmt: skip
    result = renderer.submit((dull, np.int64(48000)), "speech", model="null", **knobs).wait(60)
    assert result.audio.shape == (2, 48000)
    assert result.report.seed == knobs["seed"]
    assert result.report.cutoff_hz == 5000


def test_a_file_may_be_named_in_any_way_that_python_has(
    renderer: Renderer, dull: Samples, dull_file: Path, tmp_path: Path
) -> None:
    name, out = os.fsencode(dull_file), os.fsencode(tmp_path / "named.wav")
    assert np.array_equal(renderer.submit(name, model="null").wait(60).audio, dull)
    assert (
        renderer.submit(name, model="null", deliver="path", out=out).wait(60).path == tmp_path / "named.wav"
    )
    for message, wrong in {
        "is of type NoneType: give": None,
        "source is an empty name": b"",
        "is of type list: give": [dull, 48000],
        "a source of 3 parts: give": (dull, 48000, 1),
    }.items():
        with pytest.raises(InputError, match=message):
            renderer.submit(wrong, model="null")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="out is an empty name"):
        renderer.submit(dull_file, model="null", deliver="path", out="")


def test_a_name_that_begins_with_a_tilde_is_nobodys_home(
    renderer: Renderer, dull: Samples, dull_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("~take.wav").write_bytes(dull_file.read_bytes())
    Path("~take.toml").write_text("model = 'null'", encoding="utf-8")
    job = renderer.submit("~take.wav", Path("~take.toml"), deliver="path", out="~out.wav")
    assert job.wait(60).path == tmp_path / "~out.wav"
    file = renderer.submit("~take.wav", "~take.toml", deliver="file").wait(60).save(b"~saved.wav")
    assert file.read_bytes() == (tmp_path / "~out.wav").read_bytes()


def test_int16_of_either_byte_order_is_taken(renderer: Renderer, dull: Samples) -> None:
    integers = (dull[0] * 32767).astype(np.int16)
    once, again = (renderer.submit((array, 48000), model="null").wait(60).audio
                   for array in (integers, integers.astype(">i2")))  # fmt: skip
    assert np.array_equal(once, again)


def test_jobs_are_listed_and_forgotten(renderer: Renderer, dull: Samples, dull_file: Path) -> None:
    first = renderer.submit((dull, 48000), "speech", model="null")
    second = renderer.submit(dull_file, "archive", model="null", priority=3)
    for job in (first, second):
        job.wait(60)
    newest = renderer.jobs(limit=2)
    assert [line.job for line in newest] == [second.id, first.id]
    assert (newest[0].preset, newest[0].priority, newest[0].state) == ("archive", 3, "done")
    assert dull_file.name in newest[0].source
    assert renderer.status(first.id).preset == "speech"
    first.forget()
    with pytest.raises(UsageError, match=first.id):
        renderer.status(first.id)
    with pytest.raises(UsageError, match=first.id):
        first.wait(60)
    assert second.state == "done"


def test_a_running_job_is_not_forgotten(renderer: Renderer, busy: Any) -> None:
    with pytest.raises(UsageError, match="cancel"):
        busy.forget()


def test_to_submit_again_is_safe(renderer: Renderer, dull: Samples) -> None:
    name = new_ulid()
    first = renderer.submit((dull, 48000), model="null", job=name)
    assert first.id == name
    first.wait(60)
    again = renderer.submit((dull, 48000), model="null", job=name)
    assert np.array_equal(again.wait(60).audio, dull)
    assert sum(line.job == name for line in renderer.jobs()) == 1


def test_a_job_is_taken_up_by_its_name(
    renderer: Renderer, dull: Samples, dull_file: Path, tmp_path: Path
) -> None:
    samples = renderer.submit((dull, 48000), model="null")
    file = renderer.submit(dull_file, model="null", deliver="file", format="flac")
    for known, tolerance in ((samples, 0.0), (file, 2**-22)):  # the file is dithered at 24 bits
        result = renderer.job(known.id).wait(60)
        assert np.abs(result.audio - dull).max() <= tolerance
        with pytest.raises(UsageError, match="not known"):
            result.save(tmp_path / "x.wav")
    with pytest.raises(UsageError, match="no job"):
        renderer.job(new_ulid()).wait(60)


def test_models_and_presets_are_told(renderer: Renderer) -> None:
    assert {"null", "draft"} <= {model.name for model in renderer.models if model.ready}
    assert {"music", "speech", "archive"} <= set(renderer.presets)
    assert 0 <= renderer.ping() < 10
    assert renderer.local


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "preset": ({"preset": "misuc"}, UsageError, "misuc"),
    "knob": ({"brightness": 3}, UsageError, "brightness"),
    "value": ({"steps": 5000}, UsageError, "1000"),
    "model": ({"model": "no-such-model"}, UsageError, "no-such-model"),
    "priority": ({"priority": 10}, UsageError, "-9 to 9"),
    "job name": ({"job": "../../etc/passwd"}, UsageError, "ULID"),
    "delivery": ({"deliver": "post"}, UsageError, "deliver"),
    "missing destination": ({"deliver": "path"}, UsageError, "out"),
    "destination without delivery": ({"out": "x.wav"}, UsageError, "deliver"),
    "destination's suffix": ({"deliver": "path", "out": "{folder}/x.mp3"}, UsageError, "mp3"),
    "start after the end": ({"start": 5.0}, UsageError, "start"),
    "a name too long": (
        {"deliver": "path", "out": "{folder}/" + 300 * "x" + ".wav"},
        OutputError,
        "too long",
    ),
    "a name with NUL": ({"deliver": "path", "out": "x\0.wav"}, UsageError, "NUL"),
}


@pytest.mark.parametrize(("asked", "error", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_in_one_clear_error(
    renderer: Renderer,
    dull: Samples,
    tmp_path: Path,
    asked: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    filled = {key: value.format(folder=tmp_path) if key == "out" else value for key, value in asked.items()}
    with pytest.raises(error, match=says):
        renderer.submit((dull, 48000), **filled).wait(60)
    assert list(tmp_path.glob("*.mp3")) == []


BAD_ARRAYS: dict[str, tuple[Any, Any, str]] = {
    "no frames": (np.zeros((2, 0), "f4"), 48000, "frames"),
    "no channels": (np.zeros((0, 9), "f4"), 48000, "0 channels"),
    "nine channels": (np.zeros((9, 100), "f4"), 48000, "9 channels"),
    "frames first": (np.zeros((48000, 2), "f4"), 48000, r"48000 channels.*transpose"),
    "three dimensions": (np.zeros((2, 2, 3), "f4"), 48000, "2x2x3"),
    "no dimension": (48000, np.zeros((1, 9), "f4"), r"type int: give .*\(samples, rate in Hz\)"),
    "text": (np.array(["a"]), 48000, "give"),
    "complex": (np.zeros((1, 9), "c8"), 48000, "complex64"),
    "rate of 100 Hz": (np.zeros((1, 9), "f4"), 100, "rate = 100;"),
    "rate of 1 MHz": (np.zeros((1, 9), "f4"), 1_000_000, "1000000"),
    "NaN": (np.full((1, 9000), np.nan, "f4"), 48000, "finite|NaN|nan"),
    "infinite": (np.full((1, 9000), np.inf, "f4"), 48000, "finite|inf"),
    "far beyond full scale": (np.full((1, 9000), 1000.0, "f4"), 48000, "16"),
    "beyond single precision": (np.full((1, 9000), 1e300), 48000, "infinite"),
    "ragged": ([[0.0, 1.0], [0.0]], 48000, "list is not an array"),
    "sparse": (torch.zeros(2, 9).to_sparse(), 48000, "Tensor is not an array"),
    "no rate": (np.zeros((1, 9), "f4"), None, "rate = None;"),
    "rate in words": (np.zeros((1, 9), "f4"), "16k", "rate = '16k';"),
    "rate not a number": (np.zeros((1, 9), "f4"), np.nan, "rate = nan;"),
}


@pytest.mark.parametrize(("array", "rate", "says"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_a_bad_array_is_one_input_error(renderer: Renderer, array: Any, rate: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        renderer.submit((array, rate), model="null").wait(60)
    assert caught.value.field == "source"


@pytest.mark.parametrize("deliver", ["pcm", "file"])
def test_a_bad_file_is_one_input_error(renderer: Renderer, tmp_path: Path, deliver: Any) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(5000))
    for name in ("missing.wav", "empty.wav", "folder.wav", "noise.wav"):
        with pytest.raises(InputError, match=name) as caught:
            renderer.submit(tmp_path / name, model="null", deliver=deliver).wait(60)
        assert caught.value.field == "source"


def test_the_source_is_never_overwritten(renderer: Renderer, dull_file: Path) -> None:
    before = dull_file.read_bytes()
    with pytest.raises(OutputError, match="source"):
        renderer.submit(dull_file, deliver="path", out=dull_file, force=True).wait(60)
    assert dull_file.read_bytes() == before


def test_a_result_may_be_waited_for_without_an_end(renderer: Renderer, dull: Samples) -> None:
    for timeout_s in (1e300, float("inf")):
        assert renderer.submit((dull, 48000), model="null").wait(timeout_s).rate == 48000


def test_a_closed_renderer_says_so(renderer: Renderer, dull: Samples) -> None:
    renderer.close()
    renderer.close()
    with pytest.raises(EngineError, match="closed"):
        renderer.submit((dull, 48000), model="null")


def test_a_name_that_no_job_can_have_is_refused_and_the_renderer_goes_on(renderer: Renderer) -> None:
    for refused in (renderer.job, renderer.status, renderer.cancel, renderer.forget):
        with pytest.raises(UsageError, match="kick"):
            refused("kick")
    assert renderer.ping() >= 0


def test_a_renderer_belongs_to_its_process(renderer: Renderer, dull: Samples) -> None:
    """A forked child gets an error, and closing it there does not affect the parent; pickling fails."""
    child = os.fork()
    if child == 0:
        try:
            renderer.submit((dull, 48000), model="null")
        except EngineError as error:
            renderer.close()
            os._exit(0 if "make a new one after a fork" in error.message else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(renderer.submit((dull, 48000), model="null").wait(60).audio, dull)
    with pytest.raises(TypeError, match="belongs to its process"):
        pickle.dumps(renderer)


def test_what_was_not_closed_leaves_no_folder(tmp_path: Path) -> None:
    script = (
        "import numpy; from engine.local import LocalRenderer; "
        "print(LocalRenderer().submit((numpy.zeros(480), 48000), model='null').wait(60).audio.shape)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60
    )
    assert ended.stdout == "(1, 480)\n", ended.stderr
    assert not list(tmp_path.iterdir())
