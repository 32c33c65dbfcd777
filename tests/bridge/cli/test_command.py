"""What all commands share: their help, and their errors for invalid values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Airband = Callable[..., Any]


@pytest.mark.parametrize("group", [(), ("keys",), ("daw",), ("plugins",), ("presets",)])
def test_the_list_of_commands_breaks_no_sentence_off(airband: Airband, group: tuple[str, ...]) -> None:
    said = airband(*group, "--help").out
    commands = said.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    assert len(commands) >= 1
    assert [line for line in commands if "..." in line] == []


def test_the_numbers_below_the_list_of_commands_are_said_to_be_exit_codes(airband: Airband) -> None:
    assert "Exit codes: 0 done" in airband("--help").out


@pytest.mark.parametrize(
    "command",
    [
        *("render", "edit", "watch", "console", "inspect", "eval", "jobs", "cancel", "prioritise", "forget"),
        *("presets show", "daw install", "daw reapack", "daw audacity-takes", "keys allow", "keys revoke"),
    ],
)
def test_help_names_no_types_of_python(airband: Airband, command: str) -> None:
    said = airband(*command.split(), "--help").out
    assert re.findall(r"<[a-z].*|\.{4,}", said) == []


@pytest.mark.parametrize(
    ("command", "option", "message"),
    [
        ("render kick.wav -o out --priority 40", "--priority", "'40'; allowed: -9 to 9"),
        ("render kick.wav -o out --takes many", "--takes", "'many'; allowed: a whole number"),
        ("render kick.wav -o out --max-failures 0", "--max-failures", "'0'; allowed: 1 or more"),
        ("watch . -o out --settle soon", "--settle", "'soon'; allowed: 0.05 to 3600"),
        ("console --port 99999", "--port", "'99999'; allowed: 0 to 65535"),
        ("prioritise high all", "N", "'high'; allowed: -9 to 9"),
        ("daw install repaer", "HOST", "'repaer'; allowed: reaper, ardour, audacity, plugin"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_those_that_can(
    airband: Airband, command: str, option: str, message: str
) -> None:
    said = airband(*command.split())
    assert said.code == 2
    assert f"Invalid value for '{option}': {message}" in said.err


def test_a_folder_is_asked_for_where_a_file_is_named(airband: Airband, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("hello")
    (tmp_path / "kick.wav").write_bytes(b"RIFF")
    state = ("--state", tmp_path / "state")
    for said in (
        airband("render", tmp_path / "kick.wav", "-o", notes, *state),
        airband("watch", tmp_path, "-o", notes, *state),
        airband("inspect", tmp_path / "kick.wav", "--plot", notes),
    ):
        assert (said.code, said.err.count("\n")) == (2, 1), said
        assert f"{notes}: is a file" in said.err
    assert notes.read_text() == "hello"
    assert not (tmp_path / "state").exists()
