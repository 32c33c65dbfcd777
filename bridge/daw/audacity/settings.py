"""The one setting that `airband audacity` needs: Audacity's module mod-script-pipe, switched on in
`audacity.cfg`.

Audacity lists each module it has found under `[Module]`: 0 off, 1 on, 2 ask, 4 new. It discards settings for
a module that it has not found yet, so the module's line must exist already.
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
    """The module's setting.

    Args:
        settings: Audacity's settings file.

    Raises:
        InputError: there is no such file, or Audacity has not found the module yet.
    """
    return _found(settings)[2].decode("ascii", "replace")


def switch(settings: Path, value: str) -> None:
    """Changes the module's setting, and no other byte of the file.

    Args:
        settings: Audacity's settings file. Audacity must not run, since it writes the file when it quits.
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
            f"{settings}: Audacity has not found mod-script-pipe; install that module if it is a package of "
            "its own, then start and quit Audacity once",
            "into",
        )
    return found
