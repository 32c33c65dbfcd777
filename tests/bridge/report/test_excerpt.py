from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.report.comparison import compare, figures
from bridge.report.excerpt import excerpt
from presets.report import RenderReport, SourceReport

RATE = 48000


@pytest.mark.parametrize(("stem", "made"), [("full", 1), ("high", 1), ("low", 0)])
def test_what_was_added_goes_by_the_stem(
    stem: str, made: int, tmp_path: Path, report: RenderReport, dull: NDArray[np.float32]
) -> None:
    frames = dull.shape[1]
    tone = (0.01 * np.sin(2 * np.pi * 10000 * np.arange(2 * frames).reshape(2, -1) / RATE)).astype("f4")
    stems = {"full": dull + tone, "high": tone, "low": dull}
    soundfile.write(tmp_path / "in.wav", dull.T, RATE, "FLOAT")
    soundfile.write(tmp_path / "out.wav", stems[stem].T, RATE, "FLOAT")
    about = SourceReport(RATE, frames, 0, frames, 0.3)
    said = msgspec.structs.replace(report, source=about, frames=frames, stem=stem)
    heard = excerpt(tmp_path / "in.wav", tmp_path / "out.wav", said)
    np.testing.assert_allclose(heard.added, made * tone[:, : heard.added.shape[1]], atol=1e-6)


def test_a_result_that_is_silent_is_told_to_have_nothing(
    tmp_path: Path, report: RenderReport, dull: NDArray[np.float32]
) -> None:
    soundfile.write(tmp_path / "in.wav", dull.T, RATE, "FLOAT")
    soundfile.write(tmp_path / "out.wav", 0 * dull.T, RATE, "FLOAT")
    about = SourceReport(RATE, dull.shape[1], 0, dull.shape[1], 0.3)
    said = msgspec.structs.replace(report, source=about)
    heard = excerpt(tmp_path / "in.wav", tmp_path / "out.wav", said)
    told = dict(figures(said, heard, compare(heard).lufs, ""))
    assert told["added, against all"] == "nothing"
