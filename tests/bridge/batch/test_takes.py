"""Takes in a batch: planned, named, judged and marked; and judged again with the existing ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from bridge.batch.manifest.rows import Row, plan_rows, read
from bridge.batch.narrow import shard
from bridge.batch.takes import check_takes
from presets.errors import UsageError
from presets.schema import Preset, make
from render.files.sidecar import find_done, sidecar_path

if TYPE_CHECKING:
    Airband = Callable[..., Any]


def test_each_take_has_its_seed_and_its_name(clips: Path) -> None:
    row = Row((str(clips / "kick.wav"),), None, make(seed=7), "music", 3)
    pairs, refused = plan_rows([row], str(clips / "out"))
    assert not refused
    assert [(item.out.name, row.preset.seed) for item, row in pairs] == [
        ("kick-take1.wav", 7), ("kick-take2.wav", 8), ("kick-take3.wav", 9),
    ]  # fmt: skip
    assert {item.take.clip.name for item, _ in pairs if item.take} == {"kick.wav"}


def test_takes_of_a_clip_stay_on_one_machine(clips: Path) -> None:
    row = Row((str(clips),), None, Preset(), "music", 4)
    pairs, _ = plan_rows([row], str(clips / "out"), recursive=True)

    def part(text: str) -> list[str]:
        return [
            item.source.name
            for item, _ in shard(text).part(pairs, lambda pair: pair[0].take.clip)  # type: ignore[union-attr]
        ]

    assert [len(set(part(f"{number}/2"))) for number in (1, 2)] == [2, 1]
    assert sorted(part("1/2") + part("2/2")) == sorted(item.source.name for item, _ in pairs)


def test_a_manifest_says_how_many(tmp_path: Path) -> None:
    manifest = tmp_path / "jobs.csv"
    manifest.write_text("path,takes\na.wav,4\nb.wav,\n")
    assert [row.takes for row in read(manifest, Preset(), "music", {}, 2)] == [4, 2]
    manifest.write_text("path,takes\na.wav,many\n")
    with pytest.raises(UsageError, match="line 2: takes = 'many' is not a whole number"):
        read(manifest, Preset(), "music", {})
    manifest.write_text("path,takes,stem\na.wav,4,high\n")
    with pytest.raises(UsageError, match="give stem = full"):
        read(manifest, Preset(), "music", {})


@pytest.mark.parametrize("count", [0, 101])
def test_how_many_is_limited(count: int) -> None:
    with pytest.raises(UsageError, match="allowed: 1 to 100"):
        check_takes(count, Preset())


def test_all_are_kept_and_the_best_is_marked_and_told(airband: Airband, engine: Any, clips: Path) -> None:
    out, page = clips.parent / "out", clips.parent / "report.html"
    results = clips.parent / "results.jsonl"
    command = ("render", clips / "kick.wav", "-o", out, "--state", engine.home.state, "--takes", 3)
    said = airband(*command, "--report", page, "--results", results)
    assert said.code == 0, said
    names = [f"kick-take{number}.wav" for number in (1, 2, 3)]
    assert sorted(path.name for path in out.glob("*.wav")) == names
    told = {name: json.loads(sidecar_path(out / name).read_text()) for name in names}
    assert [told[name]["take"]["number"] for name in names] == [1, 2, 3]
    (best,) = (name for name in names if told[name]["take"]["best"])
    distances = {name: told[name]["take"]["distance"] for name in names}
    assert distances[best] == min(distances.values())
    assert len(set(distances.values())) > 1
    assert find_done(out / best, told[best]["key"]) is not None

    assert f"kick.wav: best is {best}: {distances[best]:.2f} from what is usual and expected" in said.out
    assert "tilt: slope of the new band less that of the trend" in said.out
    assert f"  * {best}: " in said.out
    assert "3 rendered in" in said.out
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["done", "done", "done", "best"]
    assert {Path(name).name: take["distance"] for name, take in lines[-1]["takes"].items()} == distances
    assert '"3 of 3' in page.read_text()
    assert "the best: " in page.read_text()
    assert "standard deviations from what is usual and expected" in page.read_text()

    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = airband(*command, "--json")
    assert [event["what"] for event in again.events][-2:] == ["best", "end"]
    assert Path(again.events[-2]["out"]).name == best
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    (out / best).unlink()
    assert airband(*command, "--json").events[-2]["out"].endswith(best)


def test_where_nothing_is_generated_all_takes_are_alike(airband: Airband, engine: Any, clips: Path) -> None:
    out = clips.parent / "out"
    command = ("render", clips / "kick.wav", "-o", out, "--state", engine.home.state, "--takes", 2)
    said = airband(*command, "--model", "null")
    assert "best is kick-take1.wav: all takes measure alike" in said.out
    assert airband(*command, "--stem", "high").code == 2


def test_of_a_file_in_which_nothing_is_missing_no_take_is_best(
    airband: Airband, engine: Any, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "full.wav", 0.1 * np.random.default_rng(0).standard_normal(30000), 48000)
    out = tmp_path / "out"
    said = airband("render", tmp_path / "full.wav", "-o", out, "--state", engine.home.state, "--takes", 2)
    assert f"{tmp_path / 'full.wav'}: nothing was generated, so all takes are alike\n" in said.out
    assert "takes are judged" not in said.out
