"""Knobs in words: what `--help`, the README and error messages say of a knob's type.

A knob is an `Annotated` type whose `Meta` holds a description and, in `extra`, its `unit`; `words` says what
a user may write, and `unset` what None means, where the type alone does not say it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import msgspec
from msgspec import inspect


def meaning(kind: inspect.Metadata) -> str:
    """What the knob does, in a sentence."""
    return str((kind.extra_json_schema or {}).get("description", ""))


def allowed(kind: inspect.Metadata) -> str:
    """The values the knob accepts, with its unit."""
    extra = kind.extra or {}
    if "words" in extra:
        return str(extra["words"])
    values: list[str] = []
    for member in getattr(kind.type, "types", (kind.type,)):
        if isinstance(member, inspect.LiteralType):
            values += [_value(value) for value in member.values]
        elif isinstance(member, inspect.IntType | inspect.FloatType):
            values.append(f"{_value(member.ge)} to {_value(member.le)}")
        elif isinstance(member, inspect.BoolType):
            values.append("true or false")
    unit = extra.get("unit")
    return ", ".join(values) + (f" {unit}" if unit else "")


def default(kind: inspect.Metadata, value: Any) -> str:
    """The knob's default `value` in words, or what it means where it is None."""
    return str((kind.extra or {}).get("unset", "none")) if value is None else _value(value)


def parse(text: str) -> bool | float | str:
    """A value as typed on a command line: a number (also +3), true or false; anything else is text.

    Whether a knob accepts it is for `presets.schema.make` to check.
    """
    try:
        return msgspec.json.decode(text.removeprefix("+"), type=bool | int | float)
    except (msgspec.DecodeError, UnicodeEncodeError):  # a file's name may hold bytes that are not UTF-8
        return text


def fraction(value: Any) -> Any:
    """The number that text like "1/12" stands for; any other value as it is."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}/[1-9][0-9]{0,8}", value):
        return value
    return float(Fraction(value))


def is_number(kind: inspect.Metadata) -> bool:
    """Whether the knob accepts a number that need not be whole, and no text of the user's own."""
    members = getattr(kind.type, "types", (kind.type,))
    plain = [member.type if isinstance(member, inspect.Metadata) else member for member in members]
    texts = [member for member in plain if isinstance(member, inspect.StrType)]
    return not texts and any(isinstance(member, inspect.FloatType) for member in plain)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value == 2**63 - 1:
        return "2^63 - 1"
    if isinstance(value, float):
        return str(Fraction(value).limit_denominator(48)) if 0 < value < 1 else f"{value:g}"
    return str(value)
