"""CPU seconds of stages. A stage is a set of functions; timed functions that they call count on their own."""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any


class StageClock:
    """Adds up the CPU time of functions, by the clocks of the threads that call them.

    Attributes:
        cpu_s: by stage.
    """

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = defaultdict(float)
        self._within = threading.local()
        self._lock = threading.Lock()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, wrapped so that its CPU time counts for `stage`."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            before_s, self._within.s = getattr(self._within, "s", 0.0), 0.0
            began_s = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                took_s = time.thread_time() - began_s
                with self._lock:
                    self.cpu_s[stage] += took_s - self._within.s
                self._within.s = before_s + took_s

        return timed


@contextmanager
def timed_stages(stages: Mapping[str, Sequence[str]]) -> Iterator[StageClock]:
    """Clocks the functions of some stages until the end of the block.

    Args:
        stages: the functions of each stage, as `module:name` or `module:Class.name`; the module is the one
            in which a call looks the name up.
    """
    clock = StageClock()
    plain = []
    try:
        for stage, names in stages.items():
            for place in names:
                module, _, path = place.partition(":")
                owner: Any = import_module(module)
                *outer, name = path.split(".")
                for each in outer:
                    owner = getattr(owner, each)
                plain.append((owner, name, getattr(owner, name)))
                setattr(owner, name, clock.timed(stage, getattr(owner, name)))
        yield clock
    finally:
        for owner, name, function in plain:
            setattr(owner, name, function)
