from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge.wire.curve_keys import new_keys


def test_keys_are_managed_from_the_command_line(airband: Callable[..., Any], tmp_path: Path) -> None:
    state = ("--state", tmp_path / "state")
    mine = airband("keys", "new", *state).out.strip()
    assert len(mine) == 40
    assert airband("keys", "new", *state).out.strip() == mine, "made once"
    other = new_keys().public
    assert airband("keys", "allow", other, "studio b", *state).code == 0
    listed = json.loads(airband("keys", "list", "--json", *state).out)
    assert listed["allowed"] == {other: "studio b"}
    assert len(listed["engine"]) == 40
    assert airband("keys", "revoke", "studio b", *state).code == 0
    assert airband("keys", "revoke", "studio b", *state).code == 2
    assert airband("keys", "allow", "nonsense", *state).code == 2


def test_a_key_that_begins_with_a_dash_is_no_option(airband: Callable[..., Any], tmp_path: Path) -> None:
    state = ("--state", tmp_path / "state")
    key = new_keys().public
    while not key.startswith("-"):  # one in 85 keys does
        key = new_keys().public
    assert airband("keys", "allow", key, "studio", *state).code == 0
    assert json.loads(airband("keys", "list", "--json", *state).out)["allowed"] == {key: "studio"}
    assert airband("keys", "revoke", key, *state).code == 0
