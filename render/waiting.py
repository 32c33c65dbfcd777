"""Waits for another program and calls a hook meanwhile, so that a cancel gets through."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import TypeVar

HOOK_S = 0.2
"""How often the hook is called."""

T = TypeVar("T")


def wait_for(work: Callable[[], T], thread: Executor, hook: Callable[[], None]) -> T:
    """What `work` returns or raises.

    Args:
        work: waits for another program, and ends when that does.
        thread: runs it.
        hook: called every HOOK_S until `work` is done; by raising it ends the waiting, but not the work.
    """
    done = thread.submit(work)
    while not wait((done,), HOOK_S).done:
        hook()
    return done.result()
