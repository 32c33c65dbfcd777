"""What to send along with a report of a fault: one zip file without audio and without keys."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import zipfile
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from bridge.diagnosis import Finding
from bridge.wire.home import Home, read_connection
from presets.errors import AirbandError, OutputError
from presets.version import VERSION
from render.files.parts import write_whole

LOG_BYTES = 512 * 1024
"""Of the end of the engine's log."""
JOBS_MAX = 1000


def write_bundle(home: Home, path: Path, findings: Iterable[Finding]) -> list[str]:
    """Writes what is known of an installation and its engine; the names of what the file holds.

    Names of jobs' files appear in it as far as the log and errors say them; audio, CURVE keys and the rest of
    the environment do not.

    Args:
        home: the engine's folders.
        path: the zip file, which must not be there yet.
        findings: of `airband doctor`.

    Raises:
        OutputError: the file is there, or cannot be written.
    """
    members = {
        "findings.json": [asdict(finding) for finding in findings],
        "system.json": _system(),
        "engine.json": _engine(home),
        "jobs.json": _jobs(home.state / "jobs.sqlite"),
        "spool.json": _spool(home.state / "spool"),
    }
    memory = BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(name, json.dumps(content, indent=1))
        bundle.writestr("engine.log", _tail(home.log))
    if os.path.lexists(path):
        raise OutputError(f"{path}: exists; choose another name", str(path))
    write_whole(path, memory.getvalue())
    return [*members, "engine.log"]


def _system() -> dict[str, Any]:
    packages = {each.name: each.version for each in distributions() if each.name}
    return {
        "airband": VERSION,
        "python": sys.version,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": dict(sorted(packages.items())),
    }


def _engine(home: Home) -> dict[str, Any] | None:
    with suppress(AirbandError):
        connection = read_connection(home)
        if connection is not None:
            return dict(msgspec.to_builtins(msgspec.structs.replace(connection, client=None, server_key="")))
    return None


def _jobs(database: Path) -> list[dict[str, Any]] | str:
    """The newest jobs: where they stand and since when, without what was submitted."""
    columns = ("job", "state", "created_s", "changed_s", "deaths")
    asked = f"SELECT {', '.join(columns)} FROM jobs ORDER BY created_s DESC LIMIT {JOBS_MAX}"
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as jobs:
            return [dict(zip(columns, row, strict=True)) for row in jobs.execute(asked)]
    except sqlite3.Error as error:
        return str(error)


def _spool(folder: Path) -> dict[str, dict[str, int]]:
    """How many files of which weight each of its folders holds."""
    found: dict[str, dict[str, int]] = {}
    for path in folder.glob("*/*"):
        with suppress(OSError):
            weights = found.setdefault(path.parent.name, {"files": 0, "bytes": 0})
            weights["bytes"] += path.stat().st_size
            weights["files"] += 1
    return found


def _tail(log: Path) -> bytes:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_BYTES))
            return file.read(LOG_BYTES)
    except OSError as error:
        return f"no log: {error.strerror}\n".encode()
