"""The rows of a manifest: each describes renders, and may set knobs of its own.

The columns are `path` (a file, folder or glob), `preset`, `out` (a name or template below the batch's
destination), `takes` (the number of seeds) and any knob by its name. An empty cell leaves the command line's
value. Relative names of files, also in `like` and `preset`, start at the manifest's own folder. Windows' path
separators are accepted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import presets
from bridge.batch.manifest.tables import TEXTS, read_table
from bridge.batch.plan import Item, Plan, Refused, names_file, plan, without_clashes
from bridge.batch.takes import check_takes, takes_of
from bridge.client.request import clipping, label
from presets import schema
from presets.errors import AirbandError, InputError, UsageError
from presets.schema import FLAGS, Preset

COLUMNS = (*TEXTS, "takes")


class Row(NamedTuple):
    """Renders that share a preset: a row of a manifest, or the inputs of a command line.

    Attributes:
        paths: files, folders and globs.
        out: name or template below the batch's destination; None for the batch's own rule.
        preset, preset_name: the complete preset and its name.
        takes: number of renders of each source, each with its own seed.
        place: the manifest and the place in it, for messages; empty for a command line.
        beside: absolute paths of other files and folders that a manifest's row names: its preset, and `like`.
    """

    paths: tuple[str, ...]
    out: str | None
    preset: Preset
    preset_name: str
    takes: int = 1
    place: str = ""
    beside: tuple[str, ...] = ()


def read(
    manifest: Path,
    preset: Preset,
    preset_name: str,
    knobs: Mapping[str, Any],
    takes: int = 1,
    *,
    clip: bool = False,
) -> list[Row]:
    """Reads all rows and checks each; one bad row refuses the whole manifest.

    Args:
        manifest: `.csv` or `.tsv`, `.jsonl` (or `.ndjson`), `.yaml` or `.yml`.
        preset, preset_name: for rows that name none.
        knobs: override the preset that a row names; a row's own knobs override both.
        takes: for rows that set none.
        clip: whether samples beyond full scale may clip, whatever preset a row names.

    Raises:
        InputError: the manifest cannot be read, or holds no rows.
        UsageError: an invalid column, preset or value; the message names its row.
    """
    named: dict[str, Preset] = {}

    def load(name: str) -> Preset:
        if name not in named:
            loaded = schema.make(presets.load(name), **knobs)
            named[name] = clipping(loaded) if clip else loaded
        return named[name]

    rows = []
    for place, cells in read_table(manifest, (*COLUMNS, *FLAGS)):
        try:
            row = _row(cells, manifest.parent, Row((), None, preset, preset_name, takes), load)
        except AirbandError as error:
            raise UsageError(f"{manifest}, {place}: {error.message}", error.field) from None
        rows.append(row._replace(place=f"{manifest}, {place}"))
    if not rows:
        raise InputError(f"{manifest}: holds no rows", "manifest")
    return rows


def plan_rows(
    rows: Sequence[Row], out: str, *, recursive: bool = False, wanted: Callable[[Path], bool] = lambda _: True
) -> tuple[list[tuple[Item, Row]], list[Refused]]:
    """The renders that the rows describe, each with its row, and the refused ones; duplicates count once.

    Args:
        rows: of the command line, of a manifest, or both.
        out, recursive, wanted: as for `plan`; a row's own `out` lies below `out`.

    Raises:
        InputError: `wanted` leaves nothing.
        UsageError: an output template that does not parse, or a file as `out` where a row has its own.
    """
    own = next((row for row in rows if row.out is not None), None)
    if own is not None and names_file(out):
        raise UsageError(
            f"{own.place}: out = {own.out!r} lies below the batch's destination, and {out} names a file: "
            "give a folder",
            "out",
        )
    of: dict[int, Row] = {}
    items: list[Item] = []
    refused: list[Refused] = []
    so_far: dict[tuple[str, str], list[Preset]] = {}
    for row in rows:
        below = out if row.out is None else os.path.join(out, row.out)
        try:
            planned = plan(row.paths, below, row.preset, recursive=recursive, wanted=wanted)
        except InputError:  # `wanted` excludes all its sources
            continue
        except UsageError as error:
            raise UsageError(f"{row.place}: {error.message}".removeprefix(": "), error.field) from None
        for item in planned.items:
            for take, preset in takes_of(item, row.takes, row.preset):
                alike = so_far.setdefault((os.path.abspath(take.source), os.path.abspath(take.out)), [])
                if preset in alike:
                    continue
                alike.append(preset)
                of[id(take)] = row._replace(preset=preset)
                items.append(take)
        refused += planned.refused
    if not items and not refused:
        raise InputError("none of the files named is left by --include and --exclude", "include")
    apart = without_clashes(Plan(items, refused))
    return [(item, of[id(item)]) for item in apart.items], apart.refused


def _row(cells: dict[str, Any], folder: Path, usual: Row, load: Callable[[str], Preset]) -> Row:
    """A row of a manifest in `folder`; `usual` supplies values the row does not set, `load` finds presets."""
    for column in (*TEXTS, "like"):
        if not isinstance(cells.get(column, ""), str):
            raise UsageError(f"{column} = {cells[column]!r} is not text", column)
        try:
            os.fsencode(cells.get(column, ""))
        except UnicodeEncodeError:
            raise UsageError(f"{column} = {cells[column]!a} holds a character no name can", column) from None
    if not cells.get("path"):
        raise UsageError("no path", "path")
    beside = []
    preset, preset_name = usual.preset, usual.preset_name
    if "preset" in cells:
        named = cells["preset"]
        if named.endswith(".toml"):
            named = _beside(folder, named)
            beside.append(named)
        preset, preset_name = load(named), label(named)
    own = {knob: cells[knob] for knob in FLAGS if knob in cells}
    if "like" in own:
        own["like"] = _beside(folder, own["like"])
        beside.append(own["like"])
    preset = schema.make(preset, **own)
    out = None if "out" not in cells else _with_slashes(cells["out"])
    if out is not None and (_is_absolute(out) or os.path.normpath(out).split(os.sep)[0] == os.pardir):
        raise UsageError(f"out = {out!r} leads out of the batch's destination; give a name below it", "out")
    takes = cells.get("takes", usual.takes)
    if type(takes) is not int:
        raise UsageError(f"takes = {takes!r} is not a whole number", "takes")
    path = str(folder / _found(folder, cells["path"]))
    return Row((path,), out, preset, preset_name, check_takes(takes, preset), beside=tuple(beside))


def _beside(folder: Path, name: str) -> str:
    """The absolute path of a file that a manifest in `folder` names: farm machines work in other folders."""
    return os.path.abspath(folder / _found(folder, os.path.expanduser(name)))


def _found(folder: Path, name: str) -> str:
    """`name` if it exists in the folder; otherwise `name` with Windows' separators replaced."""
    return name if os.path.lexists(folder / name) else _with_slashes(name)


def _is_absolute(name: str) -> bool:
    """Whether a path starts at a root or a drive, here or where Windows' rules hold."""
    return os.path.isabs(name) or bool(os.path.splitdrive(name)[0]) or PureWindowsPath(name).is_absolute()


def _with_slashes(name: str) -> str:
    return name.replace("\\", "/")
