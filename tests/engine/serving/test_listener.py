"""What clients asked is done in turn, and no more of it is kept than may wait."""

from __future__ import annotations

from bridge.wire.messages import Ping
from engine.serving.listener import ASKED_BYTES, ASKED_MAX, Asked, Inbox


def asked(route: bytes, number: float, nbytes: int = 10) -> Asked:
    return Asked(route, "", Ping(number), None, nbytes)


def test_one_message_of_each_client_in_turn() -> None:
    inbox = Inbox()
    for number in range(3):
        inbox.put(asked(b"busy", number))
    inbox.put(asked(b"calm", 9))
    assert len(inbox) == 4
    served = []
    while (each := inbox.next()) is not None:
        served.append((each.route, each.message.t))  # type: ignore[union-attr]
    assert served == [(b"busy", 0), (b"calm", 9), (b"busy", 1), (b"busy", 2)]
    assert not inbox
    assert b"busy" not in inbox


def test_what_waits_is_bounded_in_number_and_bytes() -> None:
    for nbytes, count in ((10, ASKED_MAX), (ASKED_BYTES // 4, 4)):
        inbox = Inbox()
        for number in range(count):
            assert not inbox.is_full
            inbox.put(asked(bytes([number % 7]), number, nbytes))
        assert inbox.is_full
        inbox.next()
        assert not inbox.is_full
        inbox.clear()
        assert (len(inbox), inbox.next()) == (0, None)
