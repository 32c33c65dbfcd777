from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.wire.transfer import ArrayBytes, CheckedReceiver, FileBytes, Piece, Receiver, Sender
from presets.errors import InputError, WireError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES

NOISE = np.random.default_rng(1).integers(0, 256, 10_000, np.uint8)


def digest_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def move(sender: Sender, receiver: Receiver) -> bytes:
    """Moves all that can be moved; returns the bytes that were new to the receiver."""
    moved = b""
    while grant := receiver.grant():
        sender.grant(*grant)
        while piece := sender.next():
            moved += bytes(receiver.take(*piece))
    return moved


@given(
    st.integers(1, 10_000),
    st.integers(1, 3000),
    st.integers(1, 5000),
    st.lists(st.integers(0, 10_000), max_size=3),
)
def test_a_clip_arrives_whole_across_any_number_of_lost_connections(
    nbytes: int, chunk: int, credit: int, losses: list[int]
) -> None:
    data = NOISE[:nbytes]
    sender = Sender(ArrayBytes(data), chunk)
    arrived = b""
    for loss in losses:
        receiver = Receiver(nbytes, len(arrived), credit)
        sender.resume(len(arrived))
        while len(arrived) < min(loss, nbytes - 1) and (grant := receiver.grant()):
            sender.grant(*grant)
            while piece := sender.next():
                if piece.last:
                    break
                arrived += bytes(receiver.take(*piece))
    receiver = Receiver(nbytes, len(arrived), credit)
    sender.resume(len(arrived))
    arrived += move(sender, receiver)
    assert arrived == data.tobytes()
    assert receiver.complete
    assert receiver.digest == digest_of(data.tobytes())


def test_a_new_sender_goes_on_where_the_receiver_stands() -> None:
    data = NOISE.tobytes()
    receiver = Receiver(len(data), 7000)
    sender = Sender(ArrayBytes(NOISE), 1000)
    sender.resume(receiver.offset)
    assert move(sender, receiver) == data[7000:]
    assert receiver.digest == digest_of(data)


def test_only_the_last_piece_was_lost() -> None:
    receiver = Receiver(NOISE.nbytes, NOISE.nbytes)
    sender = Sender(ArrayBytes(NOISE), 1000)
    sender.resume(receiver.offset)
    piece = sender.next()
    assert piece is not None
    assert (piece.offset, len(piece.buffer), piece.last) == (NOISE.nbytes, 0, True)
    receiver.take(*piece)
    assert receiver.complete


def test_the_sender_keeps_within_its_credit() -> None:
    sender = Sender(ArrayBytes(NOISE), 1000)
    assert sender.next() is None
    sender.grant(0, 2500)
    sizes = []
    while piece := sender.next():
        sizes.append(len(piece.buffer))
    assert sizes == [1000, 1000, 500]
    sender.grant(0, 2500)
    assert sender.next() is None


def test_the_receiver_never_grants_more_than_its_window_and_the_clip() -> None:
    receiver = Receiver(100 * CHUNK_BYTES)
    assert receiver.grant() == (0, CREDIT_BYTES)
    assert receiver.grant() is None
    small = Receiver(10)
    assert small.grant() == (0, 10)
    assert small.grant() is None


def test_credit_is_renewed_before_the_sender_runs_dry() -> None:
    receiver = Receiver(1000, credit_bytes=100)
    receiver.grant()
    receiver.take(0, memoryview(bytes(49)), False, None)
    assert receiver.grant() is None
    receiver.take(49, memoryview(bytes(11)), False, None)
    assert receiver.grant() == (60, 100)


def test_pieces_are_views_of_the_array() -> None:
    data = np.zeros(100, np.float32)
    sender = Sender(ArrayBytes(data))
    sender.grant(0, data.nbytes)
    piece = sender.next()
    assert piece is not None
    assert np.shares_memory(np.frombuffer(piece.buffer, np.float32), data)


def refused(receiver: Receiver, piece: Piece) -> WireError:
    with pytest.raises(WireError) as caught:
        receiver.take(*piece)
    return caught.value


def granted(nbytes: int = 100, credit: int = 100) -> Receiver:
    receiver = Receiver(nbytes, credit_bytes=credit)
    receiver.grant()
    return receiver


def test_a_gap_is_refused() -> None:
    assert refused(granted(), Piece(1, memoryview(bytes(10)), False, None)).field == "offset"


def test_bytes_beyond_the_credit_are_refused() -> None:
    receiver = granted(credit=20)
    assert "credit ends at 20" in refused(receiver, Piece(0, memoryview(bytes(21)), False, None)).message
    assert "credit ends at 0" in refused(Receiver(100), Piece(0, memoryview(bytes(1)), False, None)).message


def test_bytes_beyond_the_end_are_refused() -> None:
    assert "101" in refused(granted(), Piece(0, memoryview(bytes(101)), True, "0" * 64)).message


def test_an_end_before_the_end_and_a_missing_end_are_refused() -> None:
    assert refused(granted(), Piece(0, memoryview(bytes(99)), True, "0" * 64)).field == "last"
    assert refused(granted(), Piece(0, memoryview(bytes(100)), False, None)).field == "last"


def test_an_end_without_a_digest_is_refused() -> None:
    assert refused(granted(), Piece(0, memoryview(bytes(100)), True, None)).field == "digest"


@pytest.mark.parametrize("digest", [None, "0" * 64])
def test_a_wrong_digest_is_refused_by_who_checks(digest: str | None) -> None:
    receiver = CheckedReceiver(100)
    receiver.grant()
    assert refused(receiver, Piece(0, memoryview(bytes(100)), True, digest)).field == "digest"
    assert not receiver.complete


def test_credit_that_waits_for_the_disk_is_renewed_with_none() -> None:
    receiver = Receiver(1000, 600, 100)
    assert receiver.renew(settled=200) == (600, 0)
    assert receiver.grant(settled=540) is None
    assert receiver.outstanding(600) == 0
    assert receiver.grant(settled=550) == (600, 50)


def test_nothing_is_taken_after_the_end() -> None:
    receiver = granted()
    piece = Piece(0, memoryview(bytes(100)), True, digest_of(bytes(100)))
    receiver.take(*piece)
    refused(receiver, piece)


def test_a_piece_that_overlaps_or_repeats_brings_only_what_is_new() -> None:
    receiver = granted()
    data = NOISE.tobytes()[:100]
    assert bytes(receiver.take(0, memoryview(data[:50]), False, None)) == data[:50]
    assert bytes(receiver.take(0, memoryview(data[:30]), False, None)) == b""
    assert bytes(receiver.take(20, memoryview(data[20:70]), False, None)) == data[50:70]
    assert bytes(receiver.take(0, memoryview(data), True, digest_of(data))) == data[70:]
    assert receiver.complete


def test_a_resume_beyond_the_source_is_refused() -> None:
    with pytest.raises(WireError, match="10001"):
        Sender(ArrayBytes(NOISE)).resume(10_001)
    with pytest.raises(WireError):
        Receiver(10, 11)


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(NOISE.tobytes())
    with FileBytes(path) as source:
        assert move(Sender(source, 999), CheckedReceiver(source.nbytes)) == NOISE.tobytes()


def test_a_file_that_shrinks_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(NOISE.tobytes())
    with FileBytes(path) as source:
        path.write_bytes(b"")
        with pytest.raises(InputError, match="shorter"):
            source.read(0, 100)


@pytest.mark.parametrize("name", ["missing.wav", "empty.wav", "folder"])
def test_a_file_that_cannot_be_sent_is_an_input_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=name):
        FileBytes(tmp_path / name)
