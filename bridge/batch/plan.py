"""Plans a batch: which source becomes which stem at the destination.

All of a batch of `airband render` is planned before its first job is sent. A source that cannot be rendered,
or that would become the same file as another, is refused; the rest is rendered.
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
    """The position of an item among several renders of one clip that differ in their seed.

    Attributes:
        number, of: from 1 on.
        clip: the destination that a single render of the clip would have.
    """

    number: int
    of: int
    clip: Path

    @property
    def out(self) -> Path:
        """The take's own destination."""
        return self.clip.with_name(f"{self.clip.stem}-take{self.number}{self.clip.suffix}")


@dataclass(frozen=True, slots=True)
class Item:
    """One render of a batch."""

    source: Path
    out: Path
    take: Take | None = None


class Refused(NamedTuple):
    """A render that was refused, and why."""

    item: Item
    error: AirbandError


class Plan(NamedTuple):
    """The renders of a batch, and the inputs that cannot be rendered."""

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
    """Plans the renders of a batch and their destinations.

    Args:
        inputs: files, globs, and folders (for their audio files, without hidden ones and earlier results).
        out: a file (for one input), a folder (which is made), or a template: `{stem}` and `{suffix}` are the
            source's name and suffix, `{parent}` the name of its folder, `{ext}` the result's suffix; suffixes
            include the dot. Results of files in subfolders go to the same subfolders of a folder `out`.
        preset: its format and bit depth set the suffix.
        recursive: look into subfolders too.
        wanted: selects among the sources found.

    Raises:
        InputError: there is no input.
        UsageError: several inputs for one file, an empty name, or a template that does not parse.
    """
    named(out, "out")
    candidates = [
        candidate
        for candidate in found(inputs, Path(out), recursive)
        if candidate.error is not None or wanted(candidate.source)
    ]
    if not candidates:
        raise InputError("no audio files given", "inputs")
    refusals = [candidate.error or _refusal(candidate.source) for candidate in candidates]
    count = refusals.count(None)
    items: list[Item] = []
    refused: list[Refused] = []
    for (source, below, unfound), refusal in zip(candidates, refusals, strict=True):
        destination, error = Path(out), refusal
        if unfound is None:
            try:
                destination = _destination(source, below, out, preset, count)
                encoding(preset, source.name, destination.name)
            except AirbandError as problem:
                if isinstance(problem, UsageError) and problem.field == "out":
                    raise  # the command is wrong, not this source
                error = refusal or problem
        if error is None:
            items.append(Item(source, destination))
        else:
            refused.append(Refused(Item(source, destination), error))
    return without_clashes(Plan(items, refused))


def without_clashes(plan: Plan) -> Plan:
    """The plan, with those items refused that would become the same file as another, or lie below it."""
    clashes = list(_clashes(plan.items))
    apart = {id(clash.item) for clash in clashes}
    clashes += _below_others([item for item in plan.items if id(item) not in apart])
    apart = {id(clash.item) for clash in clashes}
    return Plan([item for item in plan.items if id(item) not in apart], plan.refused + clashes)


def _refusal(source: Path) -> InputError | None:
    """Why a source cannot be rendered; None if it can."""
    try:
        check_source(source)
    except InputError as error:
        return error
    return None


def in_folder(source: Path, folder: Path, preset: Preset) -> Path:
    """A source's destination in a folder of results: its own name, with the suffix of the preset's format.

    Raises:
        UsageError: a format and a bit depth that do not go together.
    """
    return folder / f"{source.stem}{encoding(preset, source.name).suffix}"


def _clashes(items: list[Item]) -> Iterator[Refused]:
    """Items that would become the same file; all are refused, as nobody can tell which one is meant."""
    by_name: dict[str, list[Item]] = {}
    for item in items:
        by_name.setdefault(_folded(item.out), []).append(item)
    for alike in by_name.values():
        for same in _one_file(alike) if len(alike) > 1 else ():
            for item in same if len(same) > 1 else ():
                other = same[0] if item is not same[0] else same[1]
                reason = (
                    f"{item.source} and {other.source} would both become {item.out}; neither is rendered: "
                    "use a template with {suffix} or {parent} to tell them apart"
                )
                if os.path.abspath(item.source) == os.path.abspath(other.source):
                    reason = (
                        f"{item.source} would become {item.out} twice, with different knobs; neither is "
                        "rendered: give each row an `out` of its own"
                    )
                yield Refused(item, UsageError(reason, "inputs"))


def _below_others(items: list[Item]) -> Iterator[Refused]:
    """Items in a folder whose place another item's file takes."""
    outs = [os.path.abspath(item.out) for item in items]
    files = dict(zip(outs, items, strict=True))
    in_place_of = {
        folder: files[part]
        for folder in set(map(os.path.dirname, outs))
        for part in (folder, *map(str, Path(folder).parents))
        if part in files
    }
    for item, out in zip(items, outs, strict=True):
        if (other := in_place_of.get(os.path.dirname(out))) is not None:
            reason = f"{item.out} needs a folder where {other.source} becomes the file {other.out}"
            yield Refused(item, UsageError(f"{reason}; give it another `out`", "out"))


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", os.path.abspath(path)).casefold()


def _one_file(alike: list[Item]) -> Iterable[list[Item]]:
    """Groups items whose destinations differ at most by case into those that are one file on their disk."""
    apart: dict[str, list[Item]] = {}
    for item in alike:
        apart.setdefault(os.path.normcase(os.path.abspath(item.out)), []).append(item)
    return [alike] if len(apart) > 1 and _ignores_case(alike[0].out) else apart.values()


def _ignores_case(path: Path) -> bool:
    """Whether Kick.wav and kick.wav are one file there, as on most macOS disks and memory sticks.

    Tested with an existing name in the nearest folder, or in one above it on the same disk.
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
    if not names_file(out):
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


def names_file(out: str) -> bool:
    """Whether an `out` of `plan` stands for a result itself, not for a folder of results."""
    is_folder = os.path.isdir(out) or out.endswith(("/", os.sep))
    is_result = Path(out).suffix.lower() in AUDIO_SUFFIXES or out.endswith(("{ext}", "{suffix}"))
    return is_result and not is_folder


def _with_literal_folders(template: str) -> str:
    """The template, with braces escaped in its longest leading folder that exists under that very name."""
    parts = template.split(os.sep)
    for count in range(len(parts), 0, -1):
        head = os.sep.join(parts[:count])
        if head and os.path.isdir(head):
            literal = head.replace("{", "{{").replace("}", "}}")
            return os.sep.join([literal, *parts[count:]])
    return template


def _fields(template: str, out: str) -> set[str]:
    """The fields of a template; `out` is the user's spelling of it, for messages."""
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
