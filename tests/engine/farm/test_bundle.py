"""Jobs for render farms without Ray: valid by the farms' own tools, and run by them where possible."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine.farm.bundle import main
from presets.errors import InputError, OutputError, UsageError

OPENJD = shutil.which("openjd") or shutil.which("openjd", path=Path(sys.executable).resolve().parent)
PROGRAM = "import sys; sys.argv[0] = 'airband'; from bridge.cli.app import main; main()"


@pytest.fixture
def bundle(tmp_path: Path, dull: NDArray[np.float32]) -> Path:
    """The bundle of four clips in two shards."""
    (tmp_path / "my clips").mkdir()
    for number in range(4):
        piece = np.roll(dull, 37 * number, axis=1)[:, :12000]
        soundfile.write(tmp_path / "my clips" / f"{number}.wav", piece.T, 48000, "PCM_16")
    manifest = tmp_path / "my clips" / "jobs.csv"
    manifest.write_text("path\n*.wav\n")
    folder = tmp_path / "bundle"
    arguments = [folder, "--manifest", manifest, "-o", tmp_path / "my out", "--shards", "2"]
    assert main([str(argument) for argument in arguments]) == 0
    return folder


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `airband` is the command under test."""
    command = tmp_path / "bin" / "airband"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM}" "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}{os.pathsep}{os.environ['PATH']}"


def results(out: Path) -> list[str]:
    return sorted(found.name for found in out.glob("*.wav"))


@pytest.mark.skipif(OPENJD is None, reason="needs openjd-cli")
@pytest.mark.timeout(600)
def test_the_template_is_valid_and_its_runner_renders_every_shard(
    bundle: Path, path: str, tmp_path: Path
) -> None:
    assert OPENJD is not None
    template, manifest, out = (
        bundle / "template.yaml",
        tmp_path / "my clips" / "jobs.csv",
        tmp_path / "my out",
    )
    checked = subprocess.run([OPENJD, "check", template], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = subprocess.run(
        [OPENJD, "run", template, "--step", "Render", "-p", f"Manifest={manifest}", "-p", f"Out={out}"],
        capture_output=True, text=True, check=False, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert results(tmp_path / "my out") == [f"{number}.wav" for number in range(4)]
    assert len(list((tmp_path / "my out").glob("results-*.jsonl"))) == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.timeout(600)
def test_each_task_of_the_slurm_array_renders_its_shard(bundle: Path, path: str, tmp_path: Path) -> None:
    for task in ("1", "2"):
        environment = {**os.environ, "PATH": path, "SLURM_ARRAY_TASK_ID": task, "TMPDIR": str(tmp_path)}
        said = subprocess.run(
            ["bash", bundle / "slurm.sh"], env=environment, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stderr
        assert len(results(tmp_path / "my out")) == 2 * int(task)
    assert not list(tmp_path.glob("airband-local-*"))
    assert "#SBATCH --array=1-2" in (bundle / "slurm.sh").read_text()


@pytest.mark.timeout(600)
def test_each_frame_of_the_opencue_layer_renders_its_shard(
    bundle: Path, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("submission", bundle / "opencue.py")
    assert spec
    assert spec.loader
    submission: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(submission)
    assert (str(tmp_path / "my clips" / "jobs.csv"), 2) == (submission.MANIFEST, submission.SHARDS)
    pytest.importorskip("outline", reason="needs opencue-pyoutline")
    from outline import cuerun, io
    from outline.backend import cue

    job = submission.job()
    assert "<range>1-2</range>" in cue.serialize(cuerun.OutlineLauncher(job))
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for frame in (1, 2):
        io.system(job.get_layer("render").get_arg("command"), frame=frame)
        assert len(results(tmp_path / "my out")) == 2 * frame
    subprocess.run(["airband", "stop", "--now"], check=True)


def test_what_the_manifest_and_the_command_name_beside_the_clips_goes_along(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tmp_path / "my clips"
    (clips / "voices").mkdir()
    for preset in (clips / "row.toml", tmp_path / "all.toml"):
        preset.write_text("seed = 7\n")
    (clips / "jobs.csv").write_text("path,preset,like\n0.wav,row.toml,\n1.wav,,voices\n2.wav,,1.wav\n")
    monkeypatch.chdir(tmp_path)
    assert (
        main([str(bundle), "--manifest", "my clips/jobs.csv", "-o", "out", "-p", "all.toml", "--force"]) == 0
    )
    inputs = msgspec.yaml.decode((bundle / "asset_references.yaml").read_text())["assetReferences"]["inputs"]
    names = ("jobs.csv", "0.wav", "1.wav", "2.wav", "row.toml")
    assert sorted(inputs["filenames"]) == sorted(
        [*(str(clips / name) for name in names), str(tmp_path / "all.toml")]
    )
    assert inputs["directories"] == [str(clips / "voices")]
    assert f"-p {tmp_path / 'all.toml'} " in (bundle / "slurm.sh").read_text()
    assert msgspec.yaml.decode((bundle / "template.yaml").read_text())["name"] == "Airband all"


def test_what_cannot_be_bundled_is_one_error(bundle: Path, tmp_path: Path) -> None:
    manifest = str(tmp_path / "my clips" / "jobs.csv")
    (bundle / "template.yaml").unlink()
    with pytest.raises(OutputError, match=r"parameter_values\.yaml: exists; --force replaces it"):
        main([str(bundle), "--manifest", manifest, "-o", "out"])
    assert not (bundle / "template.yaml").exists()
    assert main([str(bundle), "--manifest", manifest, "-o", "out", "--force"]) == 0
    with pytest.raises(UsageError, match="shards = 0; allowed: 1 to 1024"):
        main([str(bundle), "--manifest", manifest, "-o", "out", "--shards", "0"])
    with pytest.raises(UsageError, match="a bundle needs the folder of results"):
        main([str(bundle), "--manifest", manifest, "-o", "out/{stem}{ext}"])
    with pytest.raises(InputError, match="jobs"):
        main([str(bundle), "--manifest", "jobs.toml", "-o", "out"])


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
@pytest.mark.parametrize("which", ["manifest", "out", "source"])
def test_a_name_that_no_bundle_can_hold_is_told(tmp_path: Path, which: str) -> None:
    odd = os.fsdecode(b"caf\xe9")
    manifest = tmp_path / (f"{odd}.jsonl" if which == "manifest" else "jobs.jsonl")
    source = f"{odd}.wav" if which == "source" else "kick.wav"
    (tmp_path / source).write_bytes(b"sound")
    manifest.write_text(json.dumps({"path": source}))
    out = str(tmp_path / (odd if which == "out" else "out"))
    with pytest.raises(UsageError, match=r"caf\\xe9.*: is not UTF-8, as a bundle must be"):
        main([str(tmp_path / "bundle"), "--manifest", str(manifest), "-o", out])
    assert not (tmp_path / "bundle").exists()
