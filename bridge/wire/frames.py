"""Message <-> frames, as two pure functions: no socket, no state.

A message travels as `[header]`; those that carry bytes (`chunk`, `data`) travel as `[header][buffer]`. The
header is one msgpack map. It is unpacked with limits on every size, checked to hold plain values only, and
converted into one of the structs of `bridge.wire.messages`. Whatever the frames hold, `decode` returns a
message or raises WireError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, overload

import msgpack
import msgspec

from bridge.wire.messages import Chunk, ClientMessage, Data, EngineMessage, Message
from presets.errors import WireError
from presets.limits import CHUNK_BYTES, HEADER_BYTES

Buffer: TypeAlias = bytes | bytearray | memoryview

DEPTH = 16
"""How deep a header may nest. The deepest message of protocol 1, a preset with effects, needs six levels."""
ITEMS = 4096
"""The most entries of one map or array in a header."""


def encode(message: Message, buffer: Buffer | None = None) -> list[bytes | memoryview]:
    """The frames of a message.

    Args:
        message: any message of the protocol.
        buffer: contiguous bytes for a `chunk` or `data`, at most CHUNK_BYTES; they are not copied.

    Raises:
        WireError: a header over HEADER_BYTES, a value that the wire cannot hold (NaN, an integer beyond
            64 bits), or a buffer that is missing, unwanted or too large.
    """
    try:
        header = msgpack.packb(_plain(msgspec.to_builtins(message)), use_bin_type=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"{_name(message)}: cannot be put on the wire: {error}") from None
    if len(header) > HEADER_BYTES:
        raise WireError(f"{_name(message)}: header of {len(header)} bytes, the limit is {HEADER_BYTES}")
    carried = None if buffer is None else memoryview(buffer).cast("B")
    _check_buffer(message, carried)
    return [header] if carried is None else [header, carried]


@overload
def decode(frames: Sequence[Buffer], kind: Literal["client"]) -> tuple[ClientMessage, memoryview | None]: ...
@overload
def decode(frames: Sequence[Buffer], kind: Literal["engine"]) -> tuple[EngineMessage, memoryview | None]: ...
def decode(
    frames: Sequence[Buffer], kind: Literal["client", "engine"]
) -> tuple[ClientMessage | EngineMessage, memoryview | None]:
    """The message and buffer in some frames that an untrusted peer sent.

    Args:
        frames: the frames after the routing identity.
        kind: `client` for what clients send, `engine` for what the engine sends.

    Returns:
        The message, and a view of its bytes for a `chunk` or `data` (None for all others).

    Raises:
        WireError: the frames hold no valid message; `field` is the place in the header, where it is known.
    """
    if not 1 <= len(frames) <= 2:
        raise WireError(f"a message of {len(frames)} frames; it has one or two")
    values = _unpack(frames[0])
    try:
        message = msgspec.convert({"message": values}, _KINDS[kind]).message
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        text = str(error).replace("`$.message", "`$").removesuffix(" - at `$`")
        place = re.search(r"`\$\.?([^`]*)`", text)
        raise WireError(f"malformed message: {text}", (place and place[1]) or None) from None
    buffer = memoryview(frames[1]).cast("B") if len(frames) == 2 else None
    _check_buffer(message, buffer)
    return message, buffer


# msgspec keeps a struct's type information; that of a bare union it gathers again per message, in 30 us.
class _FromClient(msgspec.Struct):
    message: ClientMessage


class _FromEngine(msgspec.Struct):
    message: EngineMessage


_KINDS: dict[str, type[_FromClient | _FromEngine]] = {"client": _FromClient, "engine": _FromEngine}


def _unpack(header: Buffer) -> Any:
    size = memoryview(header).nbytes
    if size > HEADER_BYTES:
        raise WireError(f"header of {size} bytes, the limit is {HEADER_BYTES}")
    try:
        return _plain(
            msgpack.unpackb(
                header,
                raw=False,
                strict_map_key=True,
                max_str_len=HEADER_BYTES,
                max_bin_len=0,
                max_array_len=ITEMS,
                max_map_len=ITEMS,
                max_ext_len=0,
            )
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"header that does not unpack: {error or type(error).__name__}") from None


def _plain(value: Any) -> Any:
    """`value` itself, if it is plain values, finite numbers and text keys, at most DEPTH deep; else
    ValueError.

    `max_ext_len=0` lets an empty ext value through, and a field of type Any would accept it.
    """
    level = [value]
    for _ in range(DEPTH + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                for key in item:
                    if type(key) is not str:
                        raise ValueError(f"key {key!r} is not text")
                below += item.values()
            elif kind is list or kind is tuple:
                below += item
            elif kind is float:
                if not math.isfinite(item):
                    raise ValueError(f"{item} is not a finite number")
            elif kind not in _PLAIN:
                raise ValueError(f"{kind.__name__} is not a plain value")
        if not below:
            return value
        level = below
    raise ValueError(f"nested deeper than {DEPTH}")


_PLAIN = frozenset({str, int, bool, type(None)})


def _check_buffer(message: Message, buffer: memoryview | None) -> None:
    if isinstance(message, Chunk | Data) != (buffer is not None):
        raise WireError(f"{_name(message)}: {'no' if buffer is None else 'an unwanted'} buffer")
    if buffer is not None and buffer.nbytes > CHUNK_BYTES:
        raise WireError(
            f"{_name(message)}: buffer of {buffer.nbytes} bytes, the limit is {CHUNK_BYTES}", "buffer"
        )


def _name(message: Message) -> str:
    return str(type(message).__struct_config__.tag)
