"""The figures of a live engine for Prometheus."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.wire.messages import Done, Ping, Pong
from engine.metrics import ASKING_MAX

if TYPE_CHECKING:
    from tests.conftest import LiveEngine, Peer

pytest.importorskip("prometheus_client", reason="extra `metrics`")


def test_prometheus_is_told_what_became_of_jobs_and_whoever_asks_nothing_costs_little(
    start_engine: Callable[..., LiveEngine],
    connect: Callable[..., Peer],
    dull: NDArray[np.float32],
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    live = start_engine("--metrics", str(port))
    peer = connect(live)
    assert isinstance(peer.outcome(peer.submit(dull)), Done)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
        lines = [line.rpartition(" ") for line in page.read().decode().splitlines() if line[0] != "#"]
    figures = {name: float(value) for name, _, value in lines}
    assert figures['airband_jobs_ended_total{state="done"}'] == 1
    assert (figures["airband_jobs_unfinished"], figures["airband_workers_ready"]) == (0, 1)
    assert figures["airband_sessions"] == 1
    assert figures["airband_spool_used_bytes"] >= 2 * dull.nbytes
    assert figures["airband_resident_bytes"] > 2**20
    before = live.threads
    with ExitStack() as stack:
        for _ in range(40):  # without a limit each would take a thread of the engine
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert live.threads < before + 2 * ASKING_MAX
        assert peer.ask(Ping(1.0)) == Pong(1.0)
    wait_until(lambda: is_answered(port), "those that ask nothing to be shut")


def is_answered(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
        return bool(page.status == 200)
    return False
