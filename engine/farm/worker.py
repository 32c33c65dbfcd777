"""One worker of a farm: an engine without a socket, in a process that Ray starts wherever there is room.

It sees the same paths as all of the farm, renders one clip at a time and writes the result itself, complete
or not at all. No audio passes through Ray.
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
    """A worker: its machine, its process, and its models."""

    host: str
    pid: int
    models: tuple[Model, ...]


class FarmWorker:
    """Renders clips, as a Ray actor.

    Args:
        device: `cpu`, or `auto` for the fastest that Ray makes visible to this process.
    """

    def __init__(self, device: str) -> None:
        from ray.util import metrics

        self._renderer = LocalRenderer(_own_folder(), device)
        self._clips: Any = metrics.Counter("airband_clips", "Clips by how they ended", tag_keys=("what",))
        self._seconds: Any = metrics.Counter("airband_work_seconds", "Seconds of rendering")

    def about(self) -> About:
        """Describes this worker."""
        return About(socket.gethostname(), os.getpid(), self._renderer.models)

    def render(self, task: Task) -> Event:
        """Renders a clip; returns its last event: done, done already, or failed."""
        *_, ended = run_tasks(self._renderer, [task])
        for job in self._renderer.jobs(None):  # the file is written, so the spool need not keep its result
            self._renderer.forget(job.job)
        self._clips.inc(1.0, tags={"what": ended.what})
        if ended.what == "done":
            self._seconds.inc(ended.seconds)
        return ended


def _own_folder() -> Path:
    """A state folder for this process; removes those of dead workers on this machine."""
    folder = Path(tempfile.gettempdir()) / f"airband-farm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():  # another user made it in the shared temporary folder
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
