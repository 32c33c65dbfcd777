"""Standard streams that the parent process left closed."""

from __future__ import annotations

import os

STREAMS = 3
"""Input, output and errors have the descriptors 0, 1 and 2."""


def open_closed_streams() -> None:
    """Opens the null device for each closed standard stream; to be called before anything else is opened.

    Otherwise the next file or socket would get that descriptor, and output of a library, a plugin or ffmpeg
    would be written into it.
    """
    for descriptor in range(STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
            os.set_inheritable(opened, True)
