"""How many threads the operations of torch take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0
_before = 0


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Has torch's operations take one thread each, for work that is spread over threads by itself.

    On short operations OpenMP's other threads mostly wait, spinning: they cost a render of 1 s 60 % more
    processor time. Blocks may overlap, in several threads; threads that first use torch in one stay with it.
    """
    global _inside, _before
    with _lock:
        now = torch.get_num_threads()  # asked for in every thread: the first time, that sets the thread's own
        if not _inside:
            _before = now
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            torch.set_num_threads(_before)  # each thread has a number of its own, beside everybody's
