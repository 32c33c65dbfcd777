"""A manifest: one row a render, with the knobs that are its own.

CSV with a header line, as the spreadsheets of any country write it (cells parted by commas, semicolons or
tabs), JSON lines, or a YAML list of maps. The columns are `path` (a file, folder or glob, relative to the
manifest's own folder), `preset`, `out` (a name or template below the batch's destination), `takes` (how many
seeds) and any knob by its name. An empty cell leaves what the command line says.
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
from typing import Any, NamedTuple

import msgspec

import presets
from bridge.batch.plan import Item, Plan, Refused, plan, without_clashes
from bridge.batch.takes import check_takes, takes_of
from bridge.client.request import label
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


class Row(NamedTuple):
    """What is rendered alike: a manifest's row, or the inputs of a command line.

    Attributes:
        paths: files, folders and globs.
        out: below the batch's destination; None for the batch's own rule.
        preset, preset_name: complete.
        takes: renders of each source, with a seed each.
    """

    paths: tuple[str, ...]
    out: str | None
    preset: Preset
    preset_name: str
    takes: int = 1


def read(
    manifest: Path, preset: Preset, preset_name: str, knobs: Mapping[str, Any], takes: int = 1
) -> list[Row]:
    """All rows, each checked: a manifest is refused whole or taken whole.

    Args:
        manifest: `.csv` or `.tsv`, `.jsonl` (or `.ndjson`), `.yaml` or `.yml`.
        preset, preset_name: of rows that name none.
        knobs: laid over a preset that a row names; a row's own win.
        takes: of rows that do not say.

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
            rows.append(_row(cells, manifest.parent, preset, preset_name, knobs, takes))
        except AirbandError as error:
            raise UsageError(f"{manifest}, {place}: {error.message}", error.field) from None
    if not rows:
        raise InputError(f"{manifest}: holds no rows", "manifest")
    return rows


def plan_rows(
    rows: Sequence[Row], out: str, *, recursive: bool = False, wanted: Callable[[Path], bool] = lambda _: True
) -> tuple[list[tuple[Item, Row]], list[Refused]]:
    """What the rows render, each item with its row, and what is refused.

    Args:
        rows: of the command line, of a manifest, or both.
        out, recursive, wanted: as for `plan`; a row's own `out` lies below `out`.

    Raises:
        UsageError: an output template that does not parse.
    """
    of: dict[int, Row] = {}
    items: list[Item] = []
    refused: list[Refused] = []
    for row in rows:
        below = out if row.out is None else os.path.join(out, row.out)
        try:
            planned = plan(row.paths, below, row.preset, recursive=recursive, wanted=wanted)
        except InputError:  # nothing of it is wanted
            continue
        for item in planned.items:
            for take, preset in takes_of(item, row.takes, row.preset):
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
    for number, row in enumerate(_parsed(manifest, suffix, text), 1):
        if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
            raise UsageError(f"{manifest}, row {number}: is no map of columns to values", "manifest")
        yield f"row {number}", {name: value for name, value in row.items() if value is not None}


def _text(content: bytes) -> str:
    """UTF-8, or UTF-16 with its mark, which spreadsheets call Unicode."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def _csv_cells(manifest: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Columns without a name, such as the index of a data frame, are left out."""
    told = SEPARATOR.match(text)
    head = text[told.end() if told else 0 :]
    delimiter = told[1] if told else next((mark for mark in ",;\t" if mark in head.partition("\n")[0]), ",")
    table, line = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), 1 if told else 0
    try:
        names = [name.strip() for name in next(table, [])]
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise UsageError(f"{manifest}: column {twice[0]!r} is there twice", "manifest")
        for row in table:
            place = f"line {line + table.line_num}"
            if len(row) > len(names):
                raise UsageError(f"{manifest}, {place}: more cells than columns", "manifest")
            given = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name}
            cells = {
                name: cell if name in TEXTS else _value(cell, delimiter)
                for name, cell in given.items()
                if cell
            }
            if cells:
                yield place, cells
    except csv.Error as error:
        place = f"line {line + table.line_num}"
        raise UsageError(f"{manifest}, {place}: not valid CSV: {error}", "manifest") from None


def _value(cell: str, delimiter: str) -> bool | float | str:
    """What a spreadsheet means: TRUE is true, 7.0 is 7; a comma that parts no cells is a number's point."""
    if delimiter != "," and DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    value = words.parse(cell.lower() if cell.lower() in ("true", "false") else cell)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parsed(manifest: Path, suffix: str, text: str) -> list[Any]:
    try:
        if suffix in JSON_LINES:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        if suffix in YAML:
            rows = msgspec.yaml.decode(text)
            if isinstance(rows, list):
                return rows
            raise UsageError(f"{manifest}: is no list of maps", "manifest")
    except (ValueError, RecursionError) as error:
        form = "YAML" if suffix in YAML else "JSON lines"
        raise UsageError(f"{manifest}: not valid {form}: {error}", "manifest") from None
    raise UsageError(f"{manifest}: manifests end in {', '.join(SUFFIXES)}, not {suffix!r}", "manifest")


def _row(
    cells: dict[str, Any],
    folder: Path,
    preset: Preset,
    preset_name: str,
    knobs: Mapping[str, Any],
    takes: int,
) -> Row:
    if unknown := [name for name in cells if name not in COLUMNS and name not in FLAGS]:
        known = ", ".join((*COLUMNS, *FLAGS))
        raise UsageError(f"unknown column {unknown[0]!r}; there are {known}", unknown[0])
    for column in TEXTS:
        if not isinstance(cells.get(column, ""), str):
            raise UsageError(f"{column} = {cells[column]!r} is no text", column)
    if not cells.get("path"):
        raise UsageError("no path", "path")
    if "preset" in cells:
        preset = schema.make(presets.load(cells["preset"]), **knobs)
        preset_name = label(cells["preset"])
    preset = schema.make(preset, **{knob: cells[knob] for knob in FLAGS if knob in cells})
    takes = cells.get("takes", takes)
    if type(takes) is not int:
        raise UsageError(f"takes = {takes!r} is no whole number", "takes")
    path = str(folder / cells["path"])
    return Row((path,), cells.get("out"), preset, preset_name, check_takes(takes, preset))
