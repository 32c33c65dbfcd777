from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from presets.errors import OutputError
from render.measure.plots import box_plots, spectrograms


def test_a_tone_is_a_bright_line_at_its_frequency(tmp_path: Path) -> None:
    from matplotlib.image import imread

    t = np.arange(48000) / 48000
    spectrograms(tmp_path / "a.png", {"12 kHz": np.sin(2 * np.pi * 12000 * t), "silence": np.zeros(48000)})
    picture = imread(tmp_path / "a.png")[..., :3]
    height, width = picture.shape[:2]
    left, right = (
        picture[:, int(0.1 * width) : int(0.4 * width)],
        picture[:, int(0.5 * width) : int(0.8 * width)],
    )
    inside = slice(int(0.15 * height), int(0.8 * height))
    rows = left.mean(axis=(1, 2))[inside]
    line = int(np.argmax(rows)) + inside.start
    assert line == pytest.approx(0.475 * height, abs=0.05 * height)
    assert rows.max() > 20 * np.median(rows)
    assert right.mean(axis=(1, 2))[inside].max() < 0.1 * rows.max()


def test_a_picture_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a\.png: .*file is not a folder; choose another"):
        spectrograms(tmp_path / "file" / "a.png", {"silence": np.zeros(4800)})


def test_only_an_earlier_picture_is_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        spectrograms(tmp_path / "a.png", {"silence": np.zeros(4800)})
    (tmp_path / "a.png").write_bytes(b"\x89PNG of somebody's")
    with pytest.raises(OutputError, match=r"a\.png: exists and is not a picture by Airband"):
        spectrograms(tmp_path / "a.png", {"silence": np.zeros(4800)})
    assert (tmp_path / "a.png").read_bytes() == b"\x89PNG of somebody's"


@pytest.mark.filterwarnings("error")
def test_a_title_is_text_whatever_a_file_is_called(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, formulas, line feeds, and scripts that the font lacks."""
    for number, title in enumerate(("caf\udce9.wav", r"a$\foo$.wav", "new\nline.wav", "\u4e2d.wav")):
        spectrograms(tmp_path / f"{number}.png", {title: np.zeros(4800)})
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_boxes_stand_at_the_level_of_their_values(tmp_path: Path) -> None:
    from matplotlib.image import imread

    groups = {
        "speech": {"low": [1.0, 1.1, float("nan")], "high": [5.0, 5.1]},
        "music": {"low": [1.0], "high": [5]},
    }
    box_plots(tmp_path / "boxes.png", groups, "LSD")
    picture = imread(tmp_path / "boxes.png")[..., :3]
    orange = (picture[..., 0] > 0.9) & (picture[..., 2] < 0.3)
    rows, columns = np.nonzero(orange)
    half = picture.shape[1] // 2
    low = rows[(columns < half) & (columns < np.median(columns[columns < half]))]
    high = rows[(columns < half) & (columns > np.median(columns[columns < half]))]
    assert np.median(low) > np.median(high) + 0.3 * picture.shape[0]
