from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bridge.batch.manifest.rows import Row, plan_rows, read
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
    rows, other = (read(folder / name, Preset(), "music", {}) for name in ("jobs.csv", "other.csv"))
    assert [row._replace(place="") for row in other] == [row._replace(place="") for row in rows]


SPREADSHEETS = {
    "Excel's own word": b"sep=;\r\npath;seed;high_gain_db;joint\r\na.wav;7;-3,5;TRUE\r\n",
    "Unicode text": "path\tseed\thigh_gain_db\tjoint\r\na.wav\t7\t-3,5\tTRUE\r\n".encode("utf-16"),
    "a data frame": b",path,seed,high_gain_db,joint\n0,a.wav,7.0,-3.5,True\n1,b.wav,,,\n",
    "empty columns": b"path,seed,high_gain_db,joint,,\na.wav,7,-3.5,true,,\n,,,,,\n",
    "titles below a blank line": b"\n ,,,\nPath,Seed,High gain dB,Joint\na.wav,7,-3.5,true\n",
    "commas at the end": b"path,seed,high_gain_db,joint\na.wav,7,-3.5,true,,\n",
    "flags": b"path,seed,high-gain-db,joint\na.wav,7,-3.5,true\n",
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


def test_a_data_frames_gaps_and_names_with_line_separators_are_taken(folder: Path) -> None:
    rows = [{"path": "a.wav", "seed": 7.0, "takes": 2.0, "cutoff": float("nan"), "out": "a\u2028\x85b.wav"}]
    (folder / "frame.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    [row] = read(folder / "frame.jsonl", Preset(), "music", {})
    assert (row.preset.seed, row.takes, row.preset.cutoff, row.out) == (7, 2, "auto", "a\u2028\x85b.wav")


def test_yaml_makes_no_number_of_a_time_code_and_no_truth_value_of_off(folder: Path) -> None:
    (folder / "code.yaml").write_text(
        "- {path: a.wav, gate_db: off, start: 10:00:00:12, end: 11:30, fps: 25, joint: true, seed: 3}\n"
        "- {path: 2026-01-01.wav, cutoff: 7.5e3, high_gain_db: -3.5, seed: ~}\n"
    )
    first, second = read(folder / "code.yaml", Preset(), "music", {})
    assert (first.preset.gate_db, first.preset.start, first.preset.end) == ("off", "10:00:00:12", "11:30")
    assert (first.preset.joint, first.preset.seed, first.preset.fps) == (True, 3, "25")
    assert (second.preset.cutoff, second.preset.high_gain_db, second.preset.seed) == (7500, -3.5, 0)
    assert Path(second.paths[0]).name == "2026-01-01.wav"


def test_files_that_a_row_names_are_sought_beside_the_manifest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine.toml").write_text("seed = 9\n")
    (folder / "jobs.csv").write_text("path,preset,like\na.wav,mine.toml,sub/voice.wav\n")
    monkeypatch.chdir(folder.parent)
    [row] = read(Path(folder.name) / "jobs.csv", Preset(), "music", {})
    assert (row.preset.seed, row.preset_name) == (9, "mine")
    assert row.preset.like == str(folder / "sub" / "voice.wav")


def test_a_manifest_of_windows_is_one_here(folder: Path) -> None:
    (folder / "vox").mkdir()
    for name in ("vox/a.wav", "vox/voice.wav", r"back\slash.wav"):
        (folder / name).write_bytes(b"RIFF")
    (folder / "jobs.csv").write_text(
        "path,like,out\nvox\\a.wav,vox\\voice.wav,done\\{stem}{ext}\nvox\\v*.wav,,\nback\\slash.wav,,\n"
    )
    rows = read(folder / "jobs.csv", Preset(), "music", {})
    assert rows[0].preset.like == str(folder / "vox" / "voice.wav")
    pairs, refused = plan_rows(rows, str(folder / "out"))
    assert refused == []
    assert [item.out.relative_to(folder).as_posix() for item, _ in pairs] == [
        "out/done/a.wav", "out/voice.wav", "out/back\\slash.wav",
    ]  # fmt: skip


def test_what_a_command_line_lets_clip_clips_whatever_preset_a_row_names(folder: Path) -> None:
    (folder / "mine.toml").write_text("[delivery]\nloudness = -23\n")
    (folder / "jobs.csv").write_text("path,preset\na.wav,mine.toml\n")
    for clip in (False, True):
        [row] = read(folder / "jobs.csv", Preset(), "music", {}, clip=clip)
        assert (row.preset.delivery.clip, row.preset.delivery.loudness) == (clip, -23)


def test_two_rows_that_say_the_same_are_one_render(folder: Path) -> None:
    (folder / "jobs.csv").write_text("path,takes,seed\na.wav,2,\nb.wav,,\n./a.wav,2,0\nb.wav,,5\n")
    pairs, refused = plan_rows(read(folder / "jobs.csv", Preset(), "music", {}), str(folder / "out"))
    assert [item.out.name for item, _ in pairs] == ["a-take1.wav", "a-take2.wav"]
    assert len(refused) == 2
    assert all("twice, with different knobs" in refusal.error.message for refusal in refused)


def test_a_destination_that_cannot_be_is_named_with_its_row(folder: Path) -> None:
    (folder / "jobs.csv").write_text("path,out\na.wav,\n*.wav,one.wav\n")
    with pytest.raises(UsageError, match=r"jobs\.csv, line 3: 2 inputs for the one file"):
        plan_rows(read(folder / "jobs.csv", Preset(), "music", {}), str(folder / "out"))


@pytest.mark.parametrize("out", ["one.wav", "{stem}{ext}"])
def test_rows_with_a_name_of_their_own_need_a_folder(folder: Path, out: str) -> None:
    (folder / "jobs.csv").write_text("path,out\na.wav,sub/x.wav\nb.wav,\n")
    with pytest.raises(
        UsageError, match=r"jobs\.csv, line 2: out = 'sub/x.wav' .* names a file: give a folder"
    ):
        plan_rows(read(folder / "jobs.csv", Preset(), "music", {}), str(folder / out))


def test_no_row_becomes_a_file_in_the_place_of_a_folder(folder: Path) -> None:
    (folder / "jobs.csv").write_text("path,out\na.wav,x.wav\nb.wav,x.wav/y/b.wav\n")
    pairs, refused = plan_rows(read(folder / "jobs.csv", Preset(), "music", {}), str(folder / "out"))
    assert [item.source.name for item, _ in pairs] == ["a.wav"]
    assert "needs a folder where" in refused[0].error.message


@pytest.mark.skipif(os.name == "nt", reason="a drive there")
def test_a_name_with_a_colon_is_a_name(folder: Path) -> None:
    (folder / "jobs.csv").write_text("path,out\na.wav,a:b.wav\n")
    [(item, _)], _ = plan_rows(read(folder / "jobs.csv", Preset(), "music", {}), str(folder / "out"))
    assert item.out == folder / "out" / "a:b.wav"


def test_patterns_that_leave_nothing_are_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match="none of the files named is left by --include and --exclude"):
        plan_rows(read(folder / "jobs.csv", Preset(), "music", {}), "out", wanted=by_name(["*.mp3"], []))


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
        ("jobs.csv", "path,steeps\na.wav,5\n", r"line 1: unknown column 'steeps'; there are path, preset"),
        ("jobs.csv", "path,seed\na.wav,1,2\n", "line 2: more cells than columns"),
        ("jobs.csv", "seed\n1\n", "line 1: no column 'path'"),
        ("jobs.csv", "\npath,seed,seed\na.wav,1,2\n", "line 2: column 'seed' appears twice"),
        ("jobs.jsonl", '{"path": "a.wav", "seed": 1, "seed": 2}\n', "line 1: .*column 'seed' appears twice"),
        ("jobs.yaml", "- path: a.wav\n  seed: 1\n  seed: 2\n", "line 2: .*column 'seed' appears twice"),
        ("jobs.jsonl", '{"path": "a.wav", "steeps": 1}\n', "line 1: unknown column 'steeps'; there are path"),
        ("jobs.csv", f"path\n{'a' * 200_000}\n", "line 2: not valid CSV: field larger than field limit"),
        ("jobs.csv", "path,preset\na.wav,musik\n", "line 2: unknown preset 'musik'"),
        ("jobs.csv", 'path,seed\n"a.wav,1\nb.wav,2\n', "line 3: not valid CSV: unexpected end of data"),
        ("jobs.csv", "path,out\na.wav,x.wav\na.wav,/tmp/x.wav\n", "line 3: out = '/tmp/x.wav' leads out of"),
        ("jobs.csv", "path,out\na.wav,D:\\x.wav\n", "line 2: out = 'D:/x.wav' leads out of"),
        ("jobs.csv", "path,seed\n,1\n", "line 2: no path"),
        ("jobs.csv", "path,out\na.wav,..\\x.wav\n", "line 2: out = '../x.wav' leads out of"),
        ("jobs.csv", "path,out\na.wav,sub/../../x.wav\n", "line 2: out = .* leads out of"),
        ("jobs.jsonl", '{"path": "a.wav"}\n{', "line 2: not valid JSON, a map a line: .* at character 2"),
        ("jobs.jsonl", "\n[1]\n", "line 2: is not a map"),
        ("jobs.jsonl", '{"path": 3}\n', "line 1: path = 3 is not text"),
        ("jobs.jsonl", '{"path": "a.wav", "like": 3}\n', "line 1: like = 3 is not text"),
        ("jobs.yaml", "path: a.wav\n", "is not a list of maps"),
        ("jobs.yaml", "- {path: [", "not valid YAML"),
        (
            "jobs.yaml",
            "- path: a.wav\n\tseed: 3\n",
            "line 2: not valid YAML: found a tab .*ion$",
        ),
        ("jobs.txt", "a.wav\n", r"manifests end in \.csv, \.tsv, \.jsonl, \.ndjson, \.yaml, \.yml, not"),
    ],
)
def test_a_wrong_row_refuses_the_whole_and_is_named(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read(folder / name, Preset(), "music", {})
    assert name in caught.value.message


def test_a_manifest_that_is_not_there_or_holds_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(folder / "none.csv", Preset(), "music", {})
    (folder / "jobs.csv").write_text("path,seed\n")
    (folder / "jobs.yaml").write_text("# none yet\n")
    for name in ("jobs.csv", "jobs.yaml"):
        with pytest.raises(InputError, match="holds no rows"):
            read(folder / name, Preset(), "music", {})


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


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("t[1].wav", {"Stems [v2]/t[1].wav", "Stems [v2]/t1.wav"}),
        ("Stems [v2]/*", {"Stems [v2]/t[1].wav", "Stems [v2]/t1.wav"}),
        ("Stems [v2]/t[1].wav", {"Stems [v2]/t[1].wav", "Stems [v2]/t1.wav"}),
        ("Stems [[]v2]/t[12].wav", {"Stems [v2]/t1.wav"}),
    ],
)
def test_brackets_in_a_pattern_may_be_part_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, names: set[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Stems [v2]").mkdir()
    wanted = by_name([pattern], [])
    all_names = ("Stems [v2]/t[1].wav", "Stems [v2]/t1.wav", "Stems v/t3.wav")
    assert {name for name in all_names if wanted(Path(name))} == names


def test_an_empty_pattern_is_refused() -> None:
    for include, exclude in ([""], ["a"]), (["a"], [""]):
        with pytest.raises(UsageError, match="empty pattern; is a variable unset"):
            by_name(include, exclude)


@pytest.mark.parametrize("column", ["path", "preset", "out", "like"])
def test_half_a_surrogate_pair_is_no_name(tmp_path: Path, column: str) -> None:
    manifest = tmp_path / "jobs.jsonl"
    manifest.write_text(json.dumps({"path": "kick.wav", column: "\ud800"}))
    with pytest.raises(UsageError, match=rf"line 1: {column} = '\\ud800' holds a character no name can"):
        read(manifest, Preset(), "music", {})
