"""What is said about a job fits a message, whatever a plugin, a file name or a client put into it."""

from __future__ import annotations

import msgspec
import pytest

from bridge.wire.bounds import REPORT_BYTES, bounded_report, bounded_text
from bridge.wire.frames import decode, encode
from bridge.wire.messages import Done, Error, Stem
from bridge.wire.ulid import new_ulid
from presets.errors import RenderError
from presets.report import EffectsReport, FilledCell, FillReport, LikeReport, RenderReport
from render.band.cells import MOST_LISTED


@pytest.mark.parametrize("text", ["x" * 100_000, "\N{SNOWMAN}" * 5000, "name \udcff of no encoding", ""])
def test_any_text_fits_a_message_and_keeps_both_ends(text: str) -> None:
    message, _ = decode(encode(Error("render", bounded_text(text))), "engine")
    assert isinstance(message, Error)
    assert message.message[:1] == text[:1]
    assert message.message[-1:] == text[-1:]


@pytest.mark.parametrize("bypassed", [("no such plugin " * 6500,), ("lost",) * 9000, ("a" * 5000,) * 300])
def test_any_report_fits_a_message_and_keeps_its_figures(
    report: RenderReport, bypassed: tuple[str, ...]
) -> None:
    large = msgspec.structs.replace(report, effects=EffectsReport(bypassed=bypassed))
    cut = bounded_report(large)
    assert len(msgspec.msgpack.encode(cut)) <= REPORT_BYTES
    assert (cut.frames, cut.peak, cut.cutoff_hz) == (report.frames, report.peak, report.cutoff_hz)
    assert cut.effects is not None
    assert cut.effects.bypassed
    stem = Stem("full", 48000, 2, 1, 1, "ab" * 32, "/" + "p" * 4095)
    encode(Done(new_ulid(), (stem,), 1.0, 0, cut))


def test_a_report_that_fits_stays_as_it_is(report: RenderReport) -> None:
    assert bounded_report(report) == report


def test_a_report_of_the_most_cells_filled_lacks_none(report: RenderReport) -> None:
    cells = tuple(FilledCell(1, n / 3, n / 3 + 0.1, 9000 / 7, 10000 / 7) for n in range(MOST_LISTED))
    filled = FillReport("x" * 200, 0.1, cells, 0.1)
    told = msgspec.structs.replace(report, filled=filled, cutoff_reason="x" * 500)
    assert bounded_report(told) == told


def test_a_report_with_a_number_that_no_message_holds_is_an_error_that_names_it(report: RenderReport) -> None:
    endless = msgspec.structs.replace(report, like=LikeReport("", 0.0, float("inf")))
    with pytest.raises(RenderError, match=r"report\.like\.difference_db of this render came out as inf"):
        bounded_report(endless)
