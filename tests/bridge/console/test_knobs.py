"""The form of the knobs, the files of presets, and the equivalent command lines."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import presets
from bridge.cli.app import command_line
from bridge.console.command_line import batch_command, render_command, watch_command
from bridge.console.knobs import form, toml
from presets import schema, words
from presets.schema import FLAGS, Preset, from_toml, make


def test_the_form_has_every_knob_with_its_words_and_bounds() -> None:
    said = form()
    knobs = {knob["name"]: knob for knob in said["knobs"]}
    assert tuple(knobs) == FLAGS
    for name, knob in knobs.items():
        assert knob["meaning"] == schema.meaning(name)
        assert knob["allowed"] == schema.allowed(name)
        assert knob["switch"] or knob["choices"] or knob["number"] or knob["text"], name
    assert (knobs["cutoff"]["choices"], knobs["cutoff"]["least"], knobs["cutoff"]["most"]) == (
        ["auto", "rolloff"],
        1000,
        23000,
    )
    assert {preset["name"] for preset in said["presets"]} >= {"music", "speech", "archive"}


@pytest.mark.parametrize("name", presets.names())
def test_a_presets_file_says_what_it_was_made_from(name: str) -> None:
    preset = presets.load(name)
    assert from_toml(toml(preset), "test") == preset


def test_effects_and_hostile_text_survive_a_presets_file() -> None:
    chain = {"before": [{"name": "HighpassFilter", "params": {"cutoff_frequency_hz": 30.0}}]}
    preset = make(Preset(), effects=chain, description='a "quote"\nand \\ more = [x]', seed=7, lfe=True)
    assert from_toml(toml(preset), "test") == preset


def parsed(command: str) -> dict[str, Any]:
    """The options that the command line parses from a command."""
    name, subcommand, *arguments = shlex.split(command)
    assert name == "airband"
    context = typer.main.get_command(command_line()).commands[subcommand].make_context(subcommand, arguments)  # type: ignore[attr-defined]
    return context.params


KNOBS = {
    "cutoff": 9000.0,
    "high_gain_db": -3.0,
    "joint": True,
    "lfe": False,
    "gate_db": "off",
    "like": "my voice.wav",
}


def test_commands_say_what_was_done(tmp_path: Path) -> None:
    command = render_command("/a b/-kick.wav", "out's.wav", "music", KNOBS, priority=-2, force=True)
    said = parsed(command)
    assert (said["inputs"], said["out"], said["preset_"]) == (["/a b/-kick.wav"], "out's.wav", "music")
    assert (said["priority"], said["force"]) == (-2, True)
    typed = {name: said[name] if isinstance(said[name], bool) else words.parse(said[name]) for name in KNOBS}
    assert typed == KNOBS
    said = parsed(watch_command("in", "out", "speech", {}, recursive=True))
    assert (said["folder"], said["out"], said["recursive"]) == ("in", "out", True)
    said = parsed(batch_command("jobs.csv", "out", "speech", {"seed": 3}, recursive=False))
    assert (str(said["manifest"]), said["inputs"] or [], said["seed"]) == ("jobs.csv", [], "3")
    assert parsed(batch_command("album", "out", "speech", {}, recursive=False))["inputs"] == ["album"]
