"""Files, folders and globs on one side, a destination on the other: which source becomes which stem.

Nothing is read or written here but folders' listings. What `airband render` and a watch folder hand to the
engine is decided before the first job is sent, so that a batch is refused whole or starts whole.
"""

from __future__ import annotations

import glob
import os
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from presets.errors import InputError, UsageError
from presets.schema import Preset
from render.files.encode import SUFFIXES, encoding
from render.files.sidecar import sidecar_path

AUDIO_SUFFIXES = frozenset(SUFFIXES) | {
    ".bwf", ".rf64", ".w64", ".aifc", ".au", ".snd", ".caf", ".ogg", ".oga", ".opus", ".mp2", ".mp3", ".m4a",
    ".mp4", ".aac", ".ac3", ".wma", ".mka", ".mkv", ".mov", ".webm",
}  # fmt: skip
"""What is taken for audio in a folder. A file that is named is taken whatever its suffix."""
FIELDS = ("stem", "ext")


@dataclass(frozen=True, slots=True)
class Item:
    """One render of a batch."""

    source: Path
    out: Path


def plan(inputs: Iterable[str], out: str, preset: Preset, *, recursive: bool = False) -> list[Item]:
    """What a batch renders, and to where.

    Args:
        inputs: files, folders (their audio files, hidden ones and earlier results left out) and globs.
        out: a file (for one input), a folder (which is made), or a template with `{stem}` and `{ext}`.
            Below a folder, what was found in subfolders keeps its place.
        preset: its format and bit depth decide the suffix.
        recursive: look into subfolders too.

    Raises:
        InputError: an input that is not there, or holds no audio.
        UsageError: several inputs for one file, two sources for one stem, a template that does not parse, a
            format that cannot be written.
    """
    found = dict(_found(inputs, Path(out), recursive))
    if not found:
        raise InputError("no audio files given", "inputs")
    items = [
        Item(source, _destination(source, below, out, preset, len(found))) for source, below in found.items()
    ]
    taken: dict[str, Path] = {}
    for item in items:
        encoding(preset, item.source.name, item.out.name)
        name = os.path.normcase(os.path.abspath(item.out))
        other = taken.setdefault(name, item.source)
        if other is not item.source:
            raise UsageError(f"{other} and {item.source} would both become {item.out}", "out")
    return items


def _found(inputs: Iterable[str], out: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Each source once, with its folder relative to the input that it was found below."""
    seen: set[Path] = set()
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            sources = list(listed(path, out, recursive))
            if not sources:
                hint = "" if recursive else " (its subfolders are searched with --recursive)"
                raise InputError(f"{text}: holds no audio files{hint}", text)
        elif path.exists():
            sources = [path]
        elif glob.has_magic(text):
            sources = [Path(hit) for hit in sorted(glob.glob(text, recursive=True))]
            sources = [hit for hit in sources if _is_source(hit)]
            if not sources:
                raise InputError(f"{text}: nothing matches", text)
        else:
            raise InputError(f"{text}: no such file or folder", text)
        base = path if path.is_dir() else None
        for source in sources:
            if (real := source.resolve()) not in seen:
                seen.add(real)
                yield source, source.parent.relative_to(base) if base else Path()


def listed(folder: Path, out: Path, recursive: bool) -> Iterator[Path]:
    """The audio files of a folder, sorted; hidden ones, results, and all that lies in `out` left out."""
    results = out.resolve()
    for root, folders, files in os.walk(folder):
        inside = Path(root)
        if not recursive:
            folders.clear()
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (inside / name).resolve() != results
        )
        yield from (inside / name for name in sorted(files) if _is_source(inside / name))


def _is_source(path: Path) -> bool:
    """Whether a file that was found, not named, is audio and no result of an earlier batch."""
    hidden = path.name.startswith(".")
    known = path.suffix.lower() in AUDIO_SUFFIXES
    return known and not hidden and path.is_file() and not sidecar_path(path).exists()


def _destination(source: Path, below: Path, out: str, preset: Preset, count: int) -> Path:
    if "{" in out or "}" in out:
        return Path(_filled(out, source, encoding(preset, source.name).suffix))
    path = Path(out)
    if path.suffix.lower() not in AUDIO_SUFFIXES or path.is_dir() or out.endswith(("/", os.sep)):
        return path / below / f"{source.stem}{encoding(preset, source.name).suffix}"
    if count > 1:
        raise UsageError(
            f"{count} inputs for the one file {out}; give a folder, or a template with {{stem}}", "out"
        )
    return path


def _filled(template: str, source: Path, suffix: str) -> str:
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise UsageError(f"{template!r}: {error}", "out") from None
    if unknown := sorted(fields - set(FIELDS)):
        raise UsageError(
            f"{template!r}: unknown field {{{unknown[0]}}}; there are {{stem}} and {{ext}}", "out"
        )
    return template.format(stem=source.stem, ext=suffix)
