"""Sends commands to a running Audacity, and reads its answers, through its module mod-script-pipe.

Two named pipes, one for each direction, serve one client at a time; their names contain the user's id. An
answer is some lines, then a line `BatchCommand finished: OK` (or `Failed!`) and an empty line. Source:
    Audacity manual,
"Scripting".
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import time
from pathlib import Path
from typing import Any, Self

from presets.errors import HostError, InputError

OPENING_S = 10.0
"""How long Audacity may take to open its end of a pipe, in seconds."""
ANSWER_S = 300.0
"""How long a command may take, in seconds: to export a long track, or while a dialog waits for the user."""
FINISHED = "BatchCommand finished: "
WAY_OUT = (
    "start Audacity, with mod-script-pipe enabled under Edit > Preferences > Modules "
    "(`airband daw install audacity` does that)"
)


class Pipe:
    """The connection to Audacity, as a context manager.

    Args:
        folder: where the named pipes lie.

    Raises:
        HostError: no Audacity listens, or this system is not supported.
    """

    def __init__(self, folder: Path = Path("/tmp")) -> None:
        if sys.platform == "win32":
            raise HostError("`airband audacity` works on Linux and macOS only, so far")
        name = f"audacity_script_pipe.%s.{os.getuid()}"
        self._rest = b""
        # The order matters: Audacity opens its writing end once somebody writes to the other pipe.
        self._to = _opened(folder / (name % "to"), os.O_WRONLY)
        try:
            self._from = _opened(folder / (name % "from"), os.O_RDONLY)
        except BaseException:
            os.close(self._to)
            raise
        os.set_blocking(self._to, True)

    def do(self, command: str, **parameters: str | float) -> str:
        """Runs a command; returns its output, without the closing line.

        Args:
            command: its name, as the manual's "Scripting Reference" lists it.
            parameters: their values.

        Raises:
            InputError: a text that no command can carry, with a double quote or several lines.
            HostError: the command failed or timed out, or Audacity quit.
        """
        for value in parameters.values():
            if isinstance(value, str) and any(letter in value for letter in '"\r\n\0'):
                raise InputError(f"Audacity takes no text with double quotes or line ends: {value!r}", "name")
        words = " ".join(
            f'{name}="{value}"' if isinstance(value, str) else f"{name}={value!r}"
            for name, value in parameters.items()
        )
        try:
            os.write(self._to, f"{command}: {words}\n".encode())
        except BrokenPipeError:
            raise HostError(f"Audacity has quit before {command}") from None
        deadline_s = time.monotonic() + ANSWER_S
        lines: list[str] = []
        while not lines or not lines[-1].startswith(FINISHED):
            lines.append(self._line(command, deadline_s))
        self._line(command, deadline_s)  # the empty line
        said = "\n".join(line for line in lines[:-1] if line)
        if lines[-1] != FINISHED + "OK":
            raise HostError(f"Audacity: {command} failed: {said or 'it gives no reason'}")
        return said

    def info(self, kind: str) -> Any:
        """The output of `GetInfo` for `Tracks`, `Labels` and so on; its numbers have only six digits.

        Raises:
            HostError: as `do`, or it is not JSON, since Audacity 3.2 does not escape names in it.
        """
        said = self.do("GetInfo", Type=kind, Format="JSON")
        try:
            return json.loads(said)
        except ValueError:
            raise HostError(
                f"Audacity's list of {kind} cannot be read; is an odd name in it? {said[:200]!r}"
            ) from None

    def close(self) -> None:
        """Closes the pipes; Audacity goes on."""
        os.close(self._to)
        os.close(self._from)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self, command: str, deadline_s: float) -> str:
        while b"\n" not in self._rest:
            wait_s = max(0.0, deadline_s - time.monotonic())
            if not select.select([self._from], [], [], wait_s)[0]:
                raise HostError(
                    f"Audacity has not answered {command} in {ANSWER_S:.0f} s; is a dialog open there?"
                )
            piece = os.read(self._from, 65536)
            if not piece:
                raise HostError(f"Audacity has quit during {command}")
            self._rest += piece
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r\0")


def _opened(path: Path, mode: int) -> int:
    """Opens a pipe; one for writing opens only while somebody reads from it."""
    deadline_s = time.monotonic() + OPENING_S
    while True:
        try:
            pipe = os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise HostError(f"{path}: Audacity does not listen; {WAY_OUT}") from None
        except OSError:
            if time.monotonic() > deadline_s:
                raise HostError(
                    f"{path}: Audacity does not respond, or serves another client; {WAY_OUT}. If it scanned "
                    "plugins at its start, restart it once: the scan removes the pipes"
                ) from None
            time.sleep(0.1)
        else:
            about = os.fstat(pipe)
            if about.st_uid == os.getuid() and stat.S_ISFIFO(about.st_mode):
                return pipe
            os.close(pipe)
            raise HostError(f"{path} is not a pipe of yours: another user of this machine made it; remove it")
