from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from bridge.batch.plan import Item
from bridge.batch.run import Event
from bridge.cli.display import Bars, Display, JsonLines, Lines, display
from bridge.client.model_choice import Choice
from bridge.wire.messages import Model
from presets.errors import BusyError, InputError
from presets.report import RenderReport

CHOICE = Choice(Model("draft", ready=True, device="cpu"), "no GPU")
ITEMS = [Item(Path(f"{name}.wav"), Path(f"out/{name}.wav")) for name in ("a", "[b]", "c")]


def show(screen: Display, report: RenderReport) -> None:
    screen.begin(3, CHOICE, "3 files")
    for event in (
        Event(ITEMS[0], "progress", "draft", 3, 10, 1.5),
        Event(ITEMS[0], "done", seconds=0.25, report=msgspec.structs.replace(report, cutoff_hz=3999.6)),
        Event(ITEMS[1], "skipped"),
        Event(ITEMS[2], "failed", error=InputError("c.wav is empty", "c.wav")),
    ):
        screen.show(event)
    screen.end(Counter(done=1, skipped=1, failed=1), 2.0)


def test_a_log_gets_a_line_for_each_file_and_no_control_codes(
    report: RenderReport, capsys: pytest.CaptureFixture[str]
) -> None:
    show(display(as_json=False), report)
    assert capsys.readouterr().out.splitlines() == [
        "model draft on cpu (no GPU)",
        "3 files",
        "[1/3] a.wav -> out/a.wav: generated above 4000 Hz (auto), 0.2 s",
        "[2/3] [b].wav -> out/[b].wav: done already",
        "[3/3] c.wav: is empty",
        "1 rendered, 1 done already, 1 failed in 2.0 s",
    ]


def test_a_terminal_gets_the_same_lines_in_colours_and_no_bars_where_it_is_quickly_done(
    report: RenderReport, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.cli.display.BARS_AFTER_S", 600.0)
    monkeypatch.delenv("NO_COLOR", raising=False)
    bars = Bars()
    for _ in range(2):  # as `airband audacity` does for each selected track
        show(bars, report)
    text = capsys.readouterr().out
    assert text.count("[1/3] a.wav") == 2
    assert "\x1b[31m[3/3] c.wav: is empty\x1b[0m\n" in text
    assert "in total" not in text


def test_what_takes_longer_gets_bars_below_its_lines(
    report: RenderReport, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.cli.display.BARS_AFTER_S", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")  # Rich takes the captured output for a terminal
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    bars = Bars()
    bars.begin(3, CHOICE, "3 files")
    said = ""
    while "in total" not in said:
        said += capsys.readouterr().out
    bars.show(Event(ITEMS[0], "progress", "draft", 3, 10, 1.5))
    while "draft, 2 s left" not in said:
        said += capsys.readouterr().out
    bars.show(Event(ITEMS[1], "skipped"))
    bars.end(Counter(skipped=1), 2.0)
    said += capsys.readouterr().out
    assert "[1/3] [b].wav -> out/[b].wav: done already" in said
    assert said.endswith("1 done already, 2 not rendered in 2.0 s\n")


def test_a_script_gets_json_lines(report: RenderReport, capsys: pytest.CaptureFixture[str]) -> None:
    show(display(as_json=True), report)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["what"] for event in events] == ["begin", "progress", "done", "skipped", "failed", "end"]
    assert events[0] == {"what": "begin", "files": 3, "model": "draft", "device": "cpu", "why": "no GPU"}
    assert (events[1]["step"], events[1]["of"], events[1]["eta_s"]) == (3, 10, 1.5)
    said = events[2]["report"]
    assert (said["generated"], said["cutoff_hz"], said["rate"], said["why"]) == (
        True,
        3999.6,
        48000,
        "no GPU",
    )
    assert (events[4]["code"], events[4]["message"]) == ("input", "c.wav is empty")


def test_a_job_that_the_engine_has_no_room_for_is_told_as_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    waits = Event(ITEMS[0], "progress", "waits for room", error=BusyError("1.0 MB are free in /state"))
    for as_json in (False, True):
        screen = display(as_json=as_json)
        screen.begin(1, CHOICE, "1 file")
        screen.show(waits)
    said = capsys.readouterr().out.splitlines()
    assert said[2] == "a.wav: waits for room: 1.0 MB are free in /state"
    assert json.loads(said[-1])["message"] == "1.0 MB are free in /state"


def test_a_batch_called_off_says_how_much_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.begin(3, CHOICE, "3 files")
    lines.end(Counter(done=1), 1.0)
    assert capsys.readouterr().out.splitlines()[-1] == "1 rendered, 2 not rendered in 1.0 s"


def test_the_display_fits_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(display(as_json=False), Bars)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert isinstance(display(as_json=False), Bars)
    assert isinstance(display(as_json=True), JsonLines)


def test_a_warm_command_loads_neither_rich_nor_numpy_nor_what_reads_tags() -> None:
    """Loading each of them takes a tenth or more of the command's time."""
    heavy = ("rich", "numpy", "mutagen", "render.files.carried.metadata")
    code = (
        "import sys; from bridge.cli.app import command_line; command_line('render'); "
        f"print(*(name for name in {heavy} if name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
