"""The files that the knob `like` names: one recording, or a folder of them."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from presets.errors import InputError
from render.files.encode import file_digest

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".m4a", ".opus", ".w64")
MOST_FILES = 16
"""Further files are not opened: with 16, each gives little over a second."""


def recordings(like: Path) -> list[Path]:
    """The recordings at `like`: the file itself, or at most 16 audio files of a folder, in the order of
    names.

    Raises:
        InputError: nothing is there, no permission to look, or a folder without audio.
    """
    try:
        if like.is_file():
            return [like]
        if like.exists() and not like.is_dir():
            raise InputError(f"like = {like}: is neither a file nor a folder", "like")
        if not like.is_dir():
            raise InputError(f"like = {like}: no such file or folder", "like")
        found = sorted(path for path in like.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise InputError(f"like = {like}: cannot be read: {error.strerror}", "like") from None
    if not found:
        raise InputError(f"like = {like}: holds no recordings ({', '.join(SUFFIXES)})", "like")
    return found[:MOST_FILES]


def recordings_digest(like: str | None) -> str:
    """A digest of the recordings' bytes, as a part of a result's key; "" where there are none."""
    if like is None:
        return ""
    digests = [file_digest(path) for path in recordings(Path(like))]
    return blake2b("\n".join(digests).encode(), digest_size=32).hexdigest()
