"""`python -m engine serve`: assembles an engine from its options, and runs it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial

import msgspec

from bridge.wire.curve_keys import allowed, own_keys, read_allow_list
from bridge.wire.home import (
    Connection,
    Home,
    claim,
    ipc_endpoint,
    make_runtime,
    prepare,
    remove_connection,
    this_process,
    write_connection,
)
from bridge.wire.lock import FileLock
from bridge.wire.messages import VERSION
from bridge.wire.stop_request import asked_to_stop
from engine.metrics import start_metrics
from engine.serve_options import Options, is_loopback, parsed
from engine.serving.connection_limit import raise_descriptor_limit
from engine.serving.curve_auth import CurveAuth
from engine.serving.listener import Listener
from engine.serving.server import FAREWELL_S, Server
from engine.serving.worker_pool import WorkerPool
from engine.state.spool import Spool
from engine.state.store import Store
from engine.worker import process
from presets.errors import EngineError, UsageError
from presets.version import VERSION as SOFTWARE

LOOPBACK = "tcp://127.0.0.1:*"
log = logging.getLogger("airband.engine")


def main(argv: Sequence[str]) -> int:
    """Runs an engine until it is told to stop, or has been idle for long enough."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr
    )
    serve(parsed(argv))
    return 0


def serve(options: Options) -> None:
    """Runs one engine: locks the state folder, binds, starts workers, serves, and cleans up.

    Raises:
        EngineError: another engine runs on the folder, its jobs are damaged, or no worker starts.
        OutputError: no room in the state folder, or no permission.
        UsageError: the endpoint cannot be bound, or must not be.
    """
    home = options.home
    os.umask(0o077)
    raise_descriptor_limit()
    with ExitStack() as stack:
        prepare(home)
        lock = claim(home)
        stack.callback(lock.release)
        stack.callback(remove_connection, home)
        store = stack.enter_context(closing(Store(home.state / "jobs.sqlite")))
        spool = Spool(options.worker.spool, options.quota_bytes)
        endpoint = options.endpoint or ipc_endpoint(home) or LOOPBACK
        make_folder = None if options.endpoint else partial(make_runtime, home)
        listener = Listener(endpoint, _curve_auth(endpoint, options), make_folder)
        stack.callback(_remove_runtime, home)
        stack.callback(listener.close, int(1000 * FAREWELL_S))
        connection = msgspec.structs.replace(
            _connection(listener, home),
            roots=tuple(map(str, options.worker.roots)),
            on_demand=options.on_demand,
            quota_bytes=options.quota_bytes,
        )
        pool = WorkerPool(options.devices, process.main, options.worker, options.helpers)
        stack.callback(pool.kill)
        announce = partial(_announce, home, lock, connection)
        server = stack.enter_context(
            closing(
                Server(
                    listener, store, spool, pool, announce, partial(asked_to_stop, home), options.idle_exit_s
                )
            )
        )
        if options.metrics_port is not None:
            stack.callback(start_metrics(server, options.metrics_port))
        server.handle_signals()
        server.wait_ready()
        log.info("engine %s serves at %s", SOFTWARE, connection.endpoint)
        server.run()
    log.info("engine stopped")


def _announce(home: Home, lock: FileLock, connection: Connection) -> None:
    """Writes the connection file where it is missing; EngineError if the state folder was replaced."""
    if not lock.is_in_place:
        raise EngineError(f"{home.lock} is gone: the state folder was deleted or replaced")
    if not home.connection.exists():
        lock.write(msgspec.json.encode(msgspec.structs.replace(connection, client=None)))
        write_connection(home, connection)


def _remove_runtime(home: Home) -> None:
    with suppress(OSError):  # it was never made, or still holds something of the user's
        home.runtime.rmdir()


def _curve_auth(endpoint: str, options: Options) -> CurveAuth | None:
    """Access control; None for ipc, whose folder only the user can enter."""
    if endpoint.startswith("ipc://"):
        return None
    home = options.home
    if options.allow is not None:
        read_allow_list(options.allow)
    allow_list = options.allow or home.allow_list
    if not is_loopback(endpoint) and not allowed(allow_list):
        raise UsageError(
            f"{endpoint} can be reached from other machines: allow the keys that may connect with "
            "`airband keys allow` or --allow FILE, or bind tcp://127.0.0.1:PORT",
            "endpoint",
        )
    return CurveAuth(own_keys(home.state, "engine"), own_keys(home.state).public, allow_list)


def _connection(listener: Listener, home: Home) -> Connection:
    """The content of the connection file."""
    if listener.auth is None:
        return this_process(listener.endpoint, VERSION)
    reached = listener.endpoint.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    return this_process(reached, VERSION, listener.auth.keys.public, own_keys(home.state))
