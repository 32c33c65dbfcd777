"""A farm on this machine: equal to a local render, whatever process is killed; jobs for farms without Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine.local import LocalRenderer
from presets.errors import EngineError
from render.files.sidecar import sidecar_path

pytest.importorskip("ray", reason="needs Ray (the extra `farm`)")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds a farm's processes in /proc"),
    pytest.mark.timeout(600),
]

CLIPS = 8
SABOTAGE = """
import os, signal, sys, time
if any(part.endswith("default_worker.py") for part in sys.orig_argv):
    def strike(event, arguments):
        if event != "open" or not isinstance(arguments[0], str):
            return
        name, folder = os.path.basename(arguments[0]), os.path.dirname(arguments[0])
        if name == "poison.wav":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "5.wav" and os.path.exists(os.path.join(folder, "once")):
            os.unlink(os.path.join(folder, "once"))
            os.kill(os.getpid(), signal.SIGKILL)
        if os.path.exists(os.path.join(folder, "wait")) and name.removesuffix(".wav").isdigit():
            while int(name.removesuffix(".wav")) > 3 and os.path.exists(os.path.join(folder, "wait")):
                time.sleep(0.05)
    sys.addaudithook(strike)
"""
"""Run in a worker's Python: opening a clip kills the worker each time, kills it once, or waits."""


@pytest.fixture(autouse=True)
def as_nice_as_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray starts its workers at nice 15: on a busy machine they take ten minutes to come up."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


@pytest.fixture
def clips(tmp_path: Path, dull: NDArray[np.float32]) -> Path:
    """A folder with eight clips of half a second and a manifest of them, each with a seed of its own."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(CLIPS):
        piece = np.roll(dull, 37 * number, axis=1)[:, :24000]
        soundfile.write(folder / f"{number}.wav", piece.T, 48000, "PCM_16")
    rows = [f"{number}.wav,{number}" for number in range(CLIPS)]
    (folder / "jobs.csv").write_text("\n".join(["path,seed", *rows]))
    return folder


@pytest.fixture
def start(tmp_path: Path, clips: Path) -> Callable[..., subprocess.Popen[str]]:
    """`start(...)`: `airband farm` on the clips, with workers that can be made to die."""
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "engine", "farm", "--manifest", str(clips / "jobs.csv")]
        command += ["-o", str(tmp_path / "out"), "--workers", "2", "--json", *map(str, arguments)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    return run


def ended(farm: subprocess.Popen[str]) -> dict[str, dict[str, Any]]:
    """The events of a farm that runs to its end, by name of the clip."""
    out, err = farm.communicate(timeout=500)
    events = [json.loads(line) for line in out.splitlines()]
    assert events, err
    return {Path(event.get("source", "")).stem: event for event in events}


def local(clips: Path, numbers: range) -> dict[str, NDArray[np.float32]]:
    """The results of a local render of the clips."""
    with LocalRenderer() as renderer:
        return {
            f"{number}.wav": renderer.submit(clips / f"{number}.wav", seed=number).wait().audio
            for number in numbers
        }


def made(out: Path) -> dict[str, NDArray[np.float32]]:
    """The existing results; fails where one has no sidecar, or a half-written file was left."""
    assert all(sidecar_path(path).exists() for path in out.glob("*.wav"))
    assert not list(out.glob(".airband*"))
    return {
        path.name: soundfile.read(path, dtype="float32", always_2d=True)[0].T for path in out.glob("*.wav")
    }


def test_whoever_is_killed_the_same_command_ends_as_a_local_render(
    tmp_path: Path, clips: Path, start: Callable[..., subprocess.Popen[str]], wait_until: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    (clips / "wait").touch()
    (clips / "poison.wav").write_bytes((clips / "0.wav").read_bytes())
    with (clips / "jobs.csv").open("a") as manifest:
        manifest.write("\npoison.wav,0\n")

    # The driver is killed after four clips.
    first = start()
    wait_until(lambda: len(list(out.glob("*.wav"))) == 4 or first.poll() is not None, "four results")
    assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.wav")}
    (clips / "wait").unlink()
    (clips / "once").touch()

    # The same command goes on. Clip 5 kills the first worker that opens it, the poison clip every one.
    farm = start()
    events = ended(farm)
    assert not (clips / "once").exists()
    assert farm.returncode == 7, events
    assert (events["poison"]["what"], events["poison"]["code"]) == ("failed", "worker_crashed")
    assert "2 workers were lost on it" in events["poison"]["message"]
    assert (events[""]["failed"], events[""]["done"] + events[""]["skipped"]) == (1, CLIPS)
    assert events[""]["skipped"] >= 4
    assert {path: path.stat().st_mtime_ns for path in before} == before

    results, expected = made(out), local(clips, range(CLIPS))
    assert results.keys() == expected.keys()
    for name, samples in expected.items():
        np.testing.assert_array_equal(results[name], samples)
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {Path(line["out"]).name: line["what"] for line in lines if line["what"] == "failed"} == {
        "poison.wav": "failed"
    }
    assert {Path(line["out"]).name for line in lines} == {*expected, "poison.wav"}


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path, clips: Path) -> None:
    command = [sys.executable, "-m", "engine", "farm", "--manifest", str(clips / "jobs.csv")]
    command += ["-o", str(tmp_path / "out"), "--address", "127.0.0.1:1"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 5
    assert "airband: no Ray cluster at 127.0.0.1:1" in said.stderr


@pytest.mark.slow
def test_a_lost_node_costs_its_clips_a_retry(tmp_path: Path, clips: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from bridge.batch.manifest.rows import plan_rows, read
    from engine.farm.driver import Pool, farm
    from presets.schema import Preset

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        cluster.wait_for_nodes()
        pairs, _ = plan_rows(read(clips / "jobs.csv", Preset(), "music", {}), str(tmp_path / "out"))
        with pytest.raises(EngineError, match="no room for a worker of 64 GPUs"):
            next(farm(pairs, Pool(cluster.address, gpus_each=64)))
        events = farm(pairs, Pool(cluster.address))
        heard = [next(events)]
        cluster.remove_node(node, allow_graceful=False)
        heard += list(events)
        assert [event.what for event in heard] == ["done"] * CLIPS
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert set(made(tmp_path / "out")) == {f"{number}.wav" for number in range(CLIPS)}
