"""Positions in a source as people write them: mm:ss.mmm, and SMPTE time code where the frame rate is known.

Source: SMPTE ST 12-1 (time code, drop-frame counting).
"""

from __future__ import annotations

import re
from fractions import Fraction

from presets.errors import UsageError

CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):([0-5]?\d)(\.\d{1,9})?")
SMPTE = re.compile(r"(\d{1,3}):([0-5]?\d):([0-5]?\d)([:;])(\d{1,3})")
NTSC = Fraction(1000, 1001)
"""23.976, 29.97 and 59.94 are 24, 30 and 60 times this."""


def seconds(text: str, fps: str | None) -> Fraction:
    """The time from the source's first frame to a position in it.

    Args:
        text: `mm:ss`, `mm:ss.mmm`, `hh:mm:ss.mmm`, or `hh:mm:ss:ff` (`hh:mm:ss;ff` drops frame numbers).
        fps: pictures per second, as "25" or "29.97"; only time code needs it.

    Raises:
        UsageError: another notation, time code without `fps`, or a picture number that does not exist at it.
    """
    if clock := CLOCK.fullmatch(text):
        hours, minutes, whole, part = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + int(whole) + Fraction(f"0{part or '.0'}")
    code = SMPTE.fullmatch(text)
    if code is None:
        raise UsageError(f"{text!r} is no position; write 12.5, 1:02.5, 480000smp or 00:01:02:12")
    if fps is None:
        raise UsageError(
            f"{text}: time code counts pictures; give how many a second with fps (--fps 25)", "fps"
        )
    label = round(Fraction(fps))
    hours, minutes, whole, frame = (int(code[group]) for group in (1, 2, 3, 5))
    if frame >= label:
        raise UsageError(
            f"{text}: there is no picture {frame}; at {fps} a second they count from 0 to {label - 1}", "fps"
        )
    count = (3600 * hours + 60 * minutes + whole) * label + frame
    if code[4] == ";":
        if fps not in ("29.97", "59.94"):
            raise UsageError(
                f"{text}: frame numbers are dropped at 29.97 and 59.94 only; write it with :", "fps"
            )
        every = 60 * hours + minutes
        count -= (every - every // 10) * (label // 15)
    return Fraction(count, label) / (NTSC if "." in fps else 1)
