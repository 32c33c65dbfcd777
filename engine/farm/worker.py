"""One worker of a farm: an engine without a socket, in a process that Ray starts wherever there is room.

It sees the same paths as everybody else in the farm, renders one clip at a time and writes the result itself,
whole or not at all. Nothing of a clip passes through Ray.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bridge.batch.run import Event, Task, run_tasks
from bridge.wire.messages import Model
from engine.local import LocalRenderer


class About(NamedTuple):
    """What a worker is: the machine it runs on, its process, and what it can render with."""

    host: str
    pid: int
    models: tuple[Model, ...]


class FarmWorker:
    """Renders clips; Ray makes an actor of it.

    Args:
        device: `cpu`, or `auto` for the fastest that Ray lets this process see.
    """

    def __init__(self, device: str) -> None:
        from ray.util import metrics

        self._renderer = LocalRenderer(_own_folder(), device)
        self._clips: Any = metrics.Counter("airband_clips", "Clips by how they ended", tag_keys=("what",))
        self._seconds: Any = metrics.Counter("airband_work_seconds", "Seconds of rendering")

    def about(self) -> About:
        """What this worker is."""
        return About(socket.gethostname(), os.getpid(), self._renderer.models)

    def render(self, task: Task) -> Event:
        """How a clip ended: done, done already, or failed."""
        *_, ended = run_tasks(self._renderer, [task])
        for job in self._renderer.jobs(None):  # the file is written: what the spool holds of it can go
            self._renderer.forget(job.job)
        self._clips.inc(1.0, tags={"what": ended.what})
        if ended.what == "done":
            self._seconds.inc(ended.seconds)
        return ended


def _own_folder() -> Path:
    """A state folder for this process; those of workers of this machine that no longer live are removed."""
    folder = Path(tempfile.gettempdir()) / f"airband-farm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():  # somebody else's, in a folder that everybody may write
        return Path(tempfile.mkdtemp(prefix="airband-farm-"))
    for left in folder.iterdir():
        if not _lives(left.name):
            shutil.rmtree(left, ignore_errors=True)
    return folder / str(os.getpid())


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    return True
