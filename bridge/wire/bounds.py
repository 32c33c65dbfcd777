"""Size limits on texts and reports about a job, so that each fits a header and can always be encoded."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from presets.errors import RenderError
from presets.limits import HEADER_BYTES
from presets.report import RenderReport

TEXT_CHARS = 4096
"""The longest text of a message, in characters (`messages.Text`)."""
FIELD_CHARS = 256
REPORT_BYTES = HEADER_BYTES // 2
"""The largest packed report: half of the header, so that the stems and their paths fit as well."""
REPORT_STEPS = ((1000, 1000), (1000, 200), (200, 50), (80, 8))
"""(characters kept of a text, items kept of a list): the next pair is tried while the report is too large."""


def bounded_text(text: str, chars: int = TEXT_CHARS) -> str:
    """`text` cut in the middle to at most `chars` characters; what UTF-8 cannot encode is replaced."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= chars:
        return text
    half = (chars - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def bounded_field(field: str | None) -> str | None:
    """The name of the field that an error is about, cut to FIELD_CHARS."""
    return None if field is None else bounded_text(field, FIELD_CHARS)


def bounded_report(report: RenderReport) -> RenderReport:
    """A report of at most REPORT_BYTES: long texts and lists are cut.

    Raises:
        RenderError: a number in it is NaN or infinite, which neither a message nor a sidecar can hold.
    """
    values = msgspec.to_builtins(report)
    for chars, items in REPORT_STEPS:
        cut = _bounded(values, chars, items)
        if len(msgspec.msgpack.encode(cut)) <= REPORT_BYTES:
            break
    return msgspec.convert(cut, RenderReport)


def _bounded(value: Any, chars: int, items: int, name: str = "report") -> Any:
    match value:
        case float() if not math.isfinite(value):
            raise RenderError(f"the {name} of this render came out as {value}; report this with its preset")
        case str():
            return bounded_text(value, chars)
        case dict():
            return {
                bounded_text(str(key), chars): _bounded(item, chars, items, f"{name}.{key}")
                for key, item in list(value.items())[:items]
            }
        case list() | tuple():
            return [_bounded(item, chars, items, name) for item in value[:items]]
    return value
