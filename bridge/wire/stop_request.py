"""Stops an engine that cannot be signalled: by a file in its state folder, which only its owner can write.

So an engine in another container or on another machine, which shares the folder, stops too. No message over
the wire ends an engine.
"""

from __future__ import annotations

from bridge.wire.home import Home
from bridge.wire.private_files import write_private_text

NOW = "now"
"""The content of a request to stop without waiting for what is being rendered."""


def ask_to_stop(home: Home, *, now: bool) -> None:
    """Asks the engine that holds the state folder to stop; it looks twice a second.

    Args:
        home: its folders.
        now: without waiting for what is being rendered.

    Raises:
        EngineError: the file cannot be written.
    """
    write_private_text(home.stop_request, NOW if now else "")


def asked_to_stop(home: Home) -> int:
    """How urgently `ask_to_stop` was called: 0 not at all, 1 for a stop, 2 for one at once."""
    try:
        return 2 if home.stop_request.read_bytes() == NOW.encode() else 1
    except OSError:
        return 0
