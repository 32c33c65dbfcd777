from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import msgspec
from rich.console import Console

from bridge.batch.plan import Item
from bridge.batch.run import Event
from bridge.cli.display import Bars, JsonLines, Lines, display
from bridge.client.model_choice import Choice
from bridge.wire.messages import Model
from presets.errors import InputError
from presets.report import RenderReport

CHOICE = Choice(Model("draft", ready=True, device="cpu"), "no GPU")
ITEMS = [Item(Path(f"{name}.wav"), Path(f"out/{name}.wav")) for name in ("a", "[b]", "c")]


def shown(report: RenderReport, terminal: bool, as_json: bool = False) -> str:
    file = io.StringIO()
    screen = display(Console(file=file, force_terminal=terminal, width=100), as_json=as_json)
    screen.begin(3, CHOICE, "3 files")
    for event in (
        Event(ITEMS[0], "progress", "draft", 3, 10, 1.5),
        Event(ITEMS[0], "done", seconds=0.25, report=msgspec.structs.replace(report, cutoff_hz=3999.6)),
        Event(ITEMS[1], "skipped"),
        Event(ITEMS[2], "failed", error=InputError("c.wav is empty", "c.wav")),
    ):
        screen.show(event)
    screen.end(Counter(done=1, skipped=1, failed=1), 2.0)
    return file.getvalue()


def test_a_log_gets_a_line_for_each_file_and_no_control_codes(report: RenderReport) -> None:
    assert shown(report, terminal=False).splitlines() == [
        "model draft on cpu (no GPU)",
        "3 files",
        "[1/3] a.wav -> out/a.wav: generated above 4000 Hz (auto), 0.2 s",
        "[2/3] [b].wav -> out/[b].wav: done already",
        "[3/3] c.wav: c.wav is empty",
        "1 rendered, 1 done already, 1 failed in 2.0 s",
    ]


def test_a_terminal_gets_bars_and_the_same_lines(report: RenderReport) -> None:
    text = shown(report, terminal=True)
    assert "draft, 2 s left" in text
    assert "in total" in text
    assert "[3/3] c.wav: c.wav is empty" in text


def test_a_script_gets_json_lines(report: RenderReport) -> None:
    events = [json.loads(line) for line in shown(report, terminal=True, as_json=True).splitlines()]
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


def test_a_batch_called_off_says_how_much_is_left() -> None:
    file = io.StringIO()
    lines = Lines(Console(file=file, width=100))
    lines.begin(3, CHOICE, "3 files")
    lines.end(Counter(done=1), 1.0)
    assert file.getvalue().splitlines()[-1] == "1 rendered, 2 not rendered in 1.0 s"


def test_the_display_fits_where_it_goes() -> None:
    assert isinstance(display(Console(force_terminal=True), as_json=False), Bars)
    assert not isinstance(display(Console(force_terminal=False), as_json=False), Bars)
    assert isinstance(display(Console(force_terminal=True), as_json=True), JsonLines)
