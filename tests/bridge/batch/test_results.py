from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from bridge.batch.manifest.tables import read_table
from bridge.batch.plan import Item
from bridge.batch.results import Results, described, failed_before
from bridge.batch.run import Event
from presets.errors import InputError, OutputError, UsageError
from presets.report import EffectsReport, LoudnessReport, RenderReport

ITEM, OTHER = Item(Path("a.wav"), Path("out/a.wav")), Item(Path("b.wav"), Path("out/b.wav"))


def test_each_item_that_ends_is_a_line_at_once(tmp_path: Path, report: RenderReport) -> None:
    path = tmp_path / "new" / "results.jsonl"
    with Results(path) as results:
        results.add(Event(ITEM, "progress", "draft", 1, 2))
        results.add(Event(ITEM, "done", seconds=1.5, report=report))
        (said,) = map(json.loads, path.read_text().splitlines())
    assert (said["source"], said["out"], said["what"], said["seconds"]) == ("a.wav", "out/a.wav", "done", 1.5)
    assert said["report"]["cutoff_hz"] == 4000


def test_the_last_line_of_an_item_holds_and_a_cut_one_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path) as results:
        for item in (ITEM, OTHER):
            results.add(Event(item, "failed", error=InputError("no audio")))
        results.add(Event(ITEM, "skipped"))
    path.write_bytes(path.read_bytes() + b'{"out": "out/a.wav", "what": "fai')
    assert failed_before(path) == {os.path.abspath("out/b.wav")}
    with Results(path) as results:
        results.add(Event(OTHER, "skipped"))
    assert failed_before(path) == set()
    assert len(path.read_text().splitlines()) == 5


def test_a_file_that_cannot_be_written_or_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        Results(tmp_path / "folder")
    with pytest.raises(InputError, match="no such file"):
        failed_before(tmp_path / "none.jsonl")


def test_a_name_that_is_too_long_is_told_with_the_limit(tmp_path: Path) -> None:
    for path in (tmp_path / f"{'x' * 300}.jsonl", tmp_path / ("x" * 300) / "results.jsonl"):
        with pytest.raises(OutputError, match="too long; a name there may have up to 255 bytes, choose a sh"):
            Results(path)
    with pytest.raises(InputError, match="too long; a name there may have up to 255 bytes"):
        failed_before(tmp_path / f"{'x' * 300}.jsonl")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_named_pipe_is_never_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for read in (failed_before, lambda path: next(read_table(path, ["path"]))):
        with pytest.raises(InputError, match=r"pipe\.jsonl: is a named pipe, not a file"):
            read(tmp_path / "pipe.jsonl")
    with pytest.raises(OutputError, match=r"pipe\.jsonl: cannot be written: nobody reads this pipe"):
        Results(tmp_path / "pipe.jsonl")
    reader = os.open(tmp_path / "pipe.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    with Results(tmp_path / "pipe.jsonl") as results:
        results.add(Event(ITEM, "skipped"))
        assert json.loads(os.read(reader, 10_000))["what"] == "skipped"
    os.close(reader)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size there")
def test_a_line_that_finds_no_room_is_told_as_that(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        named = pytest.raises(OutputError, match=r"results\.jsonl: cannot be written")
        with named, Results(tmp_path / "results.jsonl") as results:
            results.add(Event(ITEM, "skipped"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_edited_in_place_is_named_once() -> None:
    item = Item(Path("kick.wav"), Path("kick.wav"))
    assert described(Event(item, "skipped")) == "kick.wav: done already"
    assert (
        described(Event(item, "done", unchanged="left as it is", seconds=0.1))
        == "kick.wav: left as it is, 0.1 s"
    )
    elsewhere = Item(Path("kick.wav"), Path("out/kick.wav"))
    clash = UsageError("kick.wav would become out/kick.wav twice", "inputs")
    assert described(Event(item, "failed", error=clash)) == "kick.wav: would become out/kick.wav twice"
    cut = Event(Item(Path("drums/kick.wav"), Path("kick.wav")), "failed", error=InputError("kick.wav is cut"))
    assert described(cut) == "drums/kick.wav: is cut"
    assert described(Event(elsewhere, "skipped")) == "kick.wav -> out/kick.wav: done already"


def test_a_line_tells_what_else_a_user_should_hear(report: RenderReport) -> None:
    missed = LoudnessReport(2.0, true_peak_dbtp=-1.0, target_lufs=-5.0, lufs=-16.6, held_back_db=11.6)
    noted = msgspec.structs.replace(report, loudness=missed, effects=EffectsReport(bypassed=("a.vst3 hung",)))
    told = (
        "bypassed: a.vst3 hung; loudness -16.6 LUFS instead of -5.0, as the true-peak limit held 11.6 dB back"
    )
    assert told in described(Event(ITEM, "done", report=noted, seconds=0.1))
    reached = msgspec.structs.replace(noted, loudness=msgspec.structs.replace(missed, held_back_db=0.0))
    assert "loudness" not in described(Event(ITEM, "done", report=reached, seconds=0.1))


def test_a_recording_is_not_taken_for_a_results_file(tmp_path: Path) -> None:
    path = tmp_path / "kick.wav"
    path.write_bytes(b"RIFF of somebody")
    with pytest.raises(OutputError, match=r"kick\.wav: exists and is not a results file"):
        Results(path)
    assert path.read_bytes() == b"RIFF of somebody"
