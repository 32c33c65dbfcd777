"""Views of a source for a page: its facts, and its waveform and spectrogram over any stretch."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.clip import Clip, open_clip

OPEN_MAX = 4
"""How many sources are kept open; a coded one is decoded to disk once, when it is opened."""
BLOCK = 1 << 18
STEP = 512
"""Frames per minimum and maximum in the outline of a whole clip."""
FFT = 2048
ROWS = 480
TOP_HZ = 24000.0
FLOOR_DB = -100.0
COLUMNS_MAX = 2400


@dataclass
class Opened:
    """An open source, and the outline of its waveform once that was needed."""

    clip: Any
    key: tuple[str, int, int]
    outline: NDArray[np.float32] | None = None


class Views:
    """Measurements of the sources that pages show; keeps the latest sources open for more views."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self._facts: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def facts(self, path: Path) -> dict[str, Any]:
        """What `airband inspect` says of a file, and what else the page draws of it.

        Raises:
            InputError: the file cannot be read to its end.
        """
        from render.measure.facts import facts
        from render.measure.inspect import inspect

        key = _key(path)
        if key not in self._facts:
            seen = inspect(path)
            self._facts[key] = {
                "facts": facts(seen),
                "rate": seen.rate,
                "channels": seen.channels,
                "seconds": seen.seconds,
                "cutoff_hz": seen.cutoff.hz,
                "shelf_hz": seen.shelf_hz,
                "reason": seen.cutoff.reason,
            }
        return self._facts[key]

    def wave(self, path: Path, start_s: float, end_s: float, columns: int) -> list[list[float]]:
        """The minimum and maximum sample of each column of a stretch, over all channels.

        Raises:
            InputError: the file cannot be read.
        """
        columns = min(max(columns, 1), COLUMNS_MAX)
        with self._opened(path) as opened:
            clip = opened.clip
            first, last = _stretch(clip, start_s, end_s)
            edges = np.linspace(first, last, columns + 1).astype(np.int64)
            if (last - first) / columns < STEP:
                samples = clip.read(first, last - first)
                low, high = samples.min(axis=0), samples.max(axis=0)
                starts = np.minimum(edges[:-1] - first, len(low) - 1)
            else:
                if opened.outline is None:
                    opened.outline = _outline(clip)
                low, high = opened.outline
                starts = np.minimum(edges[:-1] // STEP, len(low) - 1)
                low, high = low[: -(-last // STEP)], high[: -(-last // STEP)]
        return [
            np.round(np.minimum.reduceat(low, starts), 4).tolist(),
            np.round(np.maximum.reduceat(high, starts), 4).tolist(),
        ]

    def spectrogram(self, path: Path, start_s: float, end_s: float, columns: int) -> bytes:
        """The power over a stretch as a PNG: 0 to 24 kHz from bottom to top, one column per moment.

        Raises:
            InputError: the file cannot be read.
        """
        from matplotlib import colormaps
        from PIL import Image

        columns = min(max(columns, 1), COLUMNS_MAX)
        with self._opened(path) as opened:
            first, last = _stretch(opened.clip, start_s, end_s)
            power = _powers(opened.clip, np.linspace(first, last, columns, endpoint=False).astype(np.int64))
            rate = opened.clip.rate
        level = np.full((columns, ROWS), FLOOR_DB)
        bins = np.fft.rfftfreq(FFT, 1 / rate)
        edges = np.searchsorted(bins, np.linspace(0, TOP_HZ, ROWS + 1))
        known = min(int(np.searchsorted(edges, len(bins))), ROWS)
        decibels = 10 * np.log10(
            np.maximum.reduceat(power[:, : edges[-1] + 1], edges[:known], axis=1) + 1e-20
        )
        level[:, :known] = decibels - max(float(decibels.max()), -80.0)
        colours = colormaps["magma"](np.clip(1 - level.T[::-1] / FLOOR_DB, 0, 1))
        file = io.BytesIO()
        Image.fromarray((colours[..., :3] * 255).astype(np.uint8)).save(file, "PNG", compress_level=3)
        return file.getvalue()

    def close(self, path: Path) -> None:
        """Closes a source."""
        with self._lock:
            opened = self._open.pop(str(path), None)
            if opened is not None:
                opened.clip.close()

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Opened]:
        """A source, for one reader at a time, since clips are not thread-safe."""
        with self._lock:
            known = self._open.pop(str(path), None)
            if known is not None and known.key != _key(path):
                known.clip.close()
                known = None
            if known is None:
                known = Opened(open_clip(path), _key(path))
            self._open[str(path)] = known
            while len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)[1].clip.close()
            yield known


def _key(path: Path) -> tuple[str, int, int]:
    from presets.errors import InputError

    try:
        about = path.stat()
    except OSError as error:
        raise InputError(f"{path.name}: {error.strerror}", "clip") from None
    return str(path), about.st_size, about.st_mtime_ns


def _stretch(clip: Clip, start_s: float, end_s: float) -> tuple[int, int]:
    first = min(max(int(start_s * clip.rate), 0), clip.frames - 1)
    return first, min(max(int(end_s * clip.rate), first + 1), clip.frames)


def _outline(clip: Clip) -> NDArray[np.float32]:
    """(2, steps): the minimum and maximum sample of every STEP frames."""
    parts = []
    for start in range(0, clip.frames, BLOCK):
        samples = clip.read(start, min(BLOCK, clip.frames - start))
        at = np.arange(0, samples.shape[1], STEP)
        low, high = samples.min(axis=0), samples.max(axis=0)
        parts.append(np.stack([np.minimum.reduceat(low, at), np.maximum.reduceat(high, at)]))
    return np.concatenate(parts, axis=1)


def _powers(clip: Clip, centres: NDArray[np.int64]) -> NDArray[np.float64]:
    """(centres, bins): the power in a Hann window around each centre, averaged over the channels."""
    window = np.hanning(FFT + 1)[:-1]
    found = np.empty((len(centres), FFT // 2 + 1))
    for place, centre in enumerate(centres):
        spectrum = np.fft.rfft(clip.read(int(centre) - FFT // 2, FFT) * window, axis=1)
        found[place] = np.mean(spectrum.real**2 + spectrum.imag**2, axis=0)
    return found
