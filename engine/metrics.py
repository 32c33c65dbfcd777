"""What an engine tells Prometheus: `airband serve --metrics PORT`, on this machine's loopback alone.

The figures are read from the engine's memory when somebody asks, in the thread of the HTTP server: nothing is
read from disk, and the loop does nothing for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from engine.serving.memory import resident_bytes
from presets.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from engine.serving.server import Server

LOOPBACK = "127.0.0.1"
REQUEST_S = 5.0
"""How long a connection may take to ask."""
ASKING_MAX = 8
"""Connections at a time: each has a thread, and one more is shut at once."""


class EngineCollector:
    """Turns the state of a server into metrics, in the sense of `prometheus_client.registry.Collector`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """All metrics as they stand now; bytes and seconds, as Prometheus wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now = self._server.figures()
        ended = CounterMetricFamily("airband_jobs_ended", "Jobs that have ended", labels=["state"])
        for state, count in now.ended.items():
            ended.add_metric([state], count)
        yield ended
        for name, told, value in (
            ("airband_jobs_unfinished", "Jobs that upload, wait or run", now.unfinished),
            ("airband_jobs_waiting", "Jobs that wait for a worker", now.waiting),
            ("airband_workers_ready", "Workers that can take jobs", now.workers),
            ("airband_sessions", "Clients that are connected", now.sessions),
            ("airband_spool_used_bytes", "What results and stems weigh", now.spool_used_bytes),
            ("airband_spool_quota_bytes", "What the spool may hold", now.spool_quota_bytes),
            ("airband_resident_bytes", "Memory of the engine's loop, without its workers", resident_bytes()),
        ):
            yield GaugeMetricFamily(name, told, value=value)
        yield CounterMetricFamily("airband_render_seconds", "Seconds that jobs rendered", value=now.render_s)


def start_metrics(server: Server, port: int) -> Callable[[], None]:
    """Serves the metrics of a server at http://127.0.0.1:PORT/metrics; what it returns ends that.

    Raises:
        UsageError: prometheus-client is not installed, or the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise UsageError(
            "--metrics needs prometheus-client: pip install 'airband[metrics]'", "metrics"
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast(Any, EngineCollector(server)))
    try:
        http, thread = start_http_server(port, LOOPBACK, registry)
    except OSError as error:
        raise UsageError(f"--metrics {port}: {error.strerror}; choose another port", "metrics") from None

    serving = cast(Any, http)
    serving.RequestHandlerClass = type("Handler", (serving.RequestHandlerClass,), {"timeout": REQUEST_S})
    serving.verify_request = lambda *_: _asking() < ASKING_MAX

    def stop() -> None:
        http.shutdown()
        http.server_close()
        thread.join()

    return stop


def _asking() -> int:
    """How many threads serve a connection; socketserver names them after what they run."""
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())
