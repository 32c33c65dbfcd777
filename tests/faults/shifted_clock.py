"""`python -m engine` with a wall clock that is off by the number of seconds in the file $SHIFTED_CLOCK."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

FILE = Path(os.environ["SHIFTED_CLOCK"])


def shifted(now: Callable[[], float]) -> Callable[[], float]:
    """The clock `now`, shifted; workers run this module too, and have the same shift as their engine."""
    return lambda: now() + float(FILE.read_text())


time.time = shifted(time.time)

if __name__ == "__main__":
    from engine.__main__ import main

    sys.exit(main(sys.argv[1:]))
