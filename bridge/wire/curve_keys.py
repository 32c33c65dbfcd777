"""CURVE keys: who an engine on tcp is, and who may speak with it (rfc.zeromq.org/spec/26, 27)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

import msgspec
import zmq
from zmq.utils import z85

from bridge.wire.private_files import make_private_folder, parse_private, read_private, write_private
from presets.errors import EngineError, UsageError


class KeyPair(msgspec.Struct, frozen=True):
    """CURVE keys in Z85, 40 characters each (rfc.zeromq.org/spec/32)."""

    public: str
    secret: str


def new_keys() -> KeyPair:
    """A fresh CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def own_keys(state: Path, role: Literal["client", "engine"] = "client") -> KeyPair:
    """The user's keys across machines, as a client or for an engine; made when first asked for.

    Raises:
        EngineError: the key file is open to others, or is not one.
    """
    path = state / f"{role}.key"
    content = read_private(path, secret=True)
    if content is not None:
        return parse_private(content, KeyPair, path)
    keys = new_keys()
    make_private_folder(state)
    write_private(path, keys)
    return keys


def read_allow_list(path: Path) -> frozenset[bytes]:
    """The public keys of those who may connect: one a line, a name may follow; `# ` begins a comment line.

    Raises:
        UsageError: no such file, others may write it, no keys in it, or a line that is not a key.
    """
    try:
        content = read_private(path, secret=False)
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
