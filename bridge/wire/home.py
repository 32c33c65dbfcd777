"""How client and engine find each other: the folders of an engine, and its connection file.

An engine belongs to a state folder and holds the lock in it for as long as it lives. The lock file says which
process that is, when it started and where it listens; the connection file beside it holds all that clients
need once the engine serves. So all who share a state folder find the same engine, whatever their environment,
and engines of different state folders never meet. The socket lies in a runtime folder named after the state
folder; when that folder is wiped, the engine makes it again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zmq
from platformdirs import user_state_path

from bridge.wire.curve_keys import KeyPair
from bridge.wire.lock import FileLock, is_held
from bridge.wire.private_files import make_private_folder, parse_private, read_private, write_private
from bridge.wire.process_birth import process_birth
from presets.errors import EngineError, OutputError
from presets.printable import is_utf8
from presets.version import VERSION as SOFTWARE

START_BYTES = 16 * 1024**2
"""Free space that an engine needs in the state folder to start, for its database and its log."""


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of the connection file.

    Attributes:
        endpoint: where the engine listens; "" in the lock of an engine that is starting.
        pid, birth, host: its process (see `process_birth`) and the machine that it runs on.
        started_s: when it started, seconds since 1970.
        engine, protocol: the versions of its software and of the protocol it speaks.
        server_key, client: over tcp, the engine's CURVE key and the key pair for the client to use.
        roots: folders below which it opens the paths that jobs name.
        on_demand: a client started it, so a client of another version may replace it.
        quota_bytes: how much its spool may hold; 0 when that is unknown.
    """

    endpoint: str
    pid: int
    started_s: float
    engine: str
    protocol: int
    server_key: str = ""
    client: KeyPair | None = None
    birth: str = ""
    host: str = ""
    roots: tuple[str, ...] = ()
    on_demand: bool = False
    quota_bytes: int = 0

    @property
    def is_alive_here(self) -> bool:
        """Whether its process lives on this machine, and the pid was not given to another process since."""
        return self.birth != "" and self.birth == process_birth(self.pid)

    @property
    def is_outdated(self) -> bool:
        """Whether it is an engine of another version that a client of this version may replace."""
        return self.on_demand and self.engine != SOFTWARE and self.is_alive_here

    @property
    def is_reachable(self) -> bool:
        """False when the file of its ipc socket does not exist or cannot be seen from here."""
        path = self.endpoint.removeprefix("ipc://")
        return path == self.endpoint or os.path.exists(path)


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one engine.

    Attributes:
        state: jobs, spool, log, lock and connection file; survives a restart.
        runtime: the socket; of no use once the engine is gone.
    """

    state: Path
    runtime: Path

    @property
    def connection(self) -> Path:
        """The connection file."""
        return self.state / "engine.json"

    @property
    def socket(self) -> Path:
        """Where the engine listens by default."""
        return self.runtime / "engine.sock"

    @property
    def lock(self) -> Path:
        """The file that the engine of this state folder keeps locked."""
        return self.state / "engine.lock"

    @property
    def stop_request(self) -> Path:
        """A request to the engine to stop; see `bridge.wire.stop_request`."""
        return self.state / "engine.stop"

    @property
    def log(self) -> Path:
        """The output of an engine that a client started."""
        return self.state / "engine.log"

    @property
    def allow_list(self) -> Path:
        """The CURVE keys that may connect over tcp, unless `serve --allow` names another file."""
        return self.state / "allowed.keys"


def find_home(state: Path | None = None) -> Home:
    """The folders of the engine on `state` (default: the user's own state folder); creates nothing.

    The runtime folder lies in the first of these that is writable and short enough for the address of a
    socket (107 bytes of UTF-8): $XDG_RUNTIME_DIR if it is the user's own, the user's temporary folder, /tmp,
    the state folder. Cluster jobs may have a long TMPDIR, `sudo -E` keeps another user's $XDG_RUNTIME_DIR,
    and /tmp may be read-only for a systemd service.

    Raises:
        EngineError: the user has no known home folder.
    """
    try:
        state = user_state_path("airband", appauthor=False) if state is None else state
    except RuntimeError:
        raise EngineError("no home folder is known for you; set HOME, or choose a --state") from None
    state = Path(os.path.realpath(os.path.expanduser(state)))
    name = hashlib.blake2b(os.fsencode(state), digest_size=8).hexdigest()
    base = os.environ.get("XDG_RUNTIME_DIR")
    bases = [Path(base) / "airband"] if base and _is_own_folder(base) else []
    with suppress(FileNotFoundError):  # no temporary folder is writable
        bases.append(_temp_folder(Path(tempfile.gettempdir())))
    if os.name == "posix":
        bases.append(_temp_folder(Path("/tmp")))
    homes = [Home(state, folder / name) for folder in (*filter(_can_be_used, bases), state)]
    return next((home for home in homes if _has_address(home.socket)), homes[-1])


def prepare(home: Home) -> None:
    """Makes the state folder, open to its owner alone.

    Raises:
        EngineError: it cannot be made, or belongs to somebody else.
        OutputError: its disk has less than START_BYTES free.
    """
    make_private_folder(home.state)
    free = shutil.disk_usage(home.state).free
    if free < START_BYTES:
        raise OutputError(
            f"no room on disk: {free / 1e6:.1f} MB are free in {home.state}, an engine needs "
            f"{START_BYTES / 1e6:.1f} MB to start, and more for its jobs; make room, or choose another "
            "--state",
            "state",
        )


def make_runtime(home: Home) -> None:
    """Makes the runtime folder, open to its owner alone; raises EngineError as `prepare` does."""
    make_private_folder(home.runtime.parent)
    make_private_folder(home.runtime)


def claim(home: Home) -> FileLock:
    """Locks a prepared state folder for this process, and writes that process into the lock file.

    Raises:
        EngineError: another engine runs on it.
    """
    lock = FileLock(home.lock)
    if lock.acquire(timeout_s=1.0):  # a client that checks the lock holds it for a moment
        for left in (home.connection, home.stop_request):  # by an engine or a command that was killed
            left.unlink(missing_ok=True)
        lock.write(msgspec.json.encode(this_process("", 0)))
        return lock
    holder = read_holder(home)
    who = f"engine {holder.pid} at {holder.endpoint}" if holder else "another engine"
    raise EngineError(f"{who} runs on {home.state}; use that one, stop it, or choose another --state")


def this_process(
    endpoint: str, protocol: int, server_key: str = "", client: KeyPair | None = None
) -> Connection:
    """The connection to the current process."""
    pid = os.getpid()
    return Connection(
        endpoint=endpoint,
        pid=pid,
        started_s=time.time(),
        engine=SOFTWARE,
        protocol=protocol,
        server_key=server_key,
        client=client,
        birth=process_birth(pid),
        host=socket.gethostname(),
    )


def is_running(home: Home) -> bool:
    """Whether an engine holds the state folder; if none does, a connection file there is stale.

    Raises:
        EngineError: the lock file cannot be opened.
    """
    try:
        return is_held(home.lock)
    except OSError as error:
        whose = " it belongs to somebody else;" if error.errno in (errno.EACCES, errno.EPERM) else ""
        raise EngineError(
            f"{home.lock} cannot be opened: {error.strerror};{whose} choose another --state"
        ) from None


def ipc_endpoint(home: Home) -> str | None:
    """The endpoint to bind: a socket in the runtime folder, or None where the system has no ipc transport."""
    return f"ipc://{home.socket}" if zmq.has("ipc") else None


def write_connection(home: Home, connection: Connection) -> None:
    """Writes the connection file at once (nobody sees half of it), readable by the user alone."""
    write_private(home.connection, connection)


def remove_connection(home: Home) -> None:
    """Removes the connection file if this process wrote it."""
    connection = read_connection(home)
    if connection is not None and connection.pid == os.getpid():
        home.connection.unlink(missing_ok=True)


def read_holder(home: Home) -> Connection | None:
    """The process that holds, or last held, the state folder; its endpoint is "" while it starts."""
    try:
        return msgspec.json.decode(home.lock.read_bytes(), type=Connection)
    except (OSError, msgspec.DecodeError):
        return None


def read_connection(home: Home) -> Connection | None:
    """The connection file, or None when there is none.

    Raises:
        EngineError: others can write or read the file, or it is not a connection file.
    """
    content = read_private(home.connection, secret=True)
    return None if content is None else parse_private(content, Connection, home.connection)


def _is_own_folder(path: str) -> bool:
    try:
        about = os.stat(path)
    except OSError:
        return False
    is_own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
    return is_own and stat.S_ISDIR(about.st_mode) and os.access(path, os.W_OK)


def _can_be_used(folder: Path) -> bool:
    """Whether a folder is no link, belongs to the user and is writable, or can be created."""
    is_own = _is_own_folder(str(folder)) and not os.path.islink(folder)
    return is_own if os.path.lexists(folder) else os.access(folder.parent, os.W_OK)


def _has_address(socket_path: Path) -> bool:
    return is_utf8(str(socket_path)) and len(os.fsencode(socket_path)) < zmq.IPC_PATH_MAX_LEN


def _temp_folder(base: Path) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return base / f"airband-{user}"
