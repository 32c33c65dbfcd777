"""`python -m engine`, whose wall clock is off by as many seconds as the file $SHIFTED_CLOCK says."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

FILE = Path(os.environ["SHIFTED_CLOCK"])


def shifted(now: Callable[[], float]) -> Callable[[], float]:
    """The clock `now`, set wrong; workers run this module too, and are as wrong as their engine."""
    return lambda: now() + float(FILE.read_text())


time.time = shifted(time.time)

if __name__ == "__main__":
    from engine.__main__ import main

    sys.exit(main(sys.argv[1:]))
