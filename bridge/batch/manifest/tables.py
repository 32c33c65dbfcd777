"""Reads a manifest file as a table: CSV, JSON lines or YAML become rows of named cells.

CSV has a header line, and may be as spreadsheets of any country write it: cells separated by commas,
semicolons or tabs, UTF-8 or UTF-16, TRUE for true, 7.0 for 7. An empty cell counts as missing.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bridge.batch.sources import check_source
from presets import words
from presets.errors import InputError, UsageError

TEXTS = ("path", "preset", "out")
"""Columns whose cells are text, even if they look like numbers."""
CSV, JSON_LINES, YAML = (".csv", ".tsv"), (".jsonl", ".ndjson"), (".yaml", ".yml")
SUFFIXES = (*CSV, *JSON_LINES, *YAML)
"""The suffixes of manifests."""
SEPARATOR = re.compile(r"sep=(.)\r?(?:\n|$)")
"""A first line in which Excel names the cell separator."""
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
"""YAML values that are not text, and their possible first characters (YAML 1.2, section 10.3). So `off` and
10:00:00:12 are text, which PyYAML, by the older version 1.1, reads as false and as a number of seconds."""


def read_table(manifest: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each row after its place: `line 2`, `row 1`.

    Args:
        manifest: the file.
        columns: the names that its columns may have.

    Raises:
        InputError: the file cannot be read, or is not a regular file (a named pipe would block).
        UsageError: it is none of the three formats or not well-formed, or has another column, or one twice.
    """
    check_source(manifest)
    try:
        text = _text(manifest.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            error.strerror
            if isinstance(error, OSError)
            else "is not UTF-8 text; a spreadsheet saves it as CSV UTF-8"
        )
        raise InputError(f"{manifest}: {reason}", "manifest") from None
    suffix = manifest.suffix.lower()
    if suffix in CSV:
        yield from _csv_cells(manifest, text, columns)
        return
    if suffix not in JSON_LINES + YAML:
        raise UsageError(f"{manifest}: manifests end in {', '.join(SUFFIXES)}, not {suffix!r}", "manifest")
    for place, row in _json_rows(manifest, text) if suffix in JSON_LINES else _yaml_rows(manifest, text):
        if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
            raise UsageError(f"{manifest}, {place}: is not a map of columns to values", "manifest")
        _check_columns(f"{manifest}, {place}", list(row), columns)
        is_cell = {name: value is not None and value == value for name, value in row.items()}  # no NaN
        yield place, {name: _whole(value) for name, value in row.items() if is_cell[name]}


def _text(content: bytes) -> str:
    """Decodes UTF-8, or UTF-16 with a byte order mark, which spreadsheets call Unicode."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def _check_columns(where: str, names: Sequence[str], columns: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in columns]:
        known = ", ".join(columns)
        raise UsageError(f"{where}: unknown column {unknown[0]!r}; there are {known}", unknown[0])


def _csv_cells(manifest: Path, text: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the rows of a CSV; columns without a name, such as a data frame's index, are left out."""
    told = SEPARATOR.match(text)
    head = text[told.end() if told else 0 :]
    titles = next((line for line in head.splitlines() if line.strip(" ,;\t")), "")
    delimiter = told[1] if told else next((mark for mark in ",;\t" if mark in titles), ",")
    table = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, strict=True)
    line = 1 if told else 0
    try:
        names = [_column(name) for name in next((row for row in table if any(map(str.strip, row))), [])]
        header = f"{manifest}, line {line + table.line_num}"
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise UsageError(f"{header}: column {twice[0]!r} appears twice", twice[0])
        for row in table:
            place = f"line {line + table.line_num}"
            if any(map(str.strip, row[len(names) :])):
                raise UsageError(f"{manifest}, {place}: more cells than columns", "manifest")
            given = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name}
            cells = {name: cell for name, cell in given.items() if cell}
            if cells:
                _check_columns(header, list(cells), columns)
                if "path" not in names:
                    raise UsageError(f"{header}: no column 'path'", "path")
                numbers = {name: _value(cell, delimiter) for name, cell in cells.items() if name not in TEXTS}
                yield place, cells | numbers
    except csv.Error as error:
        place = f"line {line + table.line_num}"
        raise UsageError(f"{manifest}, {place}: not valid CSV: {error}", "manifest") from None


def _column(head: str) -> str:
    """The name of a column, whose title may be written as `Bit depth` or `bit-depth`."""
    return re.sub(r"[ -]+", "_", head.strip().lower())


def _value(cell: str, delimiter: str) -> bool | float | str:
    """A cell as a spreadsheet means it: TRUE, 7.0 for 7; a comma that separates no cells is a point."""
    if delimiter != "," and DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    value: bool | float | str = _whole(
        words.parse(cell.lower() if cell.lower() in ("true", "false") else cell)
    )
    return value


def _whole(value: Any) -> Any:
    """A whole float as int: data frames write integer columns with gaps as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _json_rows(manifest: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                reason = (
                    f"{error.msg} at character {error.colno}"
                    if isinstance(error, json.JSONDecodeError)
                    else error
                )
                raise UsageError(
                    f"{manifest}, line {number}: not valid JSON, a map a line: {reason}", "manifest"
                ) from None


def _once(cells: list[tuple[str, Any]]) -> dict[str, Any]:
    """A map of JSON; raises ValueError where a key appears twice."""
    row = dict(cells)
    if len(row) < len(cells):
        twice = next(name for name, _ in cells if sum(name == other for other, _ in cells) > 1)
        raise ValueError(f"column {twice!r} appears twice")
    return row


def _yaml_rows(manifest: Path, text: str) -> Iterator[tuple[str, Any]]:
    import yaml

    try:
        rows = yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{manifest}{line}: not valid YAML: {error.problem}", "manifest") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{manifest}: not valid YAML: {error}", "manifest") from None
    if rows is None:
        return
    if not isinstance(rows, list):
        raise UsageError(f"{manifest}: is not a list of maps", "manifest")
    yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))


def _loader() -> Any:
    """A loader of plain values by YAML 1.2, which allows no key twice (section 3.2.1.1)."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            """See PyYAML."""
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            times = Counter(key.value for key in keys)
            for key in keys:
                if times[key.value] > 1:
                    reason = f"column {key.value!r} appears twice"
                    raise yaml.MarkedYAMLError(problem=reason, problem_mark=key.start_mark)
            return super().construct_mapping(node, deep)

    for kind, (pattern, begins) in SCALARS.items():
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), list(begins)
        )
    return Loader
