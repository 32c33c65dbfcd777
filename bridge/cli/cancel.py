"""Ctrl-C ends a command with a sentence about what stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from presets.errors import Cancelled


@contextmanager
def cancelling(what_stays: str) -> Iterator[None]:
    """Turns Ctrl-C within the block into Cancelled, whose message says `what_stays`."""
    try:
        yield
    except KeyboardInterrupt:
        raise Cancelled(f"cancelled; {what_stays}") from None
