"""The options of `airband serve`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from bridge.wire.home import Home, find_home
from engine.serving.worker_messages import WorkerOptions
from engine.serving.worker_pool import HELPERS_MAX, cores
from engine.state.spool import QUOTA_BYTES
from presets.printable import is_utf8

AMOUNT_MAX = 1e9
"""The largest amount of GB or seconds: an exabyte, or thirty years."""
PORTS = 1 << 16
DEVICE = re.compile(r"auto|cpu|mps|cuda:\d{1,3}")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `serve`; see its --help."""

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


def is_loopback(endpoint: str) -> bool:
    """Whether a tcp endpoint can be reached only from this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _default_roots(endpoint: str | None) -> list[Path]:
    """By default an engine in the user's private folder opens all that the user may open; others, nothing."""
    return [Path(Path.cwd().anchor)] if endpoint is None else []


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value <= AMOUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 0 to {AMOUNT_MAX:g}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < PORTS:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 1 to {PORTS - 1}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 1 or more")
    return value


def _path(text: str) -> Path:
    if not text:  # Path("") would be the current folder
        raise argparse.ArgumentTypeError("an empty name was given for a file or folder; is a variable unset?")
    return Path(text)


def _folder(text: str) -> Path:
    path = Path(os.path.realpath(os.path.expanduser(_path(text))))
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    if not is_utf8(str(path)):
        raise argparse.ArgumentTypeError(f"{text!r}: is not UTF-8, so no job could name it")
    return path


def _device(text: str) -> str:
    if not DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: auto, cpu, cuda:N, mps")
    return text


def _endpoint(text: str) -> str:
    path = text.removeprefix("ipc://")
    if path.startswith("@"):
        raise argparse.ArgumentTypeError(f"{text} is open to every user of this machine; give ipc://PATH")
    if path not in ("", text):
        return f"ipc://{os.path.abspath(path)}"  # clients run in other folders
    port = text.rpartition(":")[2]
    if not text.startswith("tcp://") or not (port == "*" or (port.isdecimal() and int(port) < PORTS)):
        raise argparse.ArgumentTypeError(
            f"{text!r}; allowed: ipc://PATH and tcp://HOST:PORT, with * or 0 to {PORTS - 1} for PORT"
        )
    return text


def parsed(argv: Sequence[str]) -> Options:
    """Parses a command line; for an invalid option it ends the process, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="airband serve", description="Run an engine here until it is told to stop."
    )
    parser.add_argument(
        "--state", type=_path, metavar="DIR", help="folder of jobs and results (default: the user's own)"
    )
    parser.add_argument(
        "--endpoint", type=_endpoint, help="ipc://PATH or tcp://HOST:PORT (default: ipc in a private folder)"
    )
    parser.add_argument(
        "--allow",
        type=_path,
        metavar="FILE",
        help="CURVE keys that may connect over tcp, one per line (default: those of `airband keys`)",
    )
    parser.add_argument(
        "--device",
        action="append",
        type=_device,
        metavar="auto|cpu|cuda:N|mps",
        help="device to render on; repeat for several",
    )
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="on a processor, up to N processes while jobs of draft wait, 70 to 170 MB each "
        f"(default: one per core, at most {1 + HELPERS_MAX}; 1 with --device)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile AudioSR (on a GPU into CUDA graphs): takes minutes at the first window of each length",
    )
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        type=_folder,
        metavar="DIR",
        help="let jobs name paths below DIR; repeatable (default: any, but none with --endpoint)",
    )
    parser.add_argument(
        "--quota",
        type=_amount,
        default=QUOTA_BYTES / 1e9,
        metavar="GB",
        help="the most that the spool may hold (default: %(default)g)",
    )
    parser.add_argument(
        "--idle-exit", type=_amount, metavar="S", help="exit after S seconds without work (default: never)"
    )
    parser.add_argument(
        "--on-demand",
        action="store_true",
        help="let a client of another version replace this engine",
    )
    parser.add_argument(
        "--metrics", type=_port, metavar="PORT", help="serve metrics at http://127.0.0.1:PORT/metrics"
    )
    given = parser.parse_args(argv)
    if given.allow is not None and not (given.endpoint or "").startswith("tcp://"):
        parser.error("argument --allow: only tcp clients have keys; give --endpoint tcp://HOST:PORT")
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
