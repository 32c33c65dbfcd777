"""The one setting `airband audacity` needs: Audacity's module mod-script-pipe, on in `audacity.cfg`.

Audacity notes each module it has met under `[Module]`: 0 off, 1 on, 2 ask, 4 new. It forgets what is said of
a module that it has not met yet, so the line must be there already.
"""

from __future__ import annotations

import re
from pathlib import Path

from presets.errors import InputError
from render.files.parts import write_whole

SETTINGS = "audacity.cfg"
ON = "1"
LINE = re.compile(
    rb"^(\[Module\]\r?\n(?:(?!\[)[^\n]*\n)*?mod-script-pipe=)([^\r\n]*)",
    re.MULTILINE,
)


def value(settings: Path) -> str:
    """What is said of the module.

    Args:
        settings: Audacity's settings file.

    Raises:
        InputError: no such file, or Audacity has not met the module.
    """
    return _found(settings)[2].decode("ascii", "replace")


def switch(settings: Path, value: str) -> None:
    """Says something else of the module; every other byte of the file stays.

    Args:
        settings: Audacity's settings file. Audacity must not be running: it writes the file when it ends.
        value: 0, 1, 2 or 4, as above.

    Raises:
        InputError: as for `value`.
        OutputError: the file cannot be written.
    """
    found = _found(settings)
    text = found.string[: found.start(2)] + value.encode() + found.string[found.end(2) :]
    write_whole(settings, text)


def _found(settings: Path) -> re.Match[bytes]:
    try:
        text = settings.read_bytes()
    except OSError as error:
        raise InputError(
            f"{settings} cannot be read: {error.strerror}; start Audacity once", "into"
        ) from None
    found = LINE.search(text)
    if found is None:
        raise InputError(
            f"{settings}: Audacity has not met mod-script-pipe; install that module where it is a package of "
            "its own, then start and end Audacity once",
            "into",
        )
    return found
