from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.batch.manifest import Row, plan_rows, read
from bridge.batch.narrow import by_name, shard
from presets.errors import InputError, UsageError
from presets.schema import Preset, make

ROWS: list[dict[str, Any]] = [
    {"path": "a.wav", "seed": 7, "start": 1.5, "out": "{stem}-seven{ext}"},
    {"path": "b.wav", "preset": "speech", "cutoff": 8000},
    {"path": "b.wav", "end": "4800smp", "out": "sub/b.flac", "joint": True},
]
AS_CSV = """path,preset,out,seed,start,end,cutoff,joint
a.wav,,{stem}-seven{ext},7,1.5,,,
b.wav,speech,,,,,8000,

b.wav,,sub/b.flac,,,4800smp,,true
"""
AS_YAML = """
- {path: a.wav, seed: 7, start: 1.5, out: "{stem}-seven{ext}"}
- path: b.wav
  preset: speech
  cutoff: 8000
- {path: b.wav, end: 4800smp, out: sub/b.flac, joint: true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    (tmp_path / "jobs.csv").write_text("﻿" + AS_CSV)
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "jobs.yaml").write_text(AS_YAML)
    return tmp_path


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheet_may_part_its_cells_by_other_marks(folder: Path, delimiter: str) -> None:
    (folder / "other.csv").write_text(AS_CSV.replace(",", delimiter))
    assert read(folder / "other.csv", Preset(), "music", {}) == read(
        folder / "jobs.csv", Preset(), "music", {}
    )


SPREADSHEETS = {
    "Excel's own word": b"sep=;\r\npath;seed;high_gain_db;joint\r\na.wav;7;-3,5;TRUE\r\n",
    "Unicode text": "path\tseed\thigh_gain_db\tjoint\r\na.wav\t7\t-3,5\tTRUE\r\n".encode("utf-16"),
    "a data frame": b",path,seed,high_gain_db,joint\n0,a.wav,7.0,-3.5,True\n1,b.wav,,,\n",
    "empty columns": b"path,seed,high_gain_db,joint,,\na.wav,7,-3.5,true,,\n,,,,,\n",
}


@pytest.mark.parametrize("content", SPREADSHEETS.values(), ids=SPREADSHEETS.keys())
def test_a_spreadsheet_is_taken_as_it_is_meant(folder: Path, content: bytes) -> None:
    (folder / "sheet.csv").write_bytes(content)
    first = read(folder / "sheet.csv", Preset(), "music", {})[0]
    assert (first.preset.seed, first.preset.high_gain_db, first.preset.joint) == (7, -3.5, True)
    assert first.paths == (str(folder / "a.wav"),)


@pytest.mark.parametrize("name", ["jobs.csv", "jobs.jsonl", "jobs.yaml"])
def test_all_three_forms_say_the_same(folder: Path, name: str) -> None:
    rows = read(folder / name, make(rate=44100), "music", {"rate": 44100})
    assert [row.paths for row in rows] == [(str(folder / path),) for path in ("a.wav", "b.wav", "b.wav")]
    assert [row.out for row in rows] == ["{stem}-seven{ext}", None, "sub/b.flac"]
    assert [row.preset_name for row in rows] == ["music", "speech", "music"]
    assert [row.preset.rate for row in rows] == [44100] * 3
    assert (rows[0].preset.seed, rows[0].preset.start) == (7, 1.5)
    assert (rows[1].preset.cutoff, rows[1].preset.gate_db) == (8000, -75)
    assert (rows[2].preset.end, rows[2].preset.joint) == ("4800smp", True)


def test_rows_become_items_below_the_destination(folder: Path) -> None:
    pairs, refused = plan_rows(read(folder / "jobs.csv", Preset(), "music", {}), str(folder / "out"))
    assert refused == []
    assert [item.out.relative_to(folder).as_posix() for item, _ in pairs] == [
        "out/a-seven.wav", "out/b.wav", "out/sub/b.flac",
    ]  # fmt: skip
    assert [row.preset.seed for _, row in pairs] == [7, 0, 0]


def test_two_rows_for_one_file_are_refused_and_a_missing_file_is_its_own_row(folder: Path) -> None:
    rows = [Row((str(folder / name),), None, make(seed=k), "music") for k, name in enumerate("aab")]
    rows = [row._replace(paths=(f"{row.paths[0]}.wav",)) for row in rows]
    rows.append(rows[0]._replace(paths=(str(folder / "none.wav"),)))
    pairs, refused = plan_rows(rows, str(folder / "out"))
    assert [item.source.name for item, _ in pairs] == ["b.wav"]
    assert sorted(refusal.item.source.name for refusal in refused) == ["a.wav", "a.wav", "none.wav"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("jobs.csv", "path,steps\na.wav,0\n", r"line 2: steps = 0"),
        ("jobs.csv", "path,steeps\na.wav,5\n", r"line 2: unknown column 'steeps'; there are path, preset"),
        ("jobs.csv", "path,seed\na.wav,1,2\n", "line 2: more cells than columns"),
        ("jobs.csv", "seed\n1\n", "line 2: no path"),
        ("jobs.csv", f"path\n{'a' * 200_000}\n", "line 2: not valid CSV: field larger than field limit"),
        ("jobs.csv", "path,preset\na.wav,musik\n", "line 2: unknown preset 'musik'"),
        ("jobs.jsonl", '{"path": "a.wav"}\n{', "not valid JSON lines"),
        ("jobs.jsonl", "[1]\n", "row 1: is no map"),
        ("jobs.jsonl", '{"path": 3}\n', "row 1: path = 3 is no text"),
        ("jobs.yaml", "path: a.wav\n", "is no list of maps"),
        ("jobs.yaml", "- {path: [", "not valid YAML"),
        ("jobs.txt", "a.wav\n", r"manifests end in \.csv, \.tsv, \.jsonl, \.ndjson, \.yaml, \.yml, not"),
    ],
)
def test_a_wrong_row_refuses_the_whole_and_is_named(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read(folder / name, Preset(), "music", {})
    assert name in caught.value.message


def test_a_manifest_that_is_not_there_or_holds_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read(folder / "none.csv", Preset(), "music", {})
    (folder / "jobs.csv").write_text("path,seed\n")
    with pytest.raises(InputError, match="holds no rows"):
        read(folder / "jobs.csv", Preset(), "music", {})


def test_shards_share_nothing_and_leave_nothing_out() -> None:
    parts = [shard(f"{number}/3").part(range(10)) for number in (1, 2, 3)]
    assert sorted(number for part in parts for number in part) == list(range(10))
    assert [len(part) for part in parts] == [4, 3, 3]


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2"])
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give i/n"):
        shard(text)


@pytest.mark.parametrize(
    ("include", "exclude", "names"),
    [
        ([], [], {"a/kick.wav", "a/snare.wav", "b/kick.aif"}),
        (["*.wav"], [], {"a/kick.wav", "a/snare.wav"}),
        (["kick*"], ["*.aif"], {"a/kick.wav"}),
        (["b/*"], [], {"b/kick.aif"}),
        ([], ["kick.*"], {"a/snare.wav"}),
    ],
)
def test_names_are_included_and_excluded(include: list[str], exclude: list[str], names: set[str]) -> None:
    wanted = by_name(include, exclude)
    assert {n for n in ("a/kick.wav", "a/snare.wav", "b/kick.aif") if wanted(Path(n))} == names
