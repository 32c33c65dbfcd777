"""Batches of `airband render`: planned, narrowed, cancelled and resumed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from render.files.sidecar import sidecar_path

if TYPE_CHECKING:
    Airband = Callable[..., Any]


@pytest.fixture
def state(engine: Any) -> Path:
    """The state folder of the tests' engine."""
    folder: Path = engine.home.state
    return folder


def made(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.wav"))


def test_each_row_of_a_manifest_is_rendered_its_own_way(airband: Airband, state: Path, clips: Path) -> None:
    manifest, out = clips / "jobs.csv", clips.parent / "out"
    manifest.write_text(
        "path,preset,seed,end,out\n"
        "kick.wav,,7,,{stem}-7{ext}\n"
        "kick.wav,speech,,,{stem}-s{ext}\n"
        "sub/hat.wav,,,0.25,\n"
    )
    command = ("render", "--manifest", manifest, "-o", out, "--state", state, "--rate", 44100)
    said = airband(*command)
    assert said.code == 0, said
    assert made(out) == ["hat.wav", "kick-7.wav", "kick-s.wav"]
    told = {name: json.loads(sidecar_path(out / name).read_text()) for name in made(out)}
    assert (told["kick-7.wav"]["preset"]["seed"], told["kick-s.wav"]["preset"]["name"]) == (7, "speech")
    assert told["hat.wav"]["render"]["frames"] == round(0.25 * 44100)
    assert {said["render"]["rate"] for said in told.values()} == {44100}
    again = airband(*command, "--json")
    assert (again.events[-1]["done"], again.events[-1]["skipped"]) == (0, 3)


@pytest.mark.parametrize("flags", [("--report", "a.html"), ("--results", "a.jsonl")])
def test_a_dry_run_writes_no_page_and_no_results(
    airband: Airband, clips: Path, flags: tuple[str, str]
) -> None:
    said = airband("render", clips, "-o", clips.parent / "out", "--dry-run", *flags)
    assert (said.code, said.err.startswith("airband: --dry-run ")) == (2, True)
    assert flags[0] in said.err


def test_a_dry_run_says_what_would_be_and_touches_nothing(airband: Airband, state: Path, clips: Path) -> None:
    out = clips.parent / "out"
    (clips / "pipe.wav").mkdir()
    airband("render", clips / "kick.wav", "-o", out, "--state", state)
    (out / "snare.flac").write_bytes(b"somebody else's")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    command = ("render", clips, "-r", "-o", out, "--state", state, "--dry-run")
    told = {Path(lot.get("source", "")).name: lot for lot in airband(*command, "--json").events}
    assert (told["kick.wav"]["what"], told["hat.wav"]["what"]) == ("skipped", "render")
    assert (told["snare.flac"]["what"], told["snare.flac"]["code"]) == ("refused", "output")
    assert told["hat.wav"]["audio_s"] == pytest.approx(40000 / 48000)
    assert (told[""]["render"], told[""]["skipped"], told[""]["refused"]) == (1, 1, 1)
    said = airband(*command)
    assert said.code == 4
    assert "1 would be rendered, 0.8 s of audio" in said.out
    assert airband(*command, "--exclude", "*.flac").code == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def odd_files(folder: Path, clip: Path) -> None:
    """Sources that a render refuses, each for a different reason, beside some that it accepts."""
    samples, rate = soundfile.read(clip)
    whole, flac = folder / "whole.wav", folder / "whole.flac"
    soundfile.write(whole, samples, rate, "PCM_16")
    soundfile.write(flac, np.random.default_rng(0).uniform(-0.1, 0.1, 2 * rate), rate)
    for cut in (whole, flac):
        (folder / f"cut{cut.suffix}").write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    soundfile.write(folder / "coded.wav", samples, rate, "MS_ADPCM")
    (folder / "text.wav").write_text("no audio at all")
    (folder / "empty.wav").touch()
    soundfile.write(folder / "slow.wav", samples, 3000)
    soundfile.write(folder / "low.wav", samples, 8000)
    soundfile.write(folder / "many.wav", np.zeros((100, 9)), rate)
    soundfile.write(folder / "short.wav", samples[:100], rate)
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", whole, "-c:a", "alac", folder / "probed.m4a"], check=True
        )


def test_a_dry_run_refuses_what_the_render_would_and_says_why(
    airband: Airband, state: Path, clips: Path
) -> None:
    folder = clips.parent / "odd"
    folder.mkdir()
    odd_files(folder, clips / "kick.wav")
    knobs = ("--model", "null", "--cutoff", 6000, "--start", 0.01)
    out = folder.parent / "out" / "{stem}{suffix}{ext}"
    command = ("render", folder, "-o", out, "--state", state, *knobs, "--json")
    dry, real = airband(*command, "--dry-run"), airband(*command)
    foreseen = {Path(lot["source"]).name: lot for lot in dry.events[:-1]}
    ended = {Path(e["source"]).name: e for e in real.events if e["what"] in ("done", "failed")}
    told = {name: (lot["what"] == "render", lot.get("message")) for name, lot in foreseen.items()}
    assert told == {name: (end["what"] == "done", end.get("message")) for name, end in ended.items()}
    fine = {name for name, (is_fine, _) in told.items() if is_fine}
    assert fine - {"probed.m4a"} == {"whole.wav", "whole.flac", "coded.wav"}
    for name in fine:
        assert foreseen[name]["audio_s"] == pytest.approx(ended[name]["report"]["frames"] / 48000, abs=0.03)
    assert "promises" in told["cut.flac"][1]
    assert "is not inside the source" in told["short.wav"][1]
    assert "above 4000 Hz" in told["low.wav"][1]
    assert dry.code == real.code == 1  # as both the command's knobs and files are at fault
    assert dry.events[-1]["refused"] == len(foreseen) - len(fine)
    assert airband(*command, "--dry-run", "--include", "empty.wav").code == 3


def test_only_what_is_meant_is_rendered(airband: Airband, state: Path, clips: Path) -> None:
    out = clips.parent / "out"
    command = ("render", clips, "-r", "-o", out, "--state", state)
    assert airband(*command, "--include", "*.wav", "--exclude", "*/sub/*").code == 0
    assert made(out) == ["kick.wav"]
    nothing = airband(*command, "--include", "*.aif")
    assert nothing.code == 3
    assert nothing.err == "airband: none of the files named is left by --include and --exclude\n"
    assert airband("render", "-o", out, "--state", state).code == 2
    for number in (1, 2):
        assert airband(*command, "--shard", f"{number}/2").code == 0
    assert made(out) == ["kick.wav", "sub/hat.wav"]
    assert (out / "snare.flac").exists()


def test_what_failed_is_written_down_and_tried_again_alone(
    airband: Airband, state: Path, clips: Path
) -> None:
    out, results = clips.parent / "out", clips.parent / "results.jsonl"
    whole = (clips / "kick.wav").read_bytes()
    (clips / "kick.wav").write_bytes(b"RIFF\0\0\0\0WAVEjunk")
    command = ("render", clips, "-r", "-o", out, "--state", state, "--results", results)
    assert airband(*command).code == 3
    told = [json.loads(text) for text in results.read_text().splitlines()]
    assert sorted((Path(line["source"]).name, line["what"]) for line in told) == [
        ("hat.wav", "done"), ("kick.wav", "failed"), ("snare.flac", "done"),
    ]  # fmt: skip
    (clips / "kick.wav").write_bytes(whole)
    (out / "snare.flac").unlink()
    assert airband(*command, "--only-failed").code == 0
    assert (made(out), (out / "snare.flac").exists()) == (["kick.wav", "sub/hat.wav"], False)
    assert airband(*command, "--only-failed").err == "nothing to render\n"
    assert airband("render", clips, "-o", out, "--state", state, "--only-failed").code == 2


def test_a_file_that_was_missing_is_tried_again_too(airband: Airband, state: Path, clips: Path) -> None:
    out, results, manifest = clips.parent / "out", clips.parent / "results.jsonl", clips / "jobs.csv"
    manifest.write_text("path,takes\nlate.wav,2\nkick.wav,\nlater.wav,\n")
    command = ("render", "--manifest", manifest, "-o", out, "--state", state, "--results", results)
    assert airband(*command).code == 3
    (clips / "snare.flac").rename(clips / "late.wav")
    (out / "kick.wav").unlink()
    said = airband(*command, "--only-failed")
    assert (said.code, made(out)) == (3, ["late-take1.wav", "late-take2.wav"])
    assert "later.wav: no such file" in said.out


def test_failures_call_a_batch_off(airband: Airband, state: Path, clips: Path) -> None:
    for number in range(6):
        (clips / f"a{number}.wav").write_bytes(b"RIFF\0\0\0\0WAVEjunk")
    out = clips.parent / "out"
    said = airband("render", clips, "-o", out, "--state", state, "--max-failures", 2)
    assert said.code == 3
    assert "0 rendered, 2 failed, 6 not rendered" in said.out
    fast = airband("render", clips, "-o", out, "--state", state, "--fail-fast", "--json")
    assert [event["what"] for event in fast.events if event["what"] != "progress"] == [
        "begin",
        "failed",
        "end",
    ]
    assert not out.exists()


def test_a_report_that_cannot_be_written_is_told_before_the_work(
    airband: Airband, state: Path, clips: Path
) -> None:
    page = clips / "kick.wav" / "report.html"  # kick.wav is not a folder
    said = airband("render", clips, "-o", clips.parent / "out", "--state", state, "--report", page)
    assert said.code == 4
    assert "kick.wav is not a folder; choose another" in said.err
    assert not (clips.parent / "out").exists()


def test_a_report_and_knobs_whose_names_are_no_text(airband: Airband, state: Path, clips: Path) -> None:
    out, page = clips.parent / "out", clips.parent / "re\udce9.html"
    kick = (clips / "kick.wav", "-o", out, "--state", state)
    assert airband("render", *kick, "--report", page).code == 0
    assert page.read_text().startswith("<!doctype html>")
    said = airband("render", *kick, "--force", "--like", clips.parent / "re\udce9.wav")
    assert said.code == 2
    assert r"re\xe9.wav: is not UTF-8" in said.out
    assert airband("render", *kick, "--sampler", "\udce9").code == 2


def test_a_report_is_not_written_over_a_recording(airband: Airband, state: Path, clips: Path) -> None:
    before = (clips / "kick.wav").read_bytes()
    said = airband(
        "render", clips, "-o", clips.parent / "out", "--state", state, "--report", clips / "kick.wav"
    )
    assert (said.code, (clips / "kick.wav").read_bytes()) == (2, before)
    assert "its name ends in .html" in said.err


def test_a_report_is_written_of_what_was_done_and_what_failed(
    airband: Airband, state: Path, clips: Path
) -> None:
    (clips / "broken.wav").write_bytes(b"RIFF\0\0\0\0WAVEjunk")
    page = clips.parent / "pages" / "report.html"
    said = airband("render", clips, "-o", clips.parent / "out", "--state", state, "--report", page)
    assert said.code == 3
    text = page.read_text()
    assert "2 rendered, 0 done already, 1 failed; 2 to hear below" in text
    assert text.count("data:audio/ogg") == 6
    assert "broken.wav" in text
    again = airband("render", clips, "-o", clips.parent / "out", "--state", state, "--report", page)
    assert (again.code, "0 rendered, 2 done already, 1 failed" in page.read_text()) == (3, True)


def test_a_report_is_not_written_over_a_page_of_somebody_else(
    airband: Airband, state: Path, clips: Path
) -> None:
    page = clips.parent / "index.html"
    page.write_text("<!doctype html><title>My site</title>")
    said = airband("render", clips, "-o", clips.parent / "out", "--state", state, "--report", page)
    assert (said.code, "My site" in page.read_text(), (clips.parent / "out").exists()) == (4, True, False)
    assert "is not a report by Airband" in said.err
