"""How modules are loaded where the start is to be quick."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Hides what is loaded in the block from the garbage collector, which finds nothing there to free.

    To look through it while it is loaded, at times later, and when the process ends takes a fifth of a warm
    command.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
