"""A live engine and peers that violate the protocol: 20,000 messages of every kind of wrong, or as many as in

AIRBAND_MALFORMED=200000 pytest -s -k malformed tests/bridge/wire/test_malformed.py

(1.2 million frames), which prints how much the engine's memory grew and how long others' pings took.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgpack
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from bridge import Client
from bridge.wire.frames import encode
from bridge.wire.messages import (
    VERSION,
    Audio,
    Chunk,
    ClientMessage,
    DeliverFile,
    DeliverPcm,
    Error,
    Fetch,
    File,
    Hello,
    Pcm,
    Ping,
    Pong,
    Submit,
    Watch,
)
from bridge.wire.ulid import new_ulid
from presets.errors import AirbandError, error_class
from presets.schema import Preset, make

if TYPE_CHECKING:
    from tests.conftest import LiveEngine, Peer

MESSAGES, DRAWN = int(os.environ.get("AIRBAND_MALFORMED", "20000")), 10_000
"""How many are sent, and how many different ones: drawing one takes longer than answering it."""
GROWTH_BYTES = 64 * 1024**2
"""How much an engine may hold for those who send it such messages."""
CORPUS = Path(__file__).parents[2] / "faults" / "corpus" / "frames"
LAST_KEY_COUNTS = "same-key-twice"
"""A file of the corpus that is a valid message after all."""
BATCH = 16
"""Messages in progress at a time: a stranger who sends faster than it reads gets no answers."""
JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def wrong_messages(rng: np.random.Generator) -> Callable[[], list[bytes]]:
    """Draws messages, from `faults/corpus` or wrong in one of eleven ways: the engine understands none."""
    kept = [path.read_bytes() for path in sorted(CORPUS.iterdir()) if path.name != LAST_KEY_COUNTS]
    headers = [
        msgpack.packb(msgspec.to_builtins(message))
        for message in (
            Hello(VERSION, "nasty"),
            Submit(JOB, File("a.wav", 10), DeliverFile(), Preset()),
            Chunk(JOB, 0, True, "0" * 64),
            Watch(JOB),
            Fetch(JOB, "full", 0, 1),
            Ping(1.0),
        )
    ]

    def any_header() -> bytes:
        return headers[int(rng.integers(len(headers)))]

    def changed(place: str, value: Any) -> bytes:
        fields = msgpack.unpackb(any_header())
        fields[place] = value
        return msgpack.packb(fields)

    ways: list[Callable[[], list[bytes]]] = [
        lambda: [b"\xc1" + rng.bytes(int(rng.integers(60)))],
        lambda: [any_header()[:-1]],
        lambda: [any_header() + b"\x00"],
        lambda: [any_header()] * int(rng.integers(3, 9)),
        lambda: [b""] * int(rng.integers(3, 100)),
        lambda: [kept[int(rng.integers(len(kept)))]],
        lambda: [b"\x91" * int(rng.integers(1, 2000)) + b"\xc0"],
        lambda: [changed("job", rng.bytes(8))],
        lambda: [changed("surplus", "../../etc/passwd")],
        lambda: [changed("type", ["ping"])],
        lambda: [bytes([0xDF]) + rng.bytes(4)],
        lambda: [msgpack.packb({"type": "ping", "t": float("nan")})],
    ]
    return lambda: ways[int(rng.integers(len(ways)))]()


def test_malformed_messages_leave_the_engine_answering(
    engine: LiveEngine,
    connect: Callable[..., Peer],
    pinged: Callable[[LiveEngine], AbstractContextManager[dict[str, Any]]],
    dull: NDArray[np.float32],
) -> None:
    draw = wrong_messages(np.random.default_rng(7))
    messages = cycle([draw() for _ in range(min(MESSAGES, DRAWN))])
    greeted = connect(engine)
    crowd = [greeted, connect(engine), connect(engine), connect(engine, hello=False)]
    before_bytes, frames = engine.resident_bytes, 0
    with pinged(engine) as figures:
        for nasty in islice(cycle(crowd), MESSAGES // BATCH):
            for message in islice(messages, BATCH):
                nasty.socket.send_multipart(message)
                frames += len(message)
            for _ in range(BATCH):
                [answer] = nasty.socket.recv_multipart()
                said = msgpack.unpackb(answer)
                assert (said["type"], said["code"]) == ("error", "wire")
        grown_bytes = engine.resident_bytes - before_bytes
    print(json.dumps(figures | {"frames": frames, "grown_by_mb": round(grown_bytes / 2**20, 1)}))
    assert grown_bytes < GROWTH_BYTES
    assert greeted.ask(Ping(3.0)) == Pong(3.0)
    with Client.connect(state=engine.home.state, start=False) as client:
        assert np.array_equal(client.submit((dull, 48000), model="null").wait(60).audio, dull)


def test_bytes_flipped_at_random_never_end_the_engine(
    engine: LiveEngine, connect: Callable[..., Peer]
) -> None:
    """Some of these happen to be valid messages: whatever they ask for, the engine goes on."""
    rng = np.random.default_rng(8)
    header = bytearray(encode(Submit(new_ulid(), File("a.wav", 10), DeliverFile(), Preset()))[0])
    nasty = connect(engine)
    for _ in range(1000):
        spoilt = header.copy()
        spoilt[int(rng.integers(len(spoilt)))] = int(rng.integers(256))
        nasty.socket.send_multipart([bytes(spoilt)])
        nasty.hear()
        while nasty.socket.poll(0):
            nasty.hear()
    assert connect(engine).ask(Ping(4.0)) == Pong(4.0)


OUT_OF_TURN: dict[str, tuple[Any, bytes | None]] = {
    "a chunk for nobody's upload": (Chunk(JOB, 0), b"x"),
    "a fetch of nobody's stem": (Fetch(JOB, "full", 0, 1), None),
    "a watch of nobody's job": (Watch(JOB), None),
}


@pytest.mark.parametrize(("message", "buffer"), OUT_OF_TURN.values(), ids=OUT_OF_TURN.keys())
def test_what_comes_out_of_turn_is_one_error_about_its_job(peer: Peer, message: Any, buffer: Any) -> None:
    answer = peer.ask(message, buffer)
    assert isinstance(answer, Error)
    assert answer.job == JOB
    assert error_class(answer.code) is not AirbandError


def test_nobody_is_served_before_hello(engine: LiveEngine, connect: Callable[..., Peer]) -> None:
    answer = connect(engine, hello=False).ask(Ping(1.0))
    assert isinstance(answer, Error)
    assert "hello" in answer.message


def test_a_frame_over_the_limit_ends_that_connection_and_no_other(
    engine: LiveEngine, connect: Callable[..., Peer]
) -> None:
    nasty, polite = connect(engine), connect(engine)
    nasty.socket.send_multipart([encode(Chunk(JOB, 0), b"")[0], bytes(2 * 2**20)])
    assert polite.ask(Ping(5.0)) == Pong(5.0)


def test_uploads_that_lie_are_refused_and_can_be_mended(
    engine: LiveEngine, connect: Callable[..., Peer], dull: NDArray[np.float32]
) -> None:
    clip = dull[:, :1000]
    job = new_ulid()
    peer = connect(engine)
    submit = Submit(job, Pcm(Audio(48000, *clip.shape)), DeliverPcm(), make(model="null"))
    peer.ask(submit)
    peer.hear()
    data = clip.tobytes()
    lies: list[tuple[Chunk, bytes]] = [
        (Chunk(job, 5), data[5:100]),
        (Chunk(job, 0), data + b"more"),
        (Chunk(job, 2**40), data[:100]),
    ]
    for chunk, buffer in lies:
        answer = peer.ask(chunk, buffer)
        assert isinstance(answer, Error)
        assert (answer.code, answer.job) == ("wire", job)
    with Client.connect(state=engine.home.state, start=False) as client:
        again = client.submit((clip, 48000), model="null", job=job)
        assert np.array_equal(again.wait(60).audio, clip)


def test_every_type_of_the_other_side_is_refused(peer: Peer) -> None:
    known = {cls.__struct_config__.tag for cls in get_args(ClientMessage)}
    for kind in ("welcome", "accepted", "done", "data", "pong", "closing"):
        assert kind not in known
        peer.socket.send_multipart([msgpack.packb({"type": kind, "job": JOB})])
        assert isinstance(peer.hear()[0], Error)
