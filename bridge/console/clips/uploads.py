"""Files that a browser uploads: streamed to disk as they arrive, within a quota, kept whole or not at all."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from presets.errors import InputError, OutputError
from presets.printable import printable

SPARE_BYTES = 256 * 1024**2
"""Disk space that uploads leave free."""
NAME_BYTES = 180
"""The longest file name kept, in bytes: with the suffixes of results and sidecars it stays below 255."""
PART = ".part"


def safe_name(given: str) -> str:
    """The name to store a file under: the last part of `given`, in characters any file system allows."""
    name = printable(unicodedata.normalize("NFC", given).replace("\\", "/").rsplit("/", 1)[-1])
    stem, suffix = os.path.splitext("".join("_" if letter in '\\<>:"|?*' else letter for letter in name))
    stem, suffix = stem.strip(" ."), _cut(suffix.rstrip(" ."), 12)
    return (_cut(stem, NAME_BYTES - len(suffix.encode())) or "upload") + suffix


class Uploads:
    """Uploaded files, and uploads in progress, within a quota.

    Args:
        folder: all uploads lie below it.
        quota_bytes: the most that they may hold together, uploads in progress included.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        self._folder, self._quota_bytes = folder, quota_bytes
        self._coming: dict[Path, int] = {}
        for part in folder.rglob(f".*{PART}"):  # left behind by a console that was killed
            part.unlink(missing_ok=True)

    @property
    def used_bytes(self) -> int:
        """Size of the stored uploads, without those in progress."""
        total = 0
        for path in self._folder.rglob("*"):
            with suppress(OSError):
                total += 0 if path in self._coming else path.stat().st_size
        return total

    def check_room(self, nbytes: int) -> None:
        """Raises OutputError if a file of this size would be refused."""
        self._check(self.used_bytes + nbytes)

    async def receive(self, chunks: AsyncIterator[bytes], promised: int | None, path: Path) -> int:
        """Writes a request's body to `path`; if it breaks off or is too large, nothing is kept.

        Args:
            chunks: the body.
            promised: its length, if the request tells it.
            path: a file in an existing folder.

        Raises:
            OutputError: the quota or the disk has no room.
            InputError: nothing arrived, or less than promised.
        """
        part = path.with_name(f".{path.name}{PART}")
        used_bytes = await run_in_threadpool(lambda: self.used_bytes)
        written = 0
        self._coming[part] = promised or 0
        try:
            self._check(used_bytes)
            with open(part, "xb") as file:
                async for chunk in chunks:
                    written += len(chunk)
                    self._coming[part] = max(written, promised or 0)
                    self._check(used_bytes)
                    await run_in_threadpool(file.write, chunk)
            if written == 0 or (promised is not None and written != promised):
                raise InputError(f"{written} bytes arrived, {promised or 'a file'} was promised", "upload")
            os.replace(part, path)
        except ClientDisconnect:
            raise InputError(f"the upload broke off after {written} bytes", "upload") from None
        except OSError as error:
            raise OutputError(f"the upload cannot be kept: {error.strerror}", "upload") from None
        finally:
            del self._coming[part]
            part.unlink(missing_ok=True)
        return written

    def _check(self, used_bytes: int) -> None:
        coming_bytes = sum(self._coming.values())
        free_bytes = shutil.disk_usage(self._folder).free - SPARE_BYTES
        if used_bytes + coming_bytes > self._quota_bytes or free_bytes < 0:
            raise OutputError(
                f"no room for this file: uploads may hold {self._quota_bytes / 1e6:.0f} MB, "
                f"{used_bytes / 1e6:.0f} are used and {coming_bytes / 1e6:.0f} coming; the disk has "
                f"{max(free_bytes, 0) / 1e6:.0f} MB to spare; close clips, choose the file by its path, or "
                "start with a larger --quota",
                "upload",
            )


def _cut(text: str, nbytes: int) -> str:
    return text.encode()[:nbytes].decode(errors="ignore")
