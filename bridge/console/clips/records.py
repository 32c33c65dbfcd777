"""The clips that a console has open, and the takes made of each: small files in a folder of the state.

The renders themselves are jobs of the engine. A console that is closed and opened again, and every page of
it, finds its clips here.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from bridge.wire.messages import JobId
from bridge.wire.private_files import make_private_folder
from bridge.wire.ulid import new_ulid
from presets.errors import UsageError

CLIPS_MAX = 200
RECORD = "clip.json"


class Take(msgspec.Struct, frozen=True):
    """A render of a clip, or of a stretch of it.

    Attributes:
        job: its ULID in the engine.
        preset: what it started from; knobs: what was laid over it.
        start_s, end_s: the stretch, None for the whole.
        out: where the engine writes it; "" where it waits in the engine.
        created_s: seconds since 1970.
        command: the command line that does the same.
    """

    job: str
    preset: str
    knobs: dict[str, Any]
    start_s: float | None
    end_s: float | None
    out: str
    created_s: float
    command: str


class ClipRecord(msgspec.Struct, frozen=True):
    """A clip that is open: where its file lies, and whether it was sent here."""

    id: str
    name: str
    path: str
    uploaded: bool
    created_s: float
    takes: tuple[Take, ...] = ()


class Clips:
    """The clips that a console has open, kept in a folder.

    Args:
        folder: made when it is not there, for its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self.folder = folder
        self._lock = threading.Lock()

    def new_folder(self) -> Path:
        """An empty folder for a file that is to come."""
        folder = self.folder / new_ulid()
        folder.mkdir(mode=0o700)
        return folder

    def add(self, path: Path, folder: Path | None = None) -> ClipRecord:
        """Opens a clip.

        Args:
            path: its file.
            folder: that from `new_folder` which the file was sent to; None for a file elsewhere.

        Raises:
            UsageError: too many are open.
        """
        known = self.all()
        if folder is None:
            for clip in known:
                if clip.path == str(path):
                    return clip
        if len(known) >= CLIPS_MAX:
            raise UsageError(f"{CLIPS_MAX} clips are open; close some", "clip")
        home = folder or self.new_folder()
        clip = ClipRecord(home.name, path.name, str(path), folder is not None, time.time())
        self._write(clip)
        return clip

    def all(self) -> list[ClipRecord]:
        """What is open, newest first; a record that cannot be read is passed over."""
        found = []
        for record in self.folder.glob(f"*/{RECORD}"):
            with suppress(OSError, msgspec.DecodeError):
                found.append(msgspec.json.decode(record.read_bytes(), type=ClipRecord))
        return sorted(found, key=lambda clip: clip.id, reverse=True)

    def get(self, id: str) -> ClipRecord:
        """One clip; raises UsageError where it is not open."""
        try:
            msgspec.convert(id, JobId)
            return msgspec.json.decode((self.folder / id / RECORD).read_bytes(), type=ClipRecord)
        except (OSError, msgspec.DecodeError):
            raise UsageError("this clip is not open any more", "clip") from None

    def take(self, job: str) -> tuple[ClipRecord, Take]:
        """A take and the clip it is of; raises UsageError where it is not known."""
        for clip in self.all():
            for take in clip.takes:
                if take.job == job:
                    return clip, take
        raise UsageError("no clip that is open has this take", "take")

    def add_take(self, id: str, take: Take) -> None:
        """Keeps a take with its clip."""
        with self._lock:
            clip = self.get(id)
            self._write(msgspec.structs.replace(clip, takes=(*clip.takes, take)))

    def drop_take(self, job: str) -> None:
        """Lets a take go; its job stays in the engine."""
        with self._lock:
            clip, _ = self.take(job)
            left = tuple(take for take in clip.takes if take.job != job)
            self._write(msgspec.structs.replace(clip, takes=left))
            shutil.rmtree(self.kept(clip.id, job), ignore_errors=True)

    def close(self, id: str) -> None:
        """Closes a clip: its upload and what was drawn of it go, results in the engine and files stay."""
        clip = self.get(id)
        shutil.rmtree(self.folder / clip.id)

    def kept(self, id: str, job: str) -> Path:
        """Where what a page plays and shows of a take is kept."""
        return self.folder / id / job

    def _write(self, clip: ClipRecord) -> None:
        path = self.folder / clip.id / RECORD
        part = path.with_name(f".{RECORD}.{os.getpid()}.{threading.get_ident()}")
        part.write_bytes(msgspec.json.encode(clip))
        os.replace(part, path)
