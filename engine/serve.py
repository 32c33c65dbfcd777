"""`python -m engine serve`: puts an engine together from its options and lets it run."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bridge.wire.curve_keys import allowed, own_keys, read_allow_list
from bridge.wire.home import (
    Connection,
    Home,
    claim,
    find_home,
    ipc_endpoint,
    make_runtime,
    prepare,
    remove_connection,
    this_process,
    write_connection,
)
from bridge.wire.lock import FileLock
from bridge.wire.messages import VERSION
from engine.metrics import start_metrics
from engine.serving.connection_limit import raise_descriptor_limit
from engine.serving.curve_auth import CurveAuth
from engine.serving.listener import Listener
from engine.serving.server import FAREWELL_S, Server
from engine.serving.worker_messages import WorkerOptions
from engine.serving.worker_pool import HELPERS_MAX, WorkerPool, cores
from engine.state.spool import QUOTA_BYTES, Spool
from engine.state.store import Store
from engine.worker import process
from presets.errors import EngineError, UsageError
from presets.version import VERSION as SOFTWARE

LOOPBACK = "tcp://127.0.0.1:*"
AMOUNT_MAX = 1e9
"""GB and seconds that may be asked for: an exabyte, and thirty years."""

log = logging.getLogger("airband.engine")


@dataclass(frozen=True, slots=True)
class Options:
    """What `serve` was asked for; see its --help."""

    home: Home
    endpoint: str | None
    devices: tuple[str, ...]
    helpers: int
    worker: WorkerOptions
    allow: Path | None
    quota_bytes: int
    idle_exit_s: float | None
    on_demand: bool
    metrics_port: int | None


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
            closing(Server(listener, store, spool, pool, announce, options.idle_exit_s))
        )
        if options.metrics_port is not None:
            stack.callback(start_metrics(server, options.metrics_port))
        server.handle_signals()
        server.wait_ready()
        log.info("engine %s serves at %s", SOFTWARE, connection.endpoint)
        server.run()
    log.info("engine left")


def _announce(home: Home, lock: FileLock, connection: Connection) -> None:
    """Writes the connection file where it is missing; EngineError if the state folder was replaced."""
    if not lock.is_in_place:
        raise EngineError(f"{home.lock} is gone: the state folder was deleted or replaced")
    if not home.connection.exists():
        lock.write(msgspec.json.encode(msgspec.structs.replace(connection, client=None)))
        write_connection(home, connection)


def _remove_runtime(home: Home) -> None:
    with suppress(OSError):  # never made, or something of the user's lies in it
        home.runtime.rmdir()


def _curve_auth(endpoint: str, options: Options) -> CurveAuth | None:
    """Who may connect; None for ipc, whose folder only the user can enter."""
    if endpoint.startswith("ipc://"):
        if endpoint.startswith("ipc://@"):
            raise UsageError(f"{endpoint} is open to every user of this machine; give ipc://PATH", "endpoint")
        return None
    if not endpoint.startswith("tcp://"):
        raise UsageError(f"endpoint {endpoint!r} is neither ipc:// nor tcp://", "endpoint")
    home = options.home
    if options.allow is not None:
        read_allow_list(options.allow)
    allow_list = options.allow or home.allow_list
    if not _is_loopback(endpoint) and not allowed(allow_list):
        raise UsageError(
            f"{endpoint} can be reached from other machines: allow the keys that may connect with "
            "`airband keys allow` or --allow FILE, or bind tcp://127.0.0.1:PORT",
            "endpoint",
        )
    return CurveAuth(own_keys(home.state, "engine"), own_keys(home.state).public, allow_list)


def _connection(listener: Listener, home: Home) -> Connection:
    """What the connection file will say."""
    if listener.auth is None:
        return this_process(listener.endpoint, VERSION)
    reached = listener.endpoint.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    return this_process(reached, VERSION, listener.auth.keys.public, own_keys(home.state))


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _default_roots(endpoint: str | None) -> list[Path]:
    """An engine in the user's private folder opens what the user may open; one elsewhere, nothing unasked."""
    return [Path(Path.cwd().anchor)] if endpoint is None else []


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value <= AMOUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 0 to {AMOUNT_MAX:g}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 1 to {(1 << 16) - 1}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 1 or more")
    return value


def _folder(text: str) -> Path:
    path = Path(os.path.realpath(os.path.expanduser(text)))
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return path


def _options(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="airband serve", description="Run an engine here until it is told to stop."
    )
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="folder of jobs and results (default: the user's own)"
    )
    parser.add_argument("--endpoint", help="ipc://PATH or tcp://HOST:PORT (default: ipc in a private folder)")
    parser.add_argument(
        "--allow",
        type=Path,
        metavar="FILE",
        help="CURVE keys that may connect over tcp, one a line (default: those of `airband keys`)",
    )
    parser.add_argument(
        "--device", action="append", metavar="auto|cpu|cuda:N|mps", help="where to render; repeat for several"
    )
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="on a processor, up to N processes while jobs of draft wait, some 350 MB each "
        f"(default: one a core, {1 + HELPERS_MAX} at most; 1 with --device)",
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
        type=_folder,
        metavar="DIR",
        help="jobs may name paths below DIR; repeatable (default: any, but none with --endpoint)",
    )
    parser.add_argument(
        "--quota",
        type=_amount,
        default=QUOTA_BYTES / 1e9,
        metavar="GB",
        help="what the spool may hold (default: %(default)g)",
    )
    parser.add_argument(
        "--idle-exit", type=_amount, metavar="S", help="leave after S seconds without work (default: stay)"
    )
    parser.add_argument(
        "--on-demand",
        action="store_true",
        help="make way for an engine of another version when its client comes",
    )
    parser.add_argument(
        "--metrics", type=_port, metavar="PORT", help="tell Prometheus at http://127.0.0.1:PORT/metrics"
    )
    given = parser.parse_args(argv)
    usual_workers = 1 if given.device else min(cores(), 1 + HELPERS_MAX)
    home = find_home(given.state)
    roots = tuple(given.root or _default_roots(given.endpoint))
    return Options(
        home,
        given.endpoint,
        tuple(dict.fromkeys(given.device or ["auto"])),
        (given.workers or usual_workers) - 1,
        WorkerOptions(home.state / "spool", roots, given.compile),
        given.allow,
        int(given.quota * 1e9),
        given.idle_exit,
        given.on_demand,
        given.metrics,
    )
