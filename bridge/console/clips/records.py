"""The open clips of a console, and the takes made of each: small files in a folder of the state.

The renders themselves are jobs of the engine. All pages, and a console that is started again, find their
clips here.
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
        preset, knobs: the preset, and the values that override it.
        start_s, end_s: the stretch; None for the clip's start or end.
        out: where the engine writes it; "" if it stays in the engine.
        created_s: seconds since 1970.
        command: the equivalent command line.
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
    """An open clip: where its file lies, and whether it was uploaded."""

    id: str
    name: str
    path: str
    uploaded: bool
    created_s: float
    takes: tuple[Take, ...] = ()


class Clips:
    """The open clips of a console, kept in a folder.

    Args:
        folder: created if missing, for its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self.folder = folder
        self._lock = threading.Lock()

    def new_folder(self) -> Path:
        """A new empty folder for an upload."""
        folder = self.folder / new_ulid()
        folder.mkdir(mode=0o700)
        return folder

    def add(self, path: Path, folder: Path | None = None) -> ClipRecord:
        """Opens a clip.

        Args:
            path: its file.
            folder: the one from `new_folder` that holds the upload; None for a file elsewhere.

        Raises:
            UsageError: too many clips are open.
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
        """The open clips, newest first; records that cannot be read are skipped."""
        found = []
        for record in self.folder.glob(f"*/{RECORD}"):
            with suppress(OSError, msgspec.DecodeError):
                found.append(msgspec.json.decode(record.read_bytes(), type=ClipRecord))
        return sorted(found, key=lambda clip: clip.id, reverse=True)

    def get(self, id: str) -> ClipRecord:
        """One clip; raises UsageError if it is not open."""
        try:
            msgspec.convert(id, JobId)
            return msgspec.json.decode((self.folder / id / RECORD).read_bytes(), type=ClipRecord)
        except (OSError, msgspec.DecodeError):
            raise UsageError("this clip is not open any more", "clip") from None

    def take(self, job: str) -> tuple[ClipRecord, Take]:
        """A take and its clip; raises UsageError if it is not known."""
        for clip in self.all():
            for take in clip.takes:
                if take.job == job:
                    return clip, take
        raise UsageError("no clip that is open has this take", "take")

    def add_take(self, id: str, take: Take) -> None:
        """Records a take of a clip."""
        with self._lock:
            clip = self.get(id)
            self._write(msgspec.structs.replace(clip, takes=(*clip.takes, take)))

    def drop_take(self, job: str) -> None:
        """Forgets a take; its job stays in the engine."""
        with self._lock:
            clip, _ = self.take(job)
            left = tuple(take for take in clip.takes if take.job != job)
            self._write(msgspec.structs.replace(clip, takes=left))
            shutil.rmtree(self.kept(clip.id, job), ignore_errors=True)

    def close(self, id: str) -> None:
        """Closes a clip: deletes its upload and previews; results in the engine and files stay."""
        clip = self.get(id)
        shutil.rmtree(self.folder / clip.id)

    def kept(self, id: str, job: str) -> Path:
        """The folder for the sounds and pictures of a take."""
        return self.folder / id / job

    def _write(self, clip: ClipRecord) -> None:
        path = self.folder / clip.id / RECORD
        part = path.with_name(f".{RECORD}.{os.getpid()}.{threading.get_ident()}")
        part.write_bytes(msgspec.json.encode(clip))
        os.replace(part, path)
