"""The form for the knobs, from the same schema as the flags; and the user's own presets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

import presets
from presets import schema
from presets.errors import OutputError, UsageError
from presets.schema import FLAGS, Preset


def form() -> dict[str, Any]:
    """The content of the page's form: every knob, and every preset's values."""
    described = schema.json_schema()["$defs"]["Preset"]["properties"]
    return {"knobs": [_knob(name, described[name]) for name in FLAGS], "presets": listed()}


def listed() -> list[dict[str, Any]]:
    """Every preset that can be loaded, with its knobs; `own` if it is the user's."""
    found = []
    for name in presets.names():
        try:
            values = msgspec.to_builtins(presets.load(name))
        except UsageError:
            continue  # a damaged file of the user's, which `airband doctor` reports
        own = presets.path_of(name).parent == presets.user_folder()
        found.append({"name": name, "own": own, "description": values["description"], "values": values})
    return found


def save(name: str, preset: Preset, force: bool) -> Path:
    """Saves a preset among the user's own.

    Args:
        name: lower-case letters, digits, dashes.
        preset: the preset; only values that differ from the defaults are written.
        force: whether to replace one of the user's presets.

    Raises:
        UsageError: the name is not allowed.
        OutputError: a preset of that name exists, or it cannot be written.
    """
    if not presets.NAME.fullmatch(name):
        raise UsageError(f"{name!r}: a name consists of lower-case letters, digits and dashes", "name")
    path = presets.user_folder() / f"{name}.toml"
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(toml(preset), encoding="utf-8")
        if force:
            os.replace(part, path)
        else:
            os.link(part, path)
    except FileExistsError:
        raise OutputError(f"{path} exists; choose another name, or replace it", "name") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", "name") from None
    finally:
        part.unlink(missing_ok=True)
    return path


def toml(preset: Preset) -> str:
    """A preset's file: only values that differ from the defaults, so that changed defaults still apply."""
    default = msgspec.to_builtins(Preset())
    values = msgspec.to_builtins(preset)
    return "".join(
        f"{name} = {_toml(value)}\n"
        for name, value in values.items()
        if value != default[name] and value is not None
    )


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(
            f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items() if each is not None
        )
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def _knob(name: str, described: dict[str, Any]) -> dict[str, Any]:
    """One knob as a page needs it: its texts, and the kinds of value it takes."""
    members = described.get("anyOf", [described])
    number: dict[str, Any] = next((each for each in members if each.get("type") in ("number", "integer")), {})
    return {
        "name": name,
        "meaning": schema.meaning(name),
        "allowed": schema.allowed(name),
        "default": schema.default(name),
        "choices": [choice for each in members for choice in each.get("enum", [])],
        "number": bool(number),
        "integer": number.get("type") == "integer",
        "least": number.get("minimum"),
        "most": number.get("maximum"),
        "switch": described.get("type") == "boolean",
        "text": any(each.get("type") == "string" for each in members),
        "empty": any(each.get("type") == "null" for each in members),
    }
