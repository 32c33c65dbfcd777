"""Loads modules fast, for processes that must start quickly."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Hides modules loaded in the block from the garbage collector, which would find nothing there to free.

    Scanning them during loading, from time to time later, and at exit takes a fifth of a warm command's run
    time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
