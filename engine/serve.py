"""`python -m engine serve`: puts an engine together from its options and lets it run."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import zmq

from bridge.wire.curve_keys import own_keys, read_allow_list
from bridge.wire.home import (
    Connection,
    Home,
    claim,
    find_home,
    ipc_endpoint,
    prepare,
    remove_connection,
    write_connection,
)
from bridge.wire.messages import VERSION
from engine.serving.curve_auth import CurveAuth
from engine.serving.server import Server, router
from engine.serving.spool import QUOTA_BYTES, Spool
from engine.serving.store import Store
from engine.serving.worker_messages import WorkerOptions
from engine.serving.worker_pool import WorkerPool
from engine.worker import process
from presets.errors import UsageError
from presets.version import VERSION as SOFTWARE

LOOPBACK = "tcp://127.0.0.1:*"

log = logging.getLogger("airband.engine")


@dataclass(frozen=True, slots=True)
class Options:
    """What `serve` was asked for; see its --help."""

    home: Home
    endpoint: str | None
    devices: tuple[str, ...]
    worker: WorkerOptions
    allow: Path | None
    quota_bytes: int
    idle_exit_s: float | None


def main(argv: Sequence[str]) -> int:
    """Runs an engine until it is told to stop, or idle for long enough."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr
    )
    serve(_options(argv))
    return 0


def serve(options: Options) -> None:
    """Runs one engine: locks the state folder, binds, starts workers, serves, and cleans up.

    Raises:
        EngineError: another engine runs on the folder, its jobs are damaged, no worker starts.
        OutputError: no room or permission in the state folder.
        UsageError: an endpoint that cannot be bound, or must not be.
    """
    home = options.home
    os.umask(0o077)
    with ExitStack() as stack:
        prepare(home)
        stack.callback(claim(home).release)
        store = stack.enter_context(closing(Store(home.state / "jobs.sqlite")))
        spool = Spool(options.worker.spool, options.quota_bytes)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.term)
        socket = stack.enter_context(closing(router(context)))
        connection, auth = _bind(socket, context, options)
        if auth is not None:
            stack.callback(auth.close)
        pool = WorkerPool(options.devices, process.main, options.worker)
        stack.callback(pool.kill)
        server = stack.enter_context(closing(Server(socket, store, spool, pool, auth, options.idle_exit_s)))
        server.handle_signals()
        server.wait_ready()
        write_connection(home, connection)
        stack.callback(remove_connection, home)
        log.info("engine %s serves at %s", SOFTWARE, connection.endpoint)
        server.run()
    log.info("engine left")


def _bind(
    socket: zmq.Socket[bytes], context: zmq.Context[zmq.Socket[bytes]], options: Options
) -> tuple[Connection, CurveAuth | None]:
    """Binds the socket; returns what the connection file will say, and the guard of a tcp socket."""
    endpoint = options.endpoint or ipc_endpoint(options.home) or LOOPBACK
    auth, server_key, client = None, "", None
    if not endpoint.startswith(("ipc://", "tcp://")):
        raise UsageError(f"endpoint {endpoint!r} is neither ipc:// nor tcp://", "endpoint")
    if endpoint.startswith("tcp://"):
        if options.allow is None and not _is_loopback(endpoint):
            raise UsageError(
                f"{endpoint} can be reached from other machines: name the keys that may connect "
                "with --allow FILE, or bind tcp://127.0.0.1:PORT",
                "endpoint",
            )
        client, pair = own_keys(options.home.state), own_keys(options.home.state, "engine")
        listed = read_allow_list(options.allow) if options.allow is not None else frozenset[bytes]()
        auth = CurveAuth(context, listed | {client.public.encode()})
        auth.guard(socket, pair)
        server_key = pair.public
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise UsageError(
            f"{endpoint} cannot be bound: {error.strerror}; choose another --endpoint", "endpoint"
        ) from None
    bound = (
        socket.getsockopt_string(zmq.LAST_ENDPOINT).replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    )
    return Connection(bound, os.getpid(), time.time(), SOFTWARE, VERSION, server_key, client), auth


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _default_roots(endpoint: str | None) -> list[Path]:
    """An engine in the user's private folder opens what the user may open; one elsewhere, nothing unasked."""
    return [Path(Path.cwd().anchor)] if endpoint is None else []


def _options(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m engine serve", description=__doc__)
    parser.add_argument("--state", type=Path, help="folder of jobs and results (default: the user's own)")
    parser.add_argument("--endpoint", help="ipc://PATH or tcp://HOST:PORT (default: ipc in a private folder)")
    parser.add_argument(
        "--allow", type=Path, metavar="FILE", help="CURVE keys that may connect over tcp, one a line"
    )
    parser.add_argument(
        "--device", action="append", metavar="auto|cpu|cuda:N|mps", help="where to render; repeat for several"
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile AudioSR (on a GPU into CUDA graphs): minutes at its first window of each length",
    )
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="jobs may name paths below DIR; repeatable (default: any, but none with --endpoint)",
    )
    parser.add_argument(
        "--quota", type=float, default=QUOTA_BYTES / 1e9, metavar="GB", help="what the spool may hold"
    )
    parser.add_argument("--idle-exit", type=float, metavar="S", help="leave after S seconds without work")
    given = parser.parse_args(argv)
    home = find_home(given.state)
    roots = tuple(root.expanduser().resolve() for root in given.root or _default_roots(given.endpoint))
    return Options(
        home,
        given.endpoint,
        tuple(dict.fromkeys(given.device or ["auto"])),
        WorkerOptions(home.state / "spool", roots, given.compile),
        given.allow,
        int(given.quota * 1e9),
        given.idle_exit,
    )
