"""Finds the tags in a file with mutagen, within bounds.

Sources: https://id3.org/id3v2.4.0-structure, https://wiki.hydrogenaud.io/index.php?title=APEv2_specification
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

TAGS_BYTES_MAX = 64 * 1024**2
"""The largest tags that are read of a file; larger ones are reported and not carried. Reading takes four
times as much memory."""
READ_BYTES_MAX = TAGS_BYTES_MAX + 4 * 1024**2
"""The most that is read of a file for its tags: mutagen also looks at headers and frames around them."""


class Bounded(io.BufferedReader):
    """A file of which mutagen can read only READ_BYTES_MAX, whatever size a tag claims."""

    def __init__(self, path: Path) -> None:
        super().__init__(open(path, "rb", buffering=0))  # noqa: SIM115 - closed with this one
        self._left = READ_BYTES_MAX

    def read(self, size: int | None = -1, /) -> bytes:
        """See `io.BufferedReader.read`; raises ValueError beyond the bound."""
        wanted = self._left + 1 if size is None or size < 0 else size
        content = super().read(min(wanted, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"more than {TAGS_BYTES_MAX} bytes")
        return content


def find_tags(path: Path) -> Any:
    """A file's tag as mutagen knows it; None where there is none.

    Raises:
        MutagenError: the tag is damaged.
        ValueError: it claims more than TAGS_BYTES_MAX.
    """
    with Bounded(path) as content:
        return _found(content, id3_nbytes(path) > 0)


def _found(content: io.BufferedReader, has_id3: bool) -> Any:
    import mutagen
    from mutagen.id3 import ID3, ID3NoHeaderError

    try:
        file = mutagen.File(content)
    except mutagen.MutagenError:
        if not has_id3:
            raise
        file = None  # mutagen takes what follows an ID3 tag for MP3, but it may be AAC
    if file is not None:
        return file.tags
    content.seek(0)
    try:
        return ID3(content)
    except ID3NoHeaderError:
        return None


def find_ape(path: Path) -> Any:
    """The APE tag at the end of a file, where programs keep an MP3's ReplayGain; None where there is none.

    Raises:
        As `find_tags`.
    """
    from mutagen.apev2 import APENoHeaderError, APEv2

    with Bounded(path) as content:
        try:
            return APEv2(content)
        except APENoHeaderError:
            return None


def id3_nbytes(path: Path) -> int:
    """The size of the ID3v2 tag at the start of a file, by its header; 0 where there is none."""
    with path.open("rb") as file:
        head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if head[5] & 0x10 else 0)


def id3_bytes(path: Path) -> bytes:
    """The ID3v2 tag at the start of a file, as it stands."""
    with path.open("rb") as file:
        return file.read(id3_nbytes(path))
