from __future__ import annotations

import timeit
from contextlib import suppress
from typing import Any, get_args

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect as mi

from bridge.wire.frames import decode, encode
from bridge.wire.messages import (
    Bye,
    Chunk,
    ClientMessage,
    Data,
    DeliverPcm,
    Done,
    EngineMessage,
    Hello,
    Path,
    Ping,
    Submit,
)
from presets.chains import Effect
from presets.errors import WireError
from presets.limits import CHUNK_BYTES, HEADER_BYTES
from presets.report import RenderReport
from presets.schema import Preset

JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
SIDES = {"client": get_args(ClientMessage), "engine": get_args(EngineMessage)}
MESSAGES = [(side, cls) for side, classes in SIDES.items() for cls in classes]
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


EFFECTS: list[Any] = [
    {"name": "Reverb", "params": {"room_size": 0.5, "freeze_mode": 1.0}, "tail_s": 2.5},
    {"name": "Mix", "effects": [{"name": "Gain"}, {"name": "Chain", "effects": [{"name": "Invert"}]}]},
    {"path": "/plugins/x.vst3", "params": {"a": True, "b": "c"}, "state": "s", "on_error": "bypass"},
]
"""Effects have rules that connect their fields, which types do not express."""


def fields_of(kind: mi.StructType) -> st.SearchStrategy[Any]:
    fields = {field.encode_name: values_of(field.type) for field in kind.fields}
    if kind.tag is not None:
        fields[str(kind.tag_field)] = st.just(kind.tag)
    return st.fixed_dictionaries(fields)


def values_of(kind: mi.Type) -> st.SearchStrategy[Any]:
    """Values that the wire may hold for a type of the protocol, within its bounds and patterns."""
    match kind:
        case mi.Metadata():
            return values_of(kind.type)
        case mi.StructType() if kind.cls is Effect:
            return st.sampled_from(EFFECTS)
        case mi.StructType() if kind.array_like:
            return st.tuples(*(values_of(field.type) for field in kind.fields)).map(list)
        case mi.StructType():
            return fields_of(kind)
        case mi.UnionType():
            return st.one_of([values_of(t) for t in kind.types])
        case mi.VarTupleType():
            return st.lists(values_of(kind.item_type), min_size=kind.min_length or 0, max_size=3)
        case mi.TupleType():
            return st.tuples(*map(values_of, kind.item_types)).map(list)
        case mi.DictType():
            return st.dictionaries(values_of(kind.key_type), values_of(kind.value_type), max_size=3)
        case mi.LiteralType():
            return st.sampled_from(kind.values)
        case mi.IntType():
            low = -(2**63) if kind.ge is None else kind.ge
            return st.integers(low, 2**63 - 1 if kind.le is None else kind.le)
        case mi.FloatType():
            return st.floats(kind.ge, kind.le, allow_nan=False, allow_infinity=False)
        case mi.BoolType():
            return st.booleans()
        case mi.NoneType():
            return st.none()
        case mi.AnyType():
            return PLAIN
        case mi.StrType() if kind.pattern is not None:
            return st.from_regex(kind.pattern.replace(r"$(?!\n)", ""), fullmatch=True).map(str)
        case mi.StrType():
            most = 40 if kind.max_length is None else min(40, kind.max_length)
            return st.text(min_size=kind.min_length or 0, max_size=most)
    raise AssertionError(f"the protocol holds a type this test does not know: {kind}")


STRATEGIES = {cls: values_of(mi.type_info(cls)) for _, cls in MESSAGES}


def refused(frames: list[Any], side: Any = "client") -> WireError:
    with pytest.raises(WireError) as caught:
        decode(frames, side)
    return caught.value


@pytest.mark.parametrize(("side", "cls"), MESSAGES, ids=lambda v: getattr(v, "__name__", v))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_message_survives_the_wire(side: Any, cls: Any, data: st.DataObject) -> None:
    message = msgspec.convert(data.draw(STRATEGIES[cls]), cls)
    buffer = data.draw(st.binary(max_size=64)) if cls in (Chunk, Data) else None
    frames = [bytes(frame) for frame in encode(message, buffer)]
    back, carried = decode(frames, side)
    assert type(back) is cls
    assert back == message
    assert (carried is None) == (buffer is None)
    assert carried is None or bytes(carried) == buffer


@given(st.lists(st.binary(max_size=200), max_size=4), st.sampled_from(["client", "engine"]))
def test_random_bytes_give_a_message_or_a_wire_error(frames: list[bytes], side: Any) -> None:
    with suppress(WireError):
        decode(frames, side)


@given(PLAIN, st.sampled_from(["client", "engine"]))
def test_random_msgpack_gives_a_message_or_a_wire_error(value: Any, side: Any) -> None:
    with suppress(WireError):
        decode([msgpack.packb(value)], side)


@pytest.mark.parametrize(("side", "cls"), MESSAGES, ids=lambda v: getattr(v, "__name__", v))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_mutated_messages_give_a_message_or_a_wire_error(side: Any, cls: Any, data: st.DataObject) -> None:
    message = msgspec.convert(data.draw(STRATEGIES[cls]), cls)
    header = bytearray(msgpack.packb(msgspec.to_builtins(message)))
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(header)))
    for frames in ([header], [header[:cut]], [header, b"x"]):
        with suppress(WireError):
            decode(frames, side)


HEADERS = {
    "nothing": b"",
    "not a map": msgpack.packb([1, 2]),
    "no type": msgpack.packb({"job": JOB}),
    "unknown type": msgpack.packb({"type": "reboot"}),
    "the other side's type": msgpack.packb({"type": "pong"}),
    "unknown field": msgpack.packb({"type": "bye", "now": True}),
    "missing field": msgpack.packb({"type": "watch"}),
    "job that is no ULID": msgpack.packb({"type": "watch", "job": "../../etc"}),
    "wrong type of a field": msgpack.packb({"type": "ping", "t": "now"}),
    "negative offset": msgpack.packb({"type": "chunk", "job": JOB, "offset": -1}),
    "NaN": msgpack.packb({"type": "ping", "t": float("nan")}),
    "infinity": msgpack.packb({"type": "ping", "t": float("inf")}),
    "trailing bytes": msgpack.packb({"type": "bye"}) + b"\x00",
    "truncated": msgpack.packb({"type": "bye"})[:-1],
    "timestamp": msgpack.packb({"type": "ping", "t": msgpack.Timestamp(1)}),
    "ext type": msgpack.packb({"type": "ping", "t": msgpack.ExtType(5, b"payload")}),
    "empty ext type": msgpack.packb({"type": "ping", "t": msgpack.ExtType(5, b"")}),
    "bytes for text": msgpack.packb({"type": "watch", "job": JOB.encode()}),
    "bytes key": b"\x81\xc4\x00\x01",
    "integer key": msgpack.packb({1: 2}),
    "text that is not UTF-8": b"\x81\xa4type\xa2\xff\xfe",
    "map that claims 4 billion entries": b"\xdf\xff\xff\xff\xff",
    "array that claims 4 billion entries": b"\xdd\xff\xff\xff\xff",
    "text that claims 4 GB": b"\xdb\xff\xff\xff\xff",
    "a thousand arrays deep": b"\x91" * 1000 + b"\xc0",
    "reserved byte": b"\xc1",
    "larger than the limit": msgpack.packb({"type": "bye", "x": "y" * HEADER_BYTES}),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_a_malformed_header_is_one_wire_error(header: bytes) -> None:
    error = refused([header])
    assert error.code == "wire"
    assert error.message


def test_nesting_is_bounded_where_any_value_is_allowed() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    done = {"type": "done", "job": JOB, "stems": [], "seconds": 1.0, "seed": 0, "report": {"deep": deep}}
    assert "nested" in refused([msgpack.packb(done)], "engine").message


def test_ext_values_are_refused_where_any_value_is_allowed() -> None:
    done = {"type": "done", "job": JOB, "stems": [], "seconds": 1.0, "seed": 0}
    report = {"report": {"x": msgpack.ExtType(1, b"")}}
    refused([msgpack.packb(done | report)], "engine")


@pytest.mark.parametrize("count", [0, 3, 10])
def test_a_message_has_one_or_two_frames(count: int) -> None:
    assert str(count) in refused([msgpack.packb({"type": "bye"})] * count).message


def test_buffers_go_with_chunk_and_data_only() -> None:
    bye = msgpack.packb({"type": "bye"})
    chunk = msgpack.packb({"type": "chunk", "job": JOB, "offset": 0})
    assert "unwanted" in refused([bye, b"x"]).message
    assert "no buffer" in refused([chunk]).message
    assert str(CHUNK_BYTES) in refused([chunk, bytes(CHUNK_BYTES + 1)]).message
    assert decode([chunk, bytes(CHUNK_BYTES)], "client")[0] == Chunk(JOB, 0)
    with pytest.raises(WireError):
        encode(Chunk(JOB, 0))
    with pytest.raises(WireError):
        encode(Bye(), b"x")
    with pytest.raises(WireError):
        encode(Chunk(JOB, 0), bytes(CHUNK_BYTES + 1))


def test_the_error_names_the_field() -> None:
    submit = msgspec.to_builtins(Submit(JOB, Path("/a.wav"), DeliverPcm(), Preset()))
    submit["params"]["steps"] = 5000
    error = refused([msgpack.packb(submit)])
    assert error.field == "params.steps"
    assert "1000" in error.message


def test_buffers_are_views_not_copies() -> None:
    samples = bytearray(1000)
    frames = encode(Chunk(JOB, 0), memoryview(samples)[100:200])
    _, carried = decode(frames, "client")
    assert carried is not None
    samples[100] = 7
    assert carried[0] == 7


@pytest.mark.parametrize("value", [float("nan"), 2**70, object()])
def test_a_report_with_no_place_on_the_wire_is_refused_by_the_sender(
    value: Any, report: RenderReport
) -> None:
    with pytest.raises(WireError, match="done"):
        encode(Done(JOB, (), 1.0, 0, msgspec.structs.replace(report, peak=value)))


def test_a_header_over_the_limit_is_refused_by_the_sender() -> None:
    with pytest.raises(WireError, match=str(HEADER_BYTES)):
        encode(Hello(1, "x" * HEADER_BYTES))


def test_a_whole_number_will_do_for_a_float() -> None:
    assert decode([msgpack.packb({"type": "ping", "t": 3})], "client")[0] == Ping(3.0)


@pytest.mark.parametrize(
    ("header", "message", "field"),
    [
        ({"type": "ping", "now": 1}, "malformed message: Object contains unknown field `now`", None),
        ({"type": "ping", "t": "x"}, "malformed message: Expected `float`, got `str` - at `$.t`", "t"),
        ({"type": "nonsense"}, "malformed message: Invalid value 'nonsense' - at `$.type`", "type"),
        ([1], "malformed message: Expected `object`, got `array`", None),
    ],
)
def test_an_error_names_the_place_in_the_header(header: object, message: str, field: str | None) -> None:
    with pytest.raises(WireError) as caught:
        decode([msgpack.packb(header)], "client")
    assert (caught.value.message, caught.value.field) == (message, field)


def test_a_message_is_decoded_without_looking_through_all_kinds_anew() -> None:
    header = msgpack.packb({"type": "ping", "t": 1.0})
    values = msgpack.unpackb(header)
    decoding = min(timeit.repeat(lambda: decode([header], "client"), number=50, repeat=20))
    anew = min(timeit.repeat(lambda: msgspec.convert(values, ClientMessage), number=50, repeat=20))
    assert decoding < anew, "4 us against 30 where this was written"
