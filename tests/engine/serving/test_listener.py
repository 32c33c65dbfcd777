"""Clients' messages are handled in turn, and no more are kept than may wait."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bridge.wire.messages import Ping
from engine.serving.listener import ASKED_BYTES, ASKED_MAX, Asked, Inbox, Listener
from presets.errors import UsageError


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


@pytest.mark.skipif(os.name != "posix", reason="sockets with a path")
def test_nobodys_socket_and_nobodys_file_is_taken(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/e"
    first = Listener(endpoint)
    try:
        with pytest.raises(UsageError, match="listens there"):
            Listener(endpoint)
        assert first.is_reachable
        first.reopen()
    finally:
        first.close()
    assert not (tmp_path / "e").exists()
    (tmp_path / "take.wav").write_bytes(b"a recording")
    with pytest.raises(UsageError, match="is not a socket"):
        Listener(f"ipc://{tmp_path}/take.wav")
    assert (tmp_path / "take.wav").read_bytes() == b"a recording"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(f"{tmp_path}/e")
    Listener(endpoint).close()
