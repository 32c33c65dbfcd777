"""The worker processes as the server sees them: signs of life, and pauses between deaths."""

from __future__ import annotations

import socket
from multiprocessing.connection import Connection

import pytest

from engine.serving import worker_pool
from engine.serving.worker_messages import Beat, ToWorker, receive, send


def test_a_worker_that_answers_nothing_is_found_out_and_one_that_answers_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_pool, "BEAT_S", 0.0)
    monkeypatch.setattr(worker_pool, "SILENCE_S", 0.0)
    worker = worker_pool.Worker("cpu", lambda _: None)  # type: ignore[arg-type, return-value]
    assert not worker.is_silent(), "one that does not run owes nothing"
    ours, theirs = socket.socketpair()
    worker.pipe = Connection(ours.detach())
    far_end = Connection(theirs.detach())
    monkeypatch.setattr(worker_pool, "BEAT_S", 1e-9)
    monkeypatch.setattr(worker_pool, "SILENCE_S", 2.5e-9)
    for _ in range(5):
        assert not worker.is_silent()
        assert isinstance(receive(far_end, ToWorker), Beat)
        send(far_end, Beat())
        assert isinstance(worker.receive(), Beat)
    assert [worker.is_silent() for _ in range(3)] == [False, False, True]
    worker.bury()
    assert worker.pipe is None
    far_end.close()
