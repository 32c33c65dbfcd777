"""The standard streams of a process whose starter closed some of them."""

from __future__ import annotations

import os

STREAMS = 3
"""Input, output and errors, by their descriptors 0, 1 and 2."""


def open_closed_streams() -> None:
    """Opens the null device for each standard stream that is closed; before anything else is opened.

    The next file or socket would get that number, and whatever a library, a plugin or ffmpeg says would be
    written into it.
    """
    for descriptor in range(STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, True)
