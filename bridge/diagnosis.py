"""Finds faults of an installation and says how to fix them, for `airband doctor`.

Each check is a function that yields findings; none of them changes anything or starts an engine.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Literal

import presets
from bridge.client.client import Client
from bridge.wire.home import Home, is_running, read_connection, read_holder
from bridge.wire.messages import VERSION as PROTOCOL
from presets.errors import AirbandError
from presets.version import VERSION
from render.sources.programs import lack_of

Level = Literal["good", "note", "broken"]

PYTHONS = ((3, 11), (3, 13))
ROOM_BYTES = 2 * 1024**3
"""With less free space than this, a few long files can fill the spool."""
PROBE_S = 120
HERE = Path(__file__).parent
"""The working folder for child processes: PyTorch does not load in a folder that was deleted."""
NATIVE = (
    "numpy",
    "scipy.signal",
    "soundfile",
    "soxr",
    "zmq",
    "msgpack",
    "msgspec",
    "pedalboard",
    "librosa",
    "torch",
)
"""Packages with compiled code, which fail to load when an installation is mixed up."""

PROBE = """
import importlib, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        found[name] = [True, str(getattr(module, "__version__", ""))]
    except Exception as error:
        found[name] = [False, f"{type(error).__name__}: {error}".splitlines()[0]]
if found.get("torch", [False])[0]:
    import torch
    cuda = torch.cuda
    devices = ["cpu", *(f"cuda:{n} {cuda.get_device_name(n)}" for n in range(cuda.device_count()))]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    found["devices"] = [True, ", ".join(devices)]
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `advice` says what to do if the level is not good."""

    what: str
    level: Level
    detail: str
    advice: str = ""


def examine(home: Home) -> Iterator[Finding]:
    """Runs every check; a fault in one explains faults in those after it."""
    checks: tuple[Callable[[Home], Iterator[Finding]], ...] = (
        _python, _packages, _names, _formats, _presets, _folder, _database, _engine
    )  # fmt: skip
    for check in checks:
        yield from check(home)


def _python(_: Home) -> Iterator[Finding]:
    low, high = PYTHONS
    version = sys.version_info[:2]
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    if low <= version <= high:
        yield Finding("python", "good", detail)
    else:
        advice = f"install Airband into Python {low[0]}.{low[1]} to {high[0]}.{high[1]}"
        yield Finding("python", "broken", detail, advice)


def _packages(_: Home) -> Iterator[Finding]:
    advice = "reinstall Airband into an environment of its own: pipx install airband"
    try:
        probe = subprocess.run(
            [sys.executable, "-P", "-c", PROBE, *NATIVE],
            capture_output=True,
            text=True,
            cwd=HERE,
            timeout=PROBE_S,
            check=True,
        )
        found: dict[str, tuple[bool, str]] = json.loads(probe.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        yield Finding("packages", "broken", f"importing them ends Python itself: {why[0]}", advice)
        return
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        yield Finding("packages", "broken", f"importing them ends Python itself: {error}", advice)
        return
    devices = found.pop("devices", (False, ""))[1]
    good = ", ".join(f"{name} {version}".strip() for name, (works, version) in found.items() if works)
    yield Finding("packages", "good", good)
    for name, (works, reason) in found.items():
        if not works:
            yield Finding(name, "broken", reason, advice)
    if devices:
        note = "AudioSR wants a GPU; the embedded model does not" if devices == "cpu" else ""
        yield Finding("devices", "good", devices, note)


def _names(_: Home) -> Iterator[Finding]:
    """Checks that our packages come from one place: others have a `render` or `presets` too."""
    folders = {}
    for name in ("engine", "bridge", "render", "presets"):
        spec = util.find_spec(name)
        folders[name] = Path(spec.origin).parent.parent if spec and spec.origin else None
    if len(set(folders.values())) == 1:
        yield Finding("airband", "good", f"{VERSION} in {folders['bridge']}")
        return
    where = ", ".join(f"{name} from {folder}" for name, folder in folders.items())
    yield Finding(
        "airband", "broken", where, "another package hides one of ours: use an environment of its own"
    )


def _formats(_: Home) -> Iterator[Finding]:
    try:
        import soundfile

        can = soundfile.available_formats()
        lacks = [name for name in ("WAV", "RF64", "FLAC", "AIFF", "OGG", "MP3") if name not in can]
        advice = "update it (1.1 or newer reads MP3): pip install -U soundfile" if lacks else ""
        detail = soundfile.__libsndfile_version__ + (f", without {', '.join(lacks)}" if lacks else "")
        yield Finding(
            "libsndfile", "broken" if set(lacks) - {"MP3"} else "note" if lacks else "good", detail, advice
        )
    except (ImportError, OSError) as error:
        yield Finding("libsndfile", "broken", str(error), "pip install -U soundfile")
    lack = lack_of("ffmpeg")
    advice = "install ffmpeg to render M4A, MP4 and other containers" if lack else ""
    yield Finding("ffmpeg", "note" if lack else "good", lack or shutil.which("ffmpeg") or "", advice)


def _presets(_: Home) -> Iterator[Finding]:
    names = presets.names()
    for name in names:
        try:
            presets.load(name)
        except AirbandError as error:
            yield Finding("preset", "broken", error.message, f"correct or remove {presets.path_of(name)}")
    yield Finding("presets", "good", f"{', '.join(names)}; your own go to {presets.user_folder()}")


def _folder(home: Home) -> Iterator[Finding]:
    nearest = home.state
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        advice = "give Airband a folder that you may write with --state"
        yield Finding("state folder", "broken", f"{home.state}: {nearest} cannot be written", advice)
        return
    free = shutil.disk_usage(nearest).free
    detail = f"{home.state}, {free / 1e9:.1f} GB free"
    short = free < ROOM_BYTES
    advice = "make room, or put it elsewhere with --state; long files need several GB" if short else ""
    yield Finding("state folder", "note" if short else "good", detail, advice)


def _database(home: Home) -> Iterator[Finding]:
    path = home.state / "jobs.sqlite"
    if not path.exists():
        yield Finding("jobs", "good", "none yet")
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as jobs:
            verdict = str(jobs.execute("PRAGMA integrity_check(1)").fetchone()[0])
            count = jobs.execute("SELECT count(*) FROM jobs").fetchone()[0] if verdict == "ok" else 0
    except sqlite3.Error as error:
        verdict, count = str(error), 0
    if verdict == "ok":
        yield Finding("jobs", "good", f"{count} in {path}")
    else:
        yield Finding(
            "jobs", "broken", f"{path}: {verdict}", "`airband stop`, then remove it: its jobs are lost"
        )


def _models_at_hand() -> Iterator[Finding]:
    """The models that an engine would have, for when no engine runs that could be asked."""
    command = [sys.executable, "-P", "-m", "engine", "models", "list", "--json"]
    try:
        listing = subprocess.run(
            command, capture_output=True, text=True, cwd=HERE, timeout=PROBE_S, check=True
        )
        models = json.loads(listing.stdout)
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        yield Finding("models", "broken", f"cannot be listed: {error}", "see `airband models`")
        return
    for model in models:
        state = "ready" if model["ready"] else f"not ready: {model['why']}"
        yield Finding(f"model {model['name']}", "good" if model["ready"] else "note", state)


def _engine(home: Home) -> Iterator[Finding]:
    try:
        running = is_running(home)
        connection = read_connection(home) if running else None
    except AirbandError as error:
        yield Finding("engine", "broken", error.message, f"remove {home.connection}")
        return
    if not running:
        is_left = home.connection.exists()
        stale = f"; {home.connection} is left from one that was killed" if is_left else ""
        advice = "nothing to do: the next start replaces it" if is_left else ""
        yield Finding("engine", "note" if is_left else "good", f"none is running{stale}", advice)
        yield from _models_at_hand()
        return
    if connection is None:
        holder = read_holder(home)
        if holder is not None and not holder.endpoint:
            yield Finding("engine", "note", f"process {holder.pid} is starting", f"wait, or see {home.log}")
            return
        advice = f"`airband stop` ends it by its process number; see {home.log}"
        yield Finding("engine", "broken", "one holds the state folder but does not tell its address", advice)
        return
    who = f"{connection.engine}, process {connection.pid}, at {connection.endpoint}"
    if (connection.protocol, connection.engine) != (PROTOCOL, VERSION):
        detail = f"{who} is of another version than this {VERSION}"
        yield Finding("engine", "broken", detail, "`airband stop`; the next command starts the right one")
        return
    try:
        began = time.monotonic()
        with Client.connect(state=home.state, start=False) as client:
            answer_ms = 1000 * (time.monotonic() - began)
            models = client.models
    except AirbandError as error:
        yield Finding("engine", "broken", f"{who}: {error.message}", f"`airband stop`, or see {home.log}")
        return
    yield Finding("engine", "good", f"{who}, answers in {answer_ms:.0f} ms")
    for model in models:
        state = f"ready on {model.device}" if model.ready else f"not ready: {model.why}"
        yield Finding(f"model {model.name}", "good" if model.ready else "note", state)
