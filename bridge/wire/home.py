"""How client and engine find each other: the folders of an engine, and its connection file.

An engine belongs to a state folder and holds the lock in it for as long as it lives. What a client needs to
reach it stands in the connection file, in a runtime folder that only the user may enter.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zmq
from platformdirs import user_state_path

from bridge.wire.curve_keys import KeyPair
from bridge.wire.lock import FileLock, is_held
from bridge.wire.private_files import make_private_folder, parse_private, read_private, write_private
from presets.errors import EngineError


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the connection file says. Over tcp, `server_key` and `client` are the keys to use."""

    endpoint: str
    pid: int
    started_s: float
    engine: str
    protocol: int
    server_key: str = ""
    client: KeyPair | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one engine.

    Attributes:
        state: jobs, spool, log and lock; survives a restart.
        runtime: the connection file and the socket; means nothing once the engine is gone.
    """

    state: Path
    runtime: Path

    @property
    def connection(self) -> Path:
        """The connection file."""
        return self.runtime / "engine.json"

    @property
    def lock(self) -> Path:
        """Locked by the engine that owns the state folder."""
        return self.state / "engine.lock"

    @property
    def log(self) -> Path:
        """What an engine that a client started has to say."""
        return self.state / "engine.log"


def find_home(state: Path | None = None) -> Home:
    """The folders of the engine on `state` (default: the user's own); nothing is made yet."""
    default = user_state_path("airband", appauthor=False)
    if state is None or state.expanduser().resolve() == default.resolve():
        base = os.environ.get("XDG_RUNTIME_DIR")
        usable = base is not None and os.access(base, os.W_OK)
        return Home(default, Path(base) / "airband" if base and usable else _temp_folder())
    state = state.expanduser().resolve()
    return Home(state, state / "runtime")


def prepare(home: Home) -> None:
    """Makes both folders, for their owner alone.

    Raises:
        EngineError: one cannot be made, or belongs to somebody else.
    """
    make_private_folder(home.state)
    make_private_folder(home.runtime)


def claim(home: Home) -> FileLock:
    """Takes a prepared state folder for this engine; keep the lock until the end.

    Raises:
        EngineError: another engine runs on it.
    """
    lock = FileLock(home.lock)
    if lock.acquire(timeout_s=1.0):  # a client that looks whether it is held holds it for a moment
        return lock
    connection = read_connection(home)
    who = f"engine {connection.pid} at {connection.endpoint}" if connection else "another engine"
    raise EngineError(f"{who} runs on {home.state}; use that one, stop it, or choose another --state")


def is_running(home: Home) -> bool:
    """Whether an engine holds the state folder; a connection file without one is stale."""
    return is_held(home.lock)


def ipc_endpoint(home: Home) -> str | None:
    """Where to bind: a socket in the runtime folder, or None where the system has no ipc transport.

    A path too long for a socket address gives way to a short one in the user's temporary folder.
    """
    if not zmq.has("ipc"):
        return None
    path = home.runtime / "engine.sock"
    if len(os.fsencode(path)) >= zmq.IPC_PATH_MAX_LEN:
        name = hashlib.blake2b(os.fsencode(home.state), digest_size=8).hexdigest()
        path = _temp_folder() / f"{name}.sock"
        make_private_folder(path.parent)
    return f"ipc://{path}"


def write_connection(home: Home, connection: Connection) -> None:
    """Publishes the connection file: readable by the user alone, and never seen half-written."""
    write_private(home.connection, connection)


def remove_connection(home: Home) -> None:
    """Withdraws the connection file; only the engine that holds the lock may."""
    home.connection.unlink(missing_ok=True)


def read_connection(home: Home) -> Connection | None:
    """The connection file, or None when there is none.

    Raises:
        EngineError: others could have written or read it, or it is not a connection file.
    """
    content = read_private(home.connection, secret=True)
    return None if content is None else parse_private(content, Connection, home.connection)


def _temp_folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"airband-{user}"
