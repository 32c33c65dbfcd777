"""The `airband` command: one file for each subcommand, or for a few that belong together."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder


def _come_first() -> None:
    """Puts these packages before others of the same names, which a user's PYTHONPATH may hold."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    house = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = [PathFinder.find_spec(name, folders) for name in ("engine", "presets", "render")]
    if any(spec is not None and not str(spec.origin).startswith(house + os.sep) for spec in found):
        sys.path.insert(0, house)
        os.environ["PYTHONPATH"] = os.pathsep.join([house, *folders])  # for child processes


if "PYTHONPATH" in os.environ:
    _come_first()
