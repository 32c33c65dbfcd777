"""A project keeps its preset and model by name, whatever machine it is opened on.

pytest -m plugin tests/bridge/daw/plugin/test_projects.py
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bridge.daw.plugin.juce_state import component, with_component

RATE = 48000

Host = Callable[..., tuple[NDArray[np.float32], dict[str, Any]]]

SOUND = np.random.default_rng(3).uniform(-0.5, 0.5, (2, RATE)).astype(np.float32)
SENDS = ("Armed=1", "--", "Armed=0", "until")
CHOICES = re.compile(rb"__dpf_state_begin__\0.*__dpf_state_end__\0", re.DOTALL)
LV2_STATE = """@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix pset: <http://lv2plug.in/ns/ext/presets#> .
@prefix state: <http://lv2plug.in/ns/ext/state#> .
<> a pset:Preset ; lv2:appliesTo <urn:airband:send> ;
    lv2:port [ lv2:symbol "preset" ; pset:value 1.0 ] ;
    state:state [ <urn:distrho:choices> %s ] .
"""


@pytest.fixture
def machine(launching: Path) -> Callable[..., None]:
    """`machine("music", ...)`: a machine whose engine has these presets, in this numbering."""
    launching.mkdir(mode=0o700)

    def become(*presets: str, models: tuple[str, ...] = ("auto", "null", "draft")) -> None:
        choices = {"presets": presets, "models": models}
        (launching / "plugin-choices.json").write_text(json.dumps(choices))

    return become


def delivered(results: Path) -> dict[str, Any]:
    (path,) = results.glob("*.take.json")
    told: dict[str, Any] = json.loads(path.read_bytes())
    return told


@pytest.mark.in_hosts("clap", "minihost", "dawdreamer", "pedalboard")
def test_a_project_means_the_same_preset_and_model_on_another_machine(
    host: Host, machine: Callable[..., None], results: Path, tmp_path: Path
) -> None:
    """Both have other numbers on that machine."""
    project = f"project={tmp_path / 'project'}"
    machine("music", "speech", "archive")
    saved = host("AirbandSend", SOUND, project, "Preset=1", "Model=1")[1]
    assert (saved["Preset"], saved["Model"]) == ("speech", "null")
    machine("music", "archive", "speech", models=("auto", "draft", "null"))
    opened = host("AirbandSend", SOUND, project, *SENDS, "Delivered=1")[1]
    assert (opened["Preset"], opened["Model"]) == ("speech", "null")
    assert delivered(results)["knobs"]["preset"] == "speech"
    assert delivered(results)["knobs"]["model"] == "null"


@pytest.mark.in_hosts("clap", "minihost")
def test_what_a_project_chooses_by_name_and_is_not_there_renders_nothing_and_says_so(
    host: Host, machine: Callable[..., None], results: Path, tmp_path: Path
) -> None:
    project = f"project={tmp_path / 'project'}"
    machine("music", "vox")
    host("AirbandSend", SOUND, project, "Preset=1")
    machine("music", "archive")
    told = host("AirbandSend", SOUND, project, *SENDS, "State=Failed")[1]
    assert (told["Preset"], told["Delivered"], told["Takes failed"]) == ("vox (not here)", 0, 1)
    (why,) = results.glob("*(raw).txt")
    assert "vox.toml" in why.read_text()
    assert why.with_suffix(".wav").exists()  # the captured sound


@pytest.mark.in_hosts("clap", "minihost")
def test_a_bounce_by_a_preset_that_is_not_there_is_dry(
    host: Host, machine: Callable[..., None], tmp_path: Path
) -> None:
    project = f"project={tmp_path / 'project'}"
    machine("music", "vox")
    host("AirbandRender", SOUND, project, "Preset=1", "Cutoff=8000")
    machine("music", "archive")
    heard, told = host("AirbandRender", SOUND, "offline", project)
    np.testing.assert_array_equal(heard, SOUND)
    assert (told["Preset"], told["State"], told["Windows restored"]) == ("vox (not here)", "Failed: dry", 0)


@pytest.mark.in_hosts("clap", "minihost")
def test_a_project_of_before_has_numbers_alone_and_means_this_machines(
    host: Host, machine: Callable[..., None], results: Path, tmp_path: Path
) -> None:
    path = tmp_path / "project"
    machine("music", "speech", "archive")
    host("AirbandSend", SOUND, f"project={path}", "Preset=2")
    state = path.read_bytes()
    whole = with_component(state, CHOICES.sub(b"", component(state))) if b"<IComponent>" in state else None
    path.write_bytes(whole or CHOICES.sub(b"", state))
    assert path.read_bytes() != state
    machine("music", "speech", "stems")
    told = host("AirbandSend", SOUND, f"project={path}", *SENDS, "Delivered=1")[1]
    assert told["Preset"] == "stems"
    assert delivered(results)["knobs"]["preset"] == "stems"


@pytest.mark.in_hosts("jalv")
@pytest.mark.parametrize("names", [["music", "speech"], ["music", "vox"]], ids=["here", "not here"])
def test_an_lv2_project_names_its_preset(
    host: Host, machine: Callable[..., None], results: Path, tmp_path: Path, names: list[str]
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    text = json.dumps(json.dumps({"presets": names, "models": ["auto"]}))
    (folder / "state.ttl").write_text(LV2_STATE % text)
    machine("music", "archive", "speech")
    ends = {"speech": "Delivered=1", "vox": "State=Failed"}
    host("AirbandSend", SOUND, f"project={folder}", *SENDS, ends[names[1]])
    assert delivered(results)["knobs"]["preset"] == names[1]
    assert bool(list(results.glob("*(raw).wav"))) == (names[1] == "vox")
