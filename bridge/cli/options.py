"""Options that commands share: --state, --json, and one flag per knob, generated from presets.schema."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import presets
from bridge.client.request import clipping, label
from presets import schema, words
from presets.schema import FLAGS

State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="The engine's state folder (by default your own)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

PANEL = "Knobs (keys of a preset too)"


def takes_preset(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--preset` and a flag per knob to a command, in place of its parameters `preset` and
    `preset_name`.

    Its parameters `knobs` and `clip`, if it has them, receive the typed values.

    Raises, when the command runs:
        UsageError: a value outside its knob's bounds.
        PresetError: an unknown or damaged preset.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [
        p for p in signature.parameters.values() if p.name not in ("preset", "preset_name", "knobs", "clip")
    ]

    @functools.wraps(command)
    def with_flags(**arguments: Any) -> None:
        name = arguments.pop("preset_")
        typed = {knob: arguments.pop(knob) for knob in FLAGS}
        knobs = {knob: _value(knob, text) for knob, text in typed.items() if text is not None}
        preset = schema.make(presets.load(name), **knobs)
        clip = arguments.pop("clip")
        if clip:
            preset = clipping(preset)
        typed_ones = {"knobs": knobs, "clip": clip}
        arguments |= {name: value for name, value in typed_ones.items() if name in signature.parameters}
        command(**arguments, preset=preset, preset_name=label(name))

    with_flags.__signature__ = signature.replace(parameters=[*own, *_flags()])  # type: ignore[attr-defined]
    with_flags.__annotations__ = {}
    return with_flags


def _flags() -> list[inspect.Parameter]:
    presets_flag = typer.Option(
        "--preset",
        "-p",
        metavar="NAME",
        help="The preset to start from: a name (`airband presets`) or a .toml file.",
    )
    clip = typer.Option(
        "--clip", rich_help_panel=PANEL, help="Let samples beyond full scale clip in 16 or 24 bits."
    )
    return [
        _parameter("preset_", "music", Annotated[str, presets_flag]),
        *(_parameter(knob, None, Annotated[_type(knob), _option(knob)]) for knob in FLAGS),
        _parameter("clip", False, Annotated[bool, clip]),
    ]


def _option(knob: str) -> Any:
    flag = "--" + knob.replace("_", "-")
    text = f"{schema.meaning(knob)} ({schema.allowed(knob)}; default {schema.default(knob)})"
    if _type(knob) == bool | None:
        flag += flag.replace("--", "/--no-", 1)
        text = schema.meaning(knob)  # all are off by default
    return typer.Option(flag, metavar="VALUE", rich_help_panel=PANEL, help=text, show_default=False)


def _type(knob: str) -> Any:
    return bool | None if schema.default(knob) in ("true", "false") else str | None


def _parameter(name: str, default: object, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _value(knob: str, typed: str | bool) -> Any:
    if isinstance(typed, bool):
        return typed
    if knob == "bit_depth":
        typed = typed.removesuffix("f")  # 32-bit float is often written as 32f
    return words.parse(typed)
