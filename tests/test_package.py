"""The promises of an installed Airband: names that import, quickly and with types."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import import_module, resources
from pathlib import Path

import pytest

PACKAGES = ("engine", "bridge", "render", "presets")
HEAVY = ("torch", "pedalboard", "librosa", "scipy.signal", "matplotlib")
ROOT = Path(__file__).parents[1]


def modules_after(code: str) -> set[str]:
    """The modules loaded in a fresh interpreter after `code`."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(said.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import bridge",
        "from bridge import Client, Job, Result, Progress",
        "import presets; presets.load('music')",
        "import bridge.cli",
        "import engine.serving.server, engine.serving.session, engine.serving.queue, engine.state.store",
    ],
)
def test_a_thin_client_pays_for_nothing_heavy(code: str) -> None:
    assert not modules_after(code) & set(HEAVY)


@pytest.mark.parametrize(
    "code", ["from bridge.cli.app import command_line; command_line()", "import bridge.client.client"]
)
def test_a_command_loads_no_numpy(code: str) -> None:
    assert not modules_after(code) & {*HEAVY, "numpy", "asyncio", "soundfile"}


def test_a_render_reads_its_command_line_without_pydantic() -> None:
    code = "import sys, contextlib; sys.argv = ['airband', 'render', 'no.wav', '-o', 'out', '--seed', '3']"
    code += "; from bridge.cli.app import main\nwith contextlib.suppress(SystemExit): main()"
    assert not modules_after(code) & {"pydantic", "numpy"}


def test_the_start_of_an_engine_loads_no_numpy() -> None:
    assert not modules_after("import engine.serve") & {*HEAVY, "numpy", "soundfile"}


def test_a_worker_and_its_draft_load_nothing_heavy() -> None:
    code = "import engine.worker.run_job; from engine.worker.model_cache import ModelCache"
    code += "; models = ModelCache('cpu'); models.listed; models.load('draft'); models.load('null')"
    assert not modules_after(code) & {*HEAVY, "scipy", "huggingface_hub.file_download"}


@pytest.mark.parametrize("package", ["bridge", "presets"])
def test_every_exported_name_is_there(package: str) -> None:
    module = import_module(package)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = module.nonsense


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_promised(package: str) -> None:
    assert resources.files(package).joinpath("py.typed").is_file()


@pytest.mark.parametrize(
    "name",
    ["evaluation/demo_recording.flac", "evaluation/demo_recording.txt"]
    + [f"../presets/{name}.toml" for name in ("music", "speech")],
)
def test_data_travels_with_the_code(name: str) -> None:
    assert Path(str(resources.files("bridge").joinpath(name))).is_file()


def test_the_recording_that_ships_is_small_free_and_full_band() -> None:
    import numpy as np

    from bridge.evaluation.demo import recording

    folder = Path(str(resources.files("bridge.evaluation")))
    assert sum(path.stat().st_size for path in folder.glob("demo_recording.*")) <= 300_000
    assert "CC0" in (folder / "demo_recording.txt").read_text()
    samples = recording()
    assert samples.shape[1] > 5 * 48000
    spectrum = np.abs(np.fft.rfft(samples[0])) ** 2
    above_16_khz = spectrum[int(16000 * samples.shape[1] / 48000) :].sum() / spectrum.sum()
    assert above_16_khz > 1e-6


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not run in the sources")
def test_the_entry_point_and_the_layers_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"airband": "bridge.cli.app:main"}
    assert project["tool"]["importlinter"]["contracts"][0]["layers"] == list(PACKAGES)
    assert callable(import_module("bridge.cli.app").main)
