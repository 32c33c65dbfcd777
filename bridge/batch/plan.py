"""Sources on one side, a destination on the other: which source becomes which stem.

What `airband render` and a watch folder hand to the engine is decided before the first job is sent. A source
that cannot be rendered, or that would become the same file as another, is refused; the rest goes on.
"""

from __future__ import annotations

import os
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bridge.batch.sources import AUDIO_SUFFIXES, check_source, found, named
from presets.errors import AirbandError, InputError, UsageError
from presets.schema import Preset
from render.files.encode import encoding

FIELDS = ("stem", "parent", "suffix", "ext")


class Take(NamedTuple):
    """Which of several renders of a clip, with one seed each, an item is.

    Attributes:
        number, of: from 1 on.
        clip: what the result would be called if it were the only one.
    """

    number: int
    of: int
    clip: Path

    @property
    def out(self) -> Path:
        """The take's own name."""
        return self.clip.with_name(f"{self.clip.stem}-take{self.number}{self.clip.suffix}")


@dataclass(frozen=True, slots=True)
class Item:
    """One render of a batch."""

    source: Path
    out: Path
    take: Take | None = None


class Refused(NamedTuple):
    """A render that will not be, and why."""

    item: Item
    error: AirbandError


class Plan(NamedTuple):
    """What a batch renders, and what it was given but cannot."""

    items: list[Item]
    refused: list[Refused]


def plan(
    inputs: Iterable[str],
    out: str,
    preset: Preset,
    *,
    recursive: bool = False,
    wanted: Callable[[Path], bool] = lambda _: True,
) -> Plan:
    """What a batch renders, and to where.

    Args:
        inputs: files, folders (their audio files, hidden ones and earlier results left out) and globs.
        out: a file (for one input), a folder (which is made), or a template: `{stem}` and `{suffix}` are the
            source's name and ending, `{parent}` the folder it is in, `{ext}` the result's ending; endings
            have their dot. Below a folder, what was found in subfolders keeps its place.
        preset: its format and bit depth decide the ending.
        recursive: look into subfolders too.
        wanted: which of the sources found are meant.

    Raises:
        InputError: no input.
        UsageError: several inputs for one file, an empty name, a template that does not parse.
    """
    named(out, "out")
    candidates = [
        candidate
        for candidate in found(inputs, Path(out), recursive)
        if candidate.error is not None or wanted(candidate.source)
    ]
    if not candidates:
        raise InputError("no audio files given", "inputs")
    lacks = [candidate.error or _lack(candidate.source) for candidate in candidates]
    count = lacks.count(None)
    items: list[Item] = []
    refused: list[Refused] = []
    for (source, below, unfound), lack in zip(candidates, lacks, strict=True):
        destination, error = Path(out), lack
        if unfound is None:
            try:
                destination = _destination(source, below, out, preset, count)
                encoding(preset, source.name, destination.name)
            except AirbandError as problem:
                if isinstance(problem, UsageError) and problem.field == "out":
                    raise  # the command's fault, not one source's
                error = lack or problem
        if error is None:
            items.append(Item(source, destination))
        else:
            refused.append(Refused(Item(source, destination), error))
    return without_clashes(Plan(items, refused))


def without_clashes(plan: Plan) -> Plan:
    """The plan with those items refused that would become one file with another."""
    clashes = list(_clashes(plan.items))
    apart = {id(clash.item) for clash in clashes}
    return Plan([item for item in plan.items if id(item) not in apart], plan.refused + clashes)


def _lack(source: Path) -> InputError | None:
    """Why a source is none."""
    try:
        check_source(source)
    except InputError as error:
        return error
    return None


def in_folder(source: Path, folder: Path, preset: Preset) -> Path:
    """What a source becomes in a folder of results: its own name, with the ending of the preset's format.

    Raises:
        UsageError: a format and bit depth that do not go together.
    """
    return folder / f"{source.stem}{encoding(preset, source.name).suffix}"


def _clashes(items: list[Item]) -> Iterator[Refused]:
    """Items that would become one file: none of them is rendered, for which one is meant cannot be known."""
    by_name: dict[str, list[Item]] = {}
    for item in items:
        by_name.setdefault(_folded(item.out), []).append(item)
    for alike in by_name.values():
        for same in _one_file(alike) if len(alike) > 1 else ():
            for item in same if len(same) > 1 else ():
                other = same[0] if item is not same[0] else same[1]
                reason = (
                    f"{item.source} and {other.source} would both become {item.out}; neither is rendered: "
                    "a template with {suffix} or {parent} tells them apart"
                )
                if os.path.abspath(item.source) == os.path.abspath(other.source):
                    reason = (
                        f"{item.source} would become {item.out} twice, with other knobs each; neither is "
                        "rendered: an `out` of its own for each row tells them apart"
                    )
                yield Refused(item, UsageError(reason, "inputs"))


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", os.path.abspath(path)).casefold()


def _one_file(alike: list[Item]) -> Iterable[list[Item]]:
    """Of items whose results differ by case at the most, those that are one file where they go."""
    apart: dict[str, list[Item]] = {}
    for item in alike:
        apart.setdefault(os.path.normcase(os.path.abspath(item.out)), []).append(item)
    return [alike] if len(apart) > 1 and _ignores_case(alike[0].out) else apart.values()


def _ignores_case(path: Path) -> bool:
    """Whether Kick.wav and kick.wav are one file there, as on most disks of macOS and on memory sticks.

    Told by a name that is there, of the nearest folder or of one above it on the same disk.
    """
    with suppress(OSError):
        folders = [folder for folder in Path(os.path.abspath(path)).parents if folder.is_dir()]
        for folder in folders:
            if os.stat(folder).st_dev != os.stat(folders[0]).st_dev:
                break
            names = set(os.listdir(folder))
            for name in names:
                if (other := name.swapcase()) not in names:
                    return os.path.lexists(folder / other)
    return False


def _destination(source: Path, below: Path, out: str, preset: Preset, count: int) -> Path:
    template = _with_literal_folders(out)
    if _fields(template, out):
        return Path(_filled(template, source, encoding(preset, source.name).suffix))
    out = template.format()  # {{ and }} for braces themselves
    path = Path(out)
    if path.suffix.lower() not in AUDIO_SUFFIXES or os.path.isdir(path) or out.endswith(("/", os.sep)):
        if os.path.isfile(path):
            raise UsageError(
                f"{out}: is a file; give a folder, or a name ending in .wav, .flac or .aiff", "out"
            )
        return in_folder(source, path / below, preset)
    if count > 1:
        raise UsageError(
            f"{count} inputs for the one file {out}; give a folder, or a template with {{stem}}", "out"
        )
    return path


def _with_literal_folders(template: str) -> str:
    """A template in which the folders at its start that exist by that very name stand for themselves."""
    parts = template.split(os.sep)
    for count in range(len(parts), 0, -1):
        head = os.sep.join(parts[:count])
        if head and os.path.isdir(head):
            literal = head.replace("{", "{{").replace("}", "}}")
            return os.sep.join([literal, *parts[count:]])
    return template


def _fields(template: str, out: str) -> set[str]:
    """The fields of a template; `out` is what the user calls it."""
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise UsageError(f"{out!r}: {error}; {{{{ and }}}} stand for braces themselves", "out") from None
    if unknown := sorted(fields - set(FIELDS)):
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise UsageError(
            f"{out!r}: unknown field {{{unknown[0]}}}; there are {known}, and {{{{ and }}}} for braces",
            "out",
        )
    return fields


def _filled(template: str, source: Path, suffix: str) -> str:
    parent = Path(os.path.abspath(source)).parent.name
    return template.format(stem=source.stem, parent=parent, suffix=source.suffix, ext=suffix)
