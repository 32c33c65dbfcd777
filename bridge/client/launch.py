"""Finds the engine of a state folder, or starts one where none runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bridge.wire.home import Connection, Home, is_running, prepare, read_connection, read_holder
from bridge.wire.lock import FileLock
from bridge.wire.messages import VERSION
from presets.errors import EngineError, OutputError, VersionError
from presets.version import VERSION as SOFTWARE

IDLE_EXIT_S = 900
"""An engine that a client started exits after so long without work, in seconds."""
START_S = 60.0
"""How long an engine may take to start: to look for a GPU it imports torch, perhaps from a slow disk."""
REACH_S = 1.5
"""How long a running engine's socket may be missing: the engine checks for it twice a second."""
POLL_S = 0.005
LOG_LINES = 10
LOG_BYTES = 1024 * 1024
"""A log larger than this is deleted when the next engine starts."""


def find_engine(home: Home, timeout_s: float = START_S) -> Connection | None:
    """The engine that runs on a state folder, or None; a stale connection file does not count.

    Raises:
        VersionError: it speaks another protocol.
        EngineError: it did not come up within `timeout_s` or cannot be reached from here, or its connection
            file is open to others.
    """
    found = _find(home, timeout_s)
    if found is not None and found.protocol != VERSION:
        raise VersionError(
            f"engine {found.pid} is airband {found.engine} and speaks protocol {found.protocol}, this client "
            f"{VERSION}; end it with `airband stop`"
        )
    return found


def _find(home: Home, timeout_s: float) -> Connection | None:
    began_s = time.monotonic()
    unreachable_s: float | None = None
    while is_running(home):
        connection, now_s = read_connection(home), time.monotonic()
        if connection is not None and (connection.protocol != VERSION or connection.is_reachable):
            return connection
        holder = read_holder(home)
        if holder is None or holder.endpoint:  # it serves; a lost connection file or socket it makes again
            unreachable_s = unreachable_s or now_s
            if now_s - unreachable_s > REACH_S:
                raise _unreachable(home, holder)
        elif now_s - began_s >= timeout_s:
            raise EngineError(f"an engine on {home.state} did not come up in {timeout_s:g} s; see {home.log}")
        time.sleep(POLL_S)
    return None


def _unreachable(home: Home, holder: Connection | None) -> EngineError:
    if holder is None:
        return EngineError(
            f"an engine holds {home.state} but does not say how to reach it: it is older, or stuck; "
            f"end the process that has {home.lock} open, or choose another --state"
        )
    way_out = "end it with `airband stop`" if holder.is_alive_here else "stop it there"
    return EngineError(
        f"engine {holder.pid} on {holder.host or 'this machine'} holds {home.state}, but its socket "
        f"{holder.endpoint} cannot be reached from here; {way_out}, or choose another --state"
    )


def ensure_engine(home: Home, timeout_s: float = START_S) -> Connection:
    """The engine of a state folder, started if none runs; if two clients come at once, one of them starts it.

    An engine of another version that a client started is told to exit. It finishes its running jobs first;
    the new engine continues with the queued ones.

    Raises:
        VersionError: the engine speaks another protocol, or one of another version still renders after
            `timeout_s`.
        EngineError: it could not be started; the message ends with the engine's last output.
    """
    found = _find(home, timeout_s)
    if found is not None and not found.is_outdated:
        return find_engine(home, timeout_s) or ensure_engine(home, timeout_s)
    prepare(home)
    lock = FileLock(home.state / "start.lock")
    if not lock.acquire(timeout_s):
        raise EngineError(f"another client has been starting an engine on {home.state} for {timeout_s:g} s")
    try:
        found = _find(home, timeout_s)
        if found is not None and found.is_outdated:
            _end(found, home, timeout_s)
        return find_engine(home, timeout_s) or _start(home, timeout_s)
    finally:
        lock.release()


def _end(outdated: Connection, home: Home, timeout_s: float) -> None:
    with suppress(ProcessLookupError):
        os.kill(outdated.pid, signal.SIGTERM)
    deadline_s = time.monotonic() + timeout_s
    while is_running(home):
        if time.monotonic() > deadline_s:
            raise VersionError(
                f"engine {outdated.pid} is airband {outdated.engine} and makes way for {SOFTWARE} once its "
                f"running job has ended, which took longer than {timeout_s:g} s; try again, or end it with "
                "`airband stop --now`"
            )
        time.sleep(POLL_S)


def no_engine(home: Home) -> EngineError:
    """The error when no engine runs and none may be started."""
    stale = home.connection.exists()
    left = " (a connection file is left over from one that is gone)" if stale else ""
    return EngineError(f"no engine runs on {home.state}{left}; start one with `airband serve`")


def _opened_log(home: Home) -> BinaryIO:
    try:
        if home.log.exists() and home.log.stat().st_size > LOG_BYTES:
            home.log.unlink()
        return home.log.open("ab")
    except OSError as error:  # a disk with free bytes may still have no inodes or no quota left
        raise OutputError(
            f"{home.log} cannot be made: {error.strerror}; make room there, or choose another --state",
            "state",
        ) from None


def _start(home: Home, timeout_s: float) -> Connection:
    with suppress(OSError):  # left by an engine that was killed, perhaps half-written
        home.connection.unlink()
    with _opened_log(home) as log:
        said_from = log.tell()
        try:
            process = subprocess.Popen(
                _command(home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home.state,
                env=_environment(),
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:  # embedded in another program, Python may not know its own executable
            raise EngineError(
                f"the engine cannot be started by {sys.executable!r}: {error.strerror}; start one with "
                "`airband serve`"
            ) from None
    # A process whose exit code nobody collects stays as a zombie.
    threading.Thread(target=process.wait, name="airband-engine-exit", daemon=True).start()
    deadline_s = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline_s:
        connection = read_connection(home)
        if connection is not None and connection.pid == process.pid:
            found = find_engine(home, timeout_s)
            if found is not None:
                return found
        time.sleep(POLL_S)
    return _give_up(home, process, said_from, timeout_s)


def _give_up(home: Home, process: subprocess.Popen[bytes], said_from: int, timeout_s: float) -> Connection:
    code = process.poll()
    if code is None:
        process.kill()
        why = f"did not come up in {timeout_s:g} s"
    else:
        found = find_engine(home, timeout_s)  # another client's engine, which came first
        if found is not None:
            return found
        why = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    with home.log.open("rb") as log:
        log.seek(said_from)
        said = log.read(LOG_BYTES).decode(errors="replace").splitlines()[-LOG_LINES:]
    told = f"says: {' | '.join(said)}" if said else "says nothing about it"
    raise EngineError(f"the engine started on {home.state} {why}; {home.log} {told}")


def _command(home: Home) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "engine", "serve"),
        *("--on-demand", "--idle-exit", str(IDLE_EXIT_S), "--state", str(home.state)),
    ]


def _environment() -> dict[str, str]:
    """This process's environment, with a PYTHONPATH of one folder: that of these packages, if not installed.

    Other folders that the caller imports from (a plugin host's, a script's own) are not for the engine.
    """
    ours = str(Path(__file__).resolve().parents[2])
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return rest if ours == sysconfig.get_path("purelib") else rest | {"PYTHONPATH": ours}
