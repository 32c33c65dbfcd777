"""The choices that native plugins get from an engine, and the numbers by which projects store them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import presets
from bridge.daw.offer import CHOICES, MOST, note_choices
from bridge.wire.home import find_home, prepare


@pytest.fixture
def user_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own presets."""
    monkeypatch.setenv("AIRBAND_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config" / "presets").mkdir(parents=True)
    return tmp_path / "config" / "presets"


def test_the_command_tells_every_preset_as_a_submit_carries_it(
    airband: Callable[..., Any], engine: Any, user_presets: Path
) -> None:
    (user_presets / "tape.toml").write_text("cutoff = 12000\nhigh_gain_db = -2.0\n")
    (user_presets / "broken.toml").write_text("cutoff = 'far'\n")
    said = airband("daw", "engine", "--state", engine.home.state)
    assert said.code == 0, said
    told = json.loads(said.out)
    assert {"draft", "null"} <= set(told["models"])
    for name, knobs in told["presets"].items():
        if name != "broken":
            assert msgspec.convert(knobs, presets.Preset) == presets.load(name)
    assert told["presets"]["tape"]["high_gain_db"] == -2.0
    assert "cutoff" in told["presets"]["broken"]["error"]


def test_a_number_goes_on_meaning_the_same(tmp_path: Path, user_presets: Path) -> None:
    home = find_home(tmp_path / "state")
    prepare(home)
    (user_presets / "zebra.toml").write_text("")
    before = note_choices(home, ["draft", "audiosr-basic"])
    assert before.presets[0] == "music"
    assert before.models == ["auto", "draft", "audiosr-basic"]
    (user_presets / "zebra.toml").unlink()
    (user_presets / "aardvark.toml").write_text("")
    after = note_choices(home, ["another", "draft"])
    assert after.presets == [*before.presets, "aardvark"]
    assert after.models == [*before.models, "another"]
    assert json.loads((home.state / CHOICES).read_bytes())["presets"] == after.presets


def test_there_are_never_more_than_the_parameters_have_room_for(tmp_path: Path, user_presets: Path) -> None:
    home = find_home(tmp_path / "state")
    prepare(home)
    assert len(note_choices(home, [f"model-{number}" for number in range(100)]).models) == MOST
