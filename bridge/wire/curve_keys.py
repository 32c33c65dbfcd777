"""CURVE keys: the identity of an engine on tcp, and of those who may connect (rfc.zeromq.org/spec/26, 27)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import zmq
from zmq.utils import z85

from bridge.wire.lock import FileLock
from bridge.wire.private_files import (
    make_private_folder,
    parse_private,
    read_private,
    write_private,
    write_private_text,
)
from presets.errors import EngineError, UsageError

LOCK_WAIT_S = 10.0
"""How long to wait for another process that writes the same key file; a write takes milliseconds."""


class KeyPair(msgspec.Struct, frozen=True):
    """CURVE keys in Z85, 40 characters each (rfc.zeromq.org/spec/32)."""

    public: str
    secret: str


def new_keys() -> KeyPair:
    """A fresh CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def own_keys(state: Path, role: Literal["client", "engine"] = "client") -> KeyPair:
    """The user's own key pair on this machine, as a client or for an engine; made on first use.

    Raises:
        EngineError: the key file is open to others, or is not one.
    """
    path = state / f"{role}.key"
    content = read_private(path, secret=True)
    if content is None:
        with _writing(path):
            content = read_private(path, secret=True)  # another process may have written it meanwhile
            if content is None:
                keys = new_keys()
                write_private(path, keys)
                return keys
    return parse_private(content, KeyPair, path)


def read_allow_list(path: Path) -> frozenset[bytes]:
    """The public keys that may connect; `allowed` describes the file.

    Raises:
        UsageError: there is no such file, others may write it, it holds no key, or a line is not a key.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such allow-list", "allow")
    keys = frozenset(key.encode() for key in allowed(path))
    if not keys:
        raise UsageError(f"{path}: holds no key, so nobody could connect", "allow")
    return keys


def allowed(path: Path) -> dict[str, str]:
    """The keys of an allow-list, each with its name; empty when there is no file.

    Each line holds one key, which a name may follow; `# ` begins a comment line.

    Raises:
        UsageError: others may write the file, or a line is not a key.
    """
    try:
        content = read_private(path, secret=False)
    except EngineError as error:
        raise UsageError(error.message, "allow") from None
    found = {}
    for number, line in enumerate((content or b"").decode(errors="replace").splitlines(), 1):
        key, _, name = line.strip().partition(" ")
        if key and key != "#":
            found[check_key(key, f"{path}, line {number}").decode()] = name.strip()
    return found


def allow(path: Path, key: str, name: str = "") -> None:
    """Adds a key to an allow-list, or renames one; raises UsageError when `key` is not a CURVE key."""
    with _writing(path):
        keys = allowed(path)
        keys[check_key(key, "the key").decode()] = " ".join(name.split())
        _write_allow_list(path, keys)


def revoke(path: Path, key: str) -> None:
    """Removes a key, or all keys of a name, from an allow-list; raises UsageError when none matches."""
    with _writing(path):
        keys = allowed(path)
        left = {each: name for each, name in keys.items() if key not in (each, name)}
        if len(left) == len(keys):
            raise UsageError(f"{key!r} is not on {path}; `airband keys list` shows what is", "key")
        _write_allow_list(path, left)


def _write_allow_list(path: Path, keys: dict[str, str]) -> None:
    lines = "".join(f"{key} {name}".rstrip() + "\n" for key, name in keys.items())
    write_private_text(path, f"# keys that may connect; see `airband keys`\n{lines}")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Lets one process at a time read and rewrite a key file, so that no change is lost."""
    make_private_folder(path.parent)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        is_held = lock.acquire(LOCK_WAIT_S)
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror}") from None
    if not is_held:
        raise EngineError(f"another process has been writing {path} for {LOCK_WAIT_S:g} s; end it, try again")
    try:
        yield
    finally:
        lock.release()


def check_key(key: str, where: str, field: str = "key", way_out: str = "") -> bytes:
    """A CURVE key in Z85, as bytes.

    Args:
        key: the key as given.
        where, field, way_out: for the error: where the key was found, its field, how to get the right one.

    Raises:
        UsageError: it is no key.
    """
    try:
        if len(z85.decode(key.encode("ascii"))) == 32:
            return key.encode("ascii")
    except (KeyError, ValueError, struct.error):
        pass
    raise UsageError(f"{where}: {key!r} is not a CURVE key of 40 Z85 characters{way_out}", field)
