"""Pictures of what a render did: spectrograms side by side, for the demo and for reports."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from presets.errors import OutputError
from presets.printable import printable
from presets.schema import RATE_HZ
from render.clip import open_clip
from render.files.parts import as_output_error, write_whole
from render.measure.metrics import HOP, Signal, spectrogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from render.measure.inspect import Inspection

FLOOR_DB = -100.0
"""Lower end of the colour scale, relative to the loudest bin of the first signal."""
PLOTTED_S = 120.0
"""How much of a file `band` draws, from its beginning."""
PANEL_INCHES = (4.6, 3.6)
DPI = 110
MAKER = "Airband"
"""Stands in each picture, as its software."""


def spectrograms(path: Path, signals: Mapping[str, Signal], cutoff_hz: float | None = None) -> None:
    """Draws signals side by side in one PNG, each under its title, all on one colour scale.

    Args:
        path: the PNG; an earlier picture by Airband there is replaced.
        signals: title to (frames,) mono, 48 kHz; the first one sets the scale.
        cutoff_hz: where to draw a line, if at all.

    Raises:
        OutputError: something else lies there, or the picture cannot be written.
    """
    from matplotlib.figure import Figure

    levels = {title: 10 * np.log10(spectrogram(signal).T + 1e-12) for title, signal in signals.items()}
    top_db = float(next(iter(levels.values())).max())
    figure = Figure(figsize=(PANEL_INCHES[0] * len(levels), PANEL_INCHES[1]), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(levels), sharex=True, sharey=True, squeeze=False)[0]
    for panel, (title, level) in zip(axes, levels.items(), strict=True):
        seconds = level.shape[1] * HOP / RATE_HZ
        image = panel.imshow(
            level - top_db,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, RATE_HZ / 2000),
            vmin=FLOOR_DB,
            vmax=0,
            cmap="magma",
        )
        if cutoff_hz is not None:
            panel.axhline(cutoff_hz / 1000, color="white", linewidth=0.6, linestyle=":")
        panel.set_title(printable(title), parse_math=False)
        panel.set_xlabel("s")
    axes[0].set_ylabel("kHz")
    figure.colorbar(image, ax=axes, label="dB")
    _save(figure, path)


def band(path: Path, source: Path, seen: Inspection) -> None:
    """Draws what `inspect` found: the spectrogram, where each second's band ends, the cut-off and the shelf.

    Args:
        path: the PNG; an earlier picture by Airband there is replaced.
        source: the file that was inspected.
        seen: what was found in it.

    Raises:
        InputError: the file cannot be read any more.
        OutputError: something else lies there, or the picture cannot be written.
    """
    from matplotlib.figure import Figure

    with open_clip(source) as clip:
        frames = min(clip.frames, round(PLOTTED_S * clip.rate))
        mono = clip.read(0, frames).mean(axis=0)
        rate = clip.rate
    level = 10 * np.log10(spectrogram(mono).T + 1e-12)
    figure = Figure(figsize=(2 * PANEL_INCHES[0], PANEL_INCHES[1]), dpi=DPI, layout="constrained")
    panel = figure.subplots()
    panel.imshow(
        level - level.max(),
        origin="lower",
        aspect="auto",
        extent=(0, frames / rate, 0, rate / 2000),
        vmin=FLOOR_DB,
        vmax=0,
        cmap="magma",
    )
    ends = [(second + 0.5, hz / 1000) for second, hz in seen.ends if second < frames / rate]
    panel.plot(
        *zip(*ends, strict=True) if ends else ([], []), color="cyan", linewidth=0.9, label="band's end"
    )
    for hz, style, name in ((seen.shelf_hz, ":", "shelf"), (seen.cutoff.hz, "-", "cut-off")):
        if hz is not None:
            panel.axhline(
                hz / 1000, color="white", linewidth=0.8, linestyle=style, label=f"{name} {hz:.0f} Hz"
            )
    panel.set_title(printable(seen.name), parse_math=False)
    panel.set(xlabel="s", ylabel="kHz", xlim=(0, frames / rate), ylim=(0, rate / 2000))
    panel.legend(loc="upper right", fontsize="small")
    _save(figure, path)


def box_plots(path: Path, groups: Mapping[str, Mapping[str, Sequence[float]]], figure_name: str) -> None:
    """Draws a panel for each group with a box for each system: median, quartiles, whiskers of 1.5 quartile
    ranges.

    Args:
        path: the PNG; an earlier picture by Airband there is replaced.
        groups: by panel title, the values of each system by its name; NaN values are left out.
        figure_name: what the values are.

    Raises:
        OutputError: something else lies there, or the picture cannot be written.
    """
    from matplotlib.figure import Figure

    size = (PANEL_INCHES[0] * 0.7 * len(groups), PANEL_INCHES[1])
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for panel, (title, systems) in zip(axes, groups.items(), strict=True):
        panel.boxplot([[value for value in values if value == value] for values in systems.values()])
        panel.set_xticks(range(1, len(systems) + 1), list(systems), rotation=20, parse_math=False)
        panel.set_title(printable(title), parse_math=False)
        panel.grid(axis="y", alpha=0.3)
    axes[0].set_ylabel(figure_name)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a title in a script that the font lacks
        FigureCanvasAgg(figure).print_png(drawn, metadata={"Software": MAKER})  # type: ignore[no-untyped-call]
    with as_output_error(path):
        if path.exists() and not (path.is_file() and _is_ours(path)):
            reason = "exists and is not a picture by Airband; choose another folder"
            raise OutputError(f"{path}: {reason}", str(path))
    write_whole(path, drawn.getvalue())


def _is_ours(picture: Path) -> bool:
    with picture.open("rb") as file:
        return f"Software\0{MAKER}".encode() in file.read(1024)
