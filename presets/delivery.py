"""What a finished stem must measure: the table `delivery` of a preset."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, inspect

from presets import words
from presets.errors import UsageError

Loudness = Annotated[
    Literal["as-is", "match-input"] | Annotated[float, Meta(ge=-70, le=0)],
    Meta(
        description="Integrated loudness of the result: `match-input` is the source's.",
        extra={"unit": "LUFS"},
    ),
]
TruePeakDbtp = Annotated[
    Annotated[float, Meta(ge=-20, le=0)] | None,
    Meta(description="The highest true peak that the result may have.", extra={"unit": "dBTP"}),
]
Clipping = Annotated[bool, Meta(description="Let samples beyond full scale clip in 16 or 24 bits.")]


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the finished stem must measure (ITU-R BS.1770-4), and what to do about overs."""

    loudness: Loudness = "as-is"
    true_peak_dbtp: TruePeakDbtp = None
    clip: Clipping = False


_KINDS: dict[str, Any] = {field.name: field.type for field in inspect.type_info(Delivery).fields}  # type: ignore[attr-defined]


def check(given: dict[str, Any]) -> None:
    """Checks that a `Delivery` can be made of `given`.

    Raises:
        UsageError: an unknown key, or a value that its key cannot take.
    """
    for key, value in given.items():
        if key not in _KINDS:
            raise UsageError(f"delivery: unknown key {key!r}; the keys are {', '.join(_KINDS)}", "delivery")
        try:
            msgspec.convert({key: value}, Delivery)
        except msgspec.ValidationError:
            choice = words.allowed(_KINDS[key])
            raise UsageError(f"delivery.{key} = {value!r}; allowed: {choice}", "delivery") from None
