"""ffmpeg and ffprobe as programs: whether they run here, and how they ended."""

from __future__ import annotations

import shutil
import subprocess
from typing import Literal, TypeAlias

Program: TypeAlias = Literal["ffmpeg", "ffprobe"]

_seen_to_run: set[str] = set()


def lack_of(program: Program) -> str:
    """Why a program cannot be run, in words; "" where it can.

    A program on PATH may be for another machine, or lack the libraries that it was built with.
    """
    path = shutil.which(program)
    if path is None:
        return f"{program} is not on PATH"
    if path not in _seen_to_run:
        try:
            run = subprocess.run([path, "-version"], stdin=subprocess.DEVNULL, capture_output=True)
        except OSError as error:
            return f"{path} cannot be run: {error.strerror}"
        if run.returncode:
            said = run.stderr.decode(errors="replace").strip().splitlines()
            return f"{path} does not run: {said[-1] if said else ended(run.returncode)}"
        _seen_to_run.add(path)
    return ""


def ended(code: int) -> str:
    """How a program that printed no reason ended, by its return code."""
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with code {code}"
