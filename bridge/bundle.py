"""The archive to attach to a bug report: one zip file without audio and without keys."""

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
"""How much of the end of the engine's log is included."""
JOBS_MAX = 1000


def write_bundle(home: Home, path: Path, findings: Iterable[Finding]) -> list[str]:
    """Writes facts about an installation and its engine; returns the names of the archive's members.

    It contains names of rendered files as far as the log and errors mention them, but no audio, no CURVE keys
    and no environment variables.

    Args:
        home: the engine's folders.
        path: the zip file, which must not exist yet.
        findings: of `airband doctor`.

    Raises:
        OutputError: the file exists, or cannot be written.
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
    """The newest jobs: state and times, without the submitted requests."""
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
    """The number and total size of files in each folder of the spool."""
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
