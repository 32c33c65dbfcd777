"""The `airband` command: one file a command."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point; to load the command takes some tenths of a second, in which Ctrl-C is heard too."""
    try:
        from bridge.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
