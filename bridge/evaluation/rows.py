"""The rows of an evaluation: stored as measured, summarised by domain, written for people and scripts."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean

from presets.errors import OutputError
from render.measure import perceptual
from render.measure.protocol import Figures

SCORES = tuple(perceptual.PACKAGES)
LARGEST = ("lag", "length")
"""Figures whose mean says nothing; the summary gives their largest value."""
MEANS = (*(f.name for f in fields(Figures) if f.name not in LARGEST), "lsd_ssr", *SCORES, "work_ratio")
FORMATS = {
    "clips": "{}",
    "lsd": "{:.2f}",
    "lsd_hf": "{:.2f}",
    "lsd_in": "{:.2f}",
    "lsd_ssr": "{:.2f}",
    "bias_db": "{:+.1f}",
    "power_db": "{:+.1f}",
    "power_abs_db": "{:.1f}",
    "shelf_db": "{:+.1f}",
    "visqol": "{:.2f}",
    "zimtohrli": "{:.2f}",
    "texture": "{:.2f}",
    "partials": "{:.2f}",
    "envelope": "{:.2f}",
    "null_db": "{:.0f}",
    "lag": "{}",
    "length": "{:+}",
    "work_ratio": "{:.3f}",
}
"""The figures of a table, in order, and their formats."""
PLACE = ("system", "cutoff_hz", "domain", "clip")
EVERY_CLIP = "(all)"
"""The clip name of lines in `write_csv` that hold a domain's means."""


@dataclass(frozen=True, slots=True)
class Row(Figures):
    """The figures of one clip, cut at one frequency, by one system with its weights.

    A score whose package is not installed is NaN.
    """

    lsd_ssr: float
    visqol: float
    zimtohrli: float
    system: str
    weights: str
    domain: str
    clip: str
    cutoff_hz: float
    work_ratio: float

    @property
    def complete(self) -> bool:
        """Whether it holds every score that can be taken on this machine."""
        absent = perceptual.missing()
        return not any(math.isnan(getattr(self, name)) for name in SCORES if name not in absent)

    @property
    def key(self) -> tuple[str, str, str, float]:
        """The fields that identify a row."""
        return self.system, self.weights, self.clip, self.cutoff_hz


def summary(rows: Sequence[Row]) -> list[dict[str, str | float | int]]:
    """Means by system, cut-off and domain; of the null the worst value, of lag and length the largest."""
    groups: dict[tuple[str, float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.system, row.cutoff_hz, row.domain), []).append(row)
    result = []
    for (system, cutoff_hz, domain), group in groups.items():
        line: dict[str, str | float | int] = {
            "system": system,
            "cutoff_hz": cutoff_hz,
            "domain": domain,
            "clips": len(group),
        }
        for name in MEANS:
            values = [value for row in group if not math.isnan(value := getattr(row, name))]
            worst = max if name == "null_db" else fmean
            line[name] = worst(values) if values else math.nan
        for name in LARGEST:
            line[name] = max((getattr(row, name) for row in group), key=abs)
        result.append(line)
    return result


def check_csv(path: Path) -> None:
    """Makes sure that `write_csv` may write there: nothing lies there, or an earlier table.

    Raises:
        OutputError: another file lies there, or one that cannot be read.
    """
    try:
        ours = not path.exists() or path.read_bytes().startswith(",".join(PLACE).encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}", "csv") from None
    if not ours:
        raise OutputError(f"{path}: exists and is not a table of figures; choose another --csv", "csv")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Writes every clip's row, and after each domain its means, under the clip name `(all)`.

    Raises:
        OutputError: a file of another kind lies there, or it cannot be written.
    """
    check_csv(path)
    absent = perceptual.missing()
    names = [*PLACE, *(n for n in MEANS if n not in absent), *LARGEST]
    try:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            for line in summary(rows):
                group = [row for row in rows if all(getattr(row, n) == line[n] for n in PLACE[:3])]
                writer.writerows(_rounded(asdict(row)) for row in group)
                writer.writerow(_rounded({**line, "clip": EVERY_CLIP}))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", "csv") from None


def _rounded(values: dict[str, str | float | int]) -> dict[str, str | float | int]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """Writes the summary and all rows as JSON; NaN becomes null, infinity "inf" or "-inf"."""

    def plain(values: dict[str, str | float | int]) -> dict[str, str | float | int | None]:
        return {k: _plain(v) if isinstance(v, float) else v for k, v in values.items()}

    text = {"summary": [plain(s) for s in summary(rows)], "rows": [plain(asdict(row)) for row in rows]}
    path.write_text(json.dumps(text, indent=1) + "\n")


def _plain(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def kept(table: Path) -> Iterator[Row]:
    """The complete rows of a table that an earlier run wrote; none if there is no table.

    Raises:
        OutputError: the file is not such a table.
    """
    if not table.exists():
        return
    kinds = {field.name: {"int": int, "float": float}.get(str(field.type), str) for field in fields(Row)}
    text = table.read_bytes()[: _whole(table)].decode(errors="replace")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if list(reader.fieldnames or ()) != list(kinds):
        raise OutputError(f"{table}: is not a table of this version; choose another --out", "out")
    for values in reader:
        yield Row(**{name: kinds[name](value) for name, value in values.items()})


def _whole(table: Path) -> int:
    """Size of a table up to the end of its last complete line; a killed run may leave half a row after it."""
    return table.read_bytes().rfind(b"\n") + 1


class Appended:
    """Appends rows after a table's last complete row, and flushes each; a context manager."""

    def __init__(self, table: Path) -> None:
        try:
            table.parent.mkdir(parents=True, exist_ok=True)
            self._file = table.open("a", newline="")
            self._file.truncate(_whole(table))
        except OSError as error:
            raise OutputError(f"{table}: cannot be written: {error.strerror}", "out") from None
        self._writer = csv.DictWriter(self._file, [field.name for field in fields(Row)])
        if not table.stat().st_size:
            self._writer.writeheader()

    def __enter__(self) -> Callable[[Row], None]:
        return self._write

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _write(self, row: Row) -> None:
        self._writer.writerow(asdict(row))
        self._file.flush()
