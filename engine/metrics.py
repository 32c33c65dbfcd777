"""The metrics for Prometheus: `airband serve --metrics PORT`, only on this machine's loopback.

They are read from the engine's memory on each request, in the thread of the HTTP server: nothing is read from
disk, and the loop does no work for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from bridge.wire.resident import resident_bytes
from presets.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from engine.serving.server import Server

LOOPBACK = "127.0.0.1"
REQUEST_S = 5.0
"""How long a connection may take to send its request, in seconds."""
ASKING_MAX = 8
"""Most connections at a time: each has a thread, and a further one is closed at once."""


class EngineCollector:
    """Turns the state of a server into metrics, as a `prometheus_client.registry.Collector`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """All current metrics, in bytes and seconds, as is usual for Prometheus."""
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
            ("airband_spool_used_bytes", "Size of results and stems", now.spool_used_bytes),
            ("airband_spool_quota_bytes", "Limit for the spool", now.spool_quota_bytes),
            ("airband_resident_bytes", "Memory of the engine's loop, without its workers", resident_bytes()),
        ):
            yield GaugeMetricFamily(name, told, value=value)
        yield CounterMetricFamily("airband_render_seconds", "Seconds that jobs rendered", value=now.render_s)


def start_metrics(server: Server, port: int) -> Callable[[], None]:
    """Serves the metrics of a server at http://127.0.0.1:PORT/metrics; returns a function that stops it.

    Raises:
        UsageError: prometheus-client is not installed, or the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app
    except ImportError:
        raise UsageError(
            "--metrics needs prometheus-client: pip install 'airband[metrics]'", "metrics"
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast(Any, EngineCollector(server)))
    try:
        http = make_server(LOOPBACK, port, make_wsgi_app(registry), BoundedServer, QuietHandler)
    except OSError as error:
        raise UsageError(f"--metrics {port}: {error.strerror}; choose another port", "metrics") from None
    thread = threading.Thread(target=http.serve_forever, name="airband-metrics", daemon=True)
    thread.start()

    def stop() -> None:
        http.shutdown()
        http.server_close()
        thread.join()

    return stop


class QuietHandler(WSGIRequestHandler):
    """Answers one connection within REQUEST_S, without logging."""

    timeout = REQUEST_S

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


class BoundedServer(ThreadingMixIn, WSGIServer):
    """Serves up to ASKING_MAX connections at a time, each in a thread."""

    daemon_threads = True

    def __init__(self, *address_and_handler: Any) -> None:
        self._free = threading.BoundedSemaphore(ASKING_MAX)
        super().__init__(*address_and_handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a thread is free for a connection; it is released when the connection ends."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers a connection, in its own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()
