"""How client and engine find and trust each other: folders, the connection file, CURVE keys.

An engine belongs to a state folder and holds the lock in it for as long as it lives. What a client needs to
reach it stands in the connection file, in a runtime folder that only the user may enter.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import zmq
from platformdirs import user_state_path
from zmq.utils import z85

from bridge.lock import FileLock, is_held
from presets.errors import EngineError, UsageError

T = TypeVar("T")

FILE_BYTES = 64 * 1024
"""More than any file read here may weigh."""


class KeyPair(msgspec.Struct, frozen=True):
    """CURVE keys in Z85, 40 characters each (rfc.zeromq.org/spec/32)."""

    public: str
    secret: str


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


def home(state: Path | None = None) -> Home:
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
    _make_private(home.state)
    _make_private(home.runtime)


def claim(home: Home) -> FileLock:
    """Takes a prepared state folder for this engine; keep the lock until the end.

    Raises:
        EngineError: another engine runs on it.
    """
    lock = FileLock(home.lock)
    if lock.acquire(timeout_s=1.0):  # a client that looks whether it is held holds it for a moment
        return lock
    connection = read(home)
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
        _make_private(path.parent)
    return f"ipc://{path}"


def write(home: Home, connection: Connection) -> None:
    """Publishes the connection file: readable by the user alone, and never seen half-written."""
    _write_private(home.connection, connection)


def remove(home: Home) -> None:
    """Withdraws the connection file; only the engine that holds the lock may."""
    home.connection.unlink(missing_ok=True)


def read(home: Home) -> Connection | None:
    """The connection file, or None when there is none.

    Raises:
        EngineError: others could have written or read it, or it is not a connection file.
    """
    content = _read_private(home.connection, secret=True)
    return None if content is None else _parse(content, Connection, home.connection)


def new_keys() -> KeyPair:
    """A fresh CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def own_keys(home: Home, role: Literal["client", "engine"] = "client") -> KeyPair:
    """The user's keys across machines, as a client or for an engine; made when first asked for.

    Raises:
        EngineError: the key file is open to others, or is not one.
    """
    path = home.state / f"{role}.key"
    content = _read_private(path, secret=True)
    if content is not None:
        return _parse(content, KeyPair, path)
    keys = new_keys()
    _make_private(home.state)
    _write_private(path, keys)
    return keys


def read_allow_list(path: Path) -> frozenset[bytes]:
    """The public keys of those who may connect: one a line, a name may follow; `# ` begins a comment line.

    Raises:
        UsageError: no such file, others may write it, no keys in it, or a line that is not a key.
    """
    try:
        content = _read_private(path, secret=False)
    except EngineError as error:
        raise UsageError(error.message, "allow") from None
    if content is None:
        raise UsageError(f"{path}: no such allow-list", "allow")
    lines = (line.split() for line in content.decode(errors="replace").splitlines())
    keys = frozenset(
        check_key(words[0], f"{path}, line {number}")
        for number, words in enumerate(lines, 1)
        if words and words[0] != "#"
    )
    if not keys:
        raise UsageError(f"{path}: holds no key, so nobody could connect", "allow")
    return keys


def check_key(key: str, where: str) -> bytes:
    """A CURVE key in Z85 as bytes; raises UsageError naming `where` it stands."""
    try:
        if len(z85.decode(key.encode("ascii"))) == 32:
            return key.encode("ascii")
    except (KeyError, ValueError, struct.error):
        pass
    raise UsageError(f"{where}: {key!r} is not a CURVE key of 40 Z85 characters", "key")


def _temp_folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"airband-{user}"


def _make_private(folder: Path) -> None:
    """Makes a folder with mode 0700, or sees to it that one that is there belongs to the user alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or not _is_ours(about):
            raise EngineError(f"{folder} belongs to somebody else; remove it, or choose another --state")
        if stat.S_IMODE(about.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise EngineError(f"{folder} cannot be made: {error.strerror}; choose another --state") from None


def _is_ours(about: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or about.st_uid == os.getuid()


def _read_private(path: Path, secret: bool) -> bytes | None:
    """The content of a file that nobody else may write (nor read, if it holds a secret)."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        mode = stat.S_IMODE(about.st_mode)
        others = 0o077 if secret else 0o022
        if os.name == "posix" and (not _is_ours(about) or mode & others):
            raise EngineError(
                f"{path} is open to others (mode {mode:o}): remove it and start the engine again"
            )
        return file.read(FILE_BYTES)


def _write_private(path: Path, value: Any) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(value))
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise EngineError(f"{path} cannot be written: {error.strerror}") from None


def _parse(content: bytes, kind: type[T], path: Path) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise EngineError(f"{path} is not what Airband writes ({error}): remove it") from None
