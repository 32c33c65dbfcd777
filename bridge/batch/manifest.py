"""A manifest: one row a render, with the knobs that are its own.

CSV with a header line, as the spreadsheets of any country write it (cells parted by commas, semicolons or
tabs), JSON lines, or a YAML list of maps. The columns are `path` (a file, folder or glob), `preset`, `out` (a
name or template below the batch's destination), `takes` (how many seeds) and any knob by its name. An empty
cell leaves what the command line says. Files that a row names, `like` and presets too, are sought from the
manifest's own folder.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import presets
from bridge.batch.plan import Item, Plan, Refused, plan, without_clashes
from bridge.batch.takes import check_takes, takes_of
from bridge.client.request import clipping, label
from presets import schema, words
from presets.errors import AirbandError, InputError, UsageError
from presets.schema import FLAGS, Preset

TEXTS = ("path", "preset", "out")
COLUMNS = (*TEXTS, "takes")
CSV, JSON_LINES, YAML = (".csv", ".tsv"), (".jsonl", ".ndjson"), (".yaml", ".yml")
SUFFIXES = (*CSV, *JSON_LINES, *YAML)
"""What names of manifests end in."""
SEPARATOR = re.compile(r"sep=(.)\r?(?:\n|$)")
"""A first line that is Excel's word on what parts the cells."""
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
"""What of YAML is no text, and how it may begin (YAML 1.2, section 10.3): `off` and 10:00:00:12 are texts,
which the older 1.1, PyYAML's own, takes for false and for a number of seconds."""


class Row(NamedTuple):
    """What is rendered alike: a manifest's row, or the inputs of a command line.

    Attributes:
        paths: files, folders and globs.
        out: below the batch's destination; None for the batch's own rule.
        preset, preset_name: complete.
        takes: renders of each source, with a seed each.
        place: where in which manifest it stands; empty for a command line.
        beside: other files and folders that a manifest's row names, from the root: its preset's, and `like`.
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
    """All rows, each checked: a manifest is refused whole or taken whole.

    Args:
        manifest: `.csv` or `.tsv`, `.jsonl` (or `.ndjson`), `.yaml` or `.yml`.
        preset, preset_name: of rows that name none.
        knobs: laid over a preset that a row names; a row's own win.
        takes: of rows that do not say.
        clip: whether samples beyond full scale may clip, whatever preset a row names.

    Raises:
        InputError: it cannot be read, or holds no rows.
        UsageError: a column, preset or value that cannot be, with the row it stands in.
    """
    try:
        text = _text(manifest.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            error.strerror
            if isinstance(error, OSError)
            else "is not UTF-8 text; a spreadsheet saves it as CSV UTF-8"
        )
        raise InputError(f"{manifest}: {reason}", "manifest") from None
    rows = []
    for place, cells in _cells(manifest, text):
        try:
            row = _row(cells, manifest.parent, preset, preset_name, knobs, takes, clip)
        except AirbandError as error:
            raise UsageError(f"{manifest}, {place}: {error.message}", error.field) from None
        rows.append(row._replace(place=f"{manifest}, {place}"))
    if not rows:
        raise InputError(f"{manifest}: holds no rows", "manifest")
    return rows


def plan_rows(
    rows: Sequence[Row], out: str, *, recursive: bool = False, wanted: Callable[[Path], bool] = lambda _: True
) -> tuple[list[tuple[Item, Row]], list[Refused]]:
    """What the rows render, each item with its row, and what is refused; what two rows say alike, once.

    Args:
        rows: of the command line, of a manifest, or both.
        out, recursive, wanted: as for `plan`; a row's own `out` lies below `out`.

    Raises:
        UsageError: an output template that does not parse.
    """
    of: dict[int, Row] = {}
    items: list[Item] = []
    refused: list[Refused] = []
    so_far: dict[tuple[str, str], list[Preset]] = {}
    for row in rows:
        below = out if row.out is None else os.path.join(out, row.out)
        try:
            planned = plan(row.paths, below, row.preset, recursive=recursive, wanted=wanted)
        except InputError:  # nothing of it is wanted
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
    apart = without_clashes(Plan(items, refused))
    return [(item, of[id(item)]) for item in apart.items], apart.refused


def _cells(manifest: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with where it stands."""
    suffix = manifest.suffix.lower()
    if suffix in CSV:
        yield from _csv_cells(manifest, text)
        return
    if suffix not in JSON_LINES + YAML:
        raise UsageError(f"{manifest}: manifests end in {', '.join(SUFFIXES)}, not {suffix!r}", "manifest")
    for place, row in _json_rows(manifest, text) if suffix in JSON_LINES else _yaml_rows(manifest, text):
        if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
            raise UsageError(f"{manifest}, {place}: is no map of columns to values", "manifest")
        is_cell = {name: value is not None and value == value for name, value in row.items()}  # no NaN
        yield place, {name: _whole(value) for name, value in row.items() if is_cell[name]}


def _text(content: bytes) -> str:
    """UTF-8, or UTF-16 with its mark, which spreadsheets call Unicode."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def _csv_cells(manifest: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Columns without a name, such as the index of a data frame, are left out."""
    told = SEPARATOR.match(text)
    head = text[told.end() if told else 0 :]
    titles = next((line for line in head.splitlines() if line.strip(" ,;\t")), "")
    delimiter = told[1] if told else next((mark for mark in ",;\t" if mark in titles), ",")
    table = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, strict=True)
    line = 1 if told else 0
    try:
        names = [_column(name) for name in next((row for row in table if any(map(str.strip, row))), [])]
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise UsageError(f"{manifest}: column {twice[0]!r} is there twice", "manifest")
        for row in table:
            place = f"line {line + table.line_num}"
            if len(row) > len(names):
                raise UsageError(f"{manifest}, {place}: more cells than columns", "manifest")
            given = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name}
            cells = {name: cell for name, cell in given.items() if cell}
            if cells:
                numbers = {name: _value(cell, delimiter) for name, cell in cells.items() if name not in TEXTS}
                yield place, cells | numbers
    except csv.Error as error:
        place = f"line {line + table.line_num}"
        raise UsageError(f"{manifest}, {place}: not valid CSV: {error}", "manifest") from None


def _column(head: str) -> str:
    """The name of a column that is titled as in a spreadsheet (`Bit depth`) or as a flag is (`bit-depth`)."""
    return re.sub(r"[ -]+", "_", head.strip().lower())


def _value(cell: str, delimiter: str) -> bool | float | str:
    """What a spreadsheet means: TRUE is true, 7.0 is 7; a comma that parts no cells is a number's point."""
    if delimiter != "," and DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    value: bool | float | str = _whole(
        words.parse(cell.lower() if cell.lower() in ("true", "false") else cell)
    )
    return value


def _whole(value: Any) -> Any:
    """A whole float as int, which columns with gaps are written as."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _json_rows(manifest: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = (
                    f"{error.msg} at character {error.colno}"
                    if isinstance(error, json.JSONDecodeError)
                    else error
                )
                raise UsageError(
                    f"{manifest}, line {number}: not valid JSON, a map a line: {reason}", "manifest"
                ) from None


def _yaml_rows(manifest: Path, text: str) -> Iterator[tuple[str, Any]]:
    import yaml

    try:
        rows = yaml.load(text, _loader())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{manifest}: not valid YAML: {error}", "manifest") from None
    if not isinstance(rows, list):
        raise UsageError(f"{manifest}: is no list of maps", "manifest")
    yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))


def _loader() -> Any:
    """A loader of plain values after YAML 1.2."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    for kind, (pattern, begins) in SCALARS.items():
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), list(begins)
        )
    return Loader


def _row(
    cells: dict[str, Any],
    folder: Path,
    preset: Preset,
    preset_name: str,
    knobs: Mapping[str, Any],
    takes: int,
    clip: bool,
) -> Row:
    if unknown := [name for name in cells if name not in COLUMNS and name not in FLAGS]:
        known = ", ".join((*COLUMNS, *FLAGS))
        raise UsageError(f"unknown column {unknown[0]!r}; there are {known}", unknown[0])
    for column in (*TEXTS, "like"):
        if not isinstance(cells.get(column, ""), str):
            raise UsageError(f"{column} = {cells[column]!r} is no text", column)
    if not cells.get("path"):
        raise UsageError("no path", "path")
    beside = []
    if "preset" in cells:
        named = cells["preset"]
        if named.endswith(".toml"):
            named = _beside(folder, named)
            beside.append(named)
        preset = schema.make(presets.load(named), **knobs)
        preset = clipping(preset) if clip else preset
        preset_name = label(named)
    own = {knob: cells[knob] for knob in FLAGS if knob in cells}
    if "like" in own:
        own["like"] = _beside(folder, own["like"])
        beside.append(own["like"])
    preset = schema.make(preset, **own)
    out = cells.get("out")
    if out is not None and (os.path.isabs(out) or os.path.normpath(out).split(os.sep)[0] == os.pardir):
        raise UsageError(
            f"out = {out!r} leads out of the batch's destination; name what lies below it", "out"
        )
    takes = cells.get("takes", takes)
    if type(takes) is not int:
        raise UsageError(f"takes = {takes!r} is no whole number", "takes")
    path = str(folder / cells["path"])
    return Row((path,), out, preset, preset_name, check_takes(takes, preset), beside=tuple(beside))


def _beside(folder: Path, name: str) -> str:
    """A file that a manifest in `folder` names, from the root: a farm's machines work elsewhere."""
    return os.path.abspath(folder / os.path.expanduser(name))
