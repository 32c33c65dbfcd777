"""Sounds and pictures as text within a page: Opus and JPEG in data URLs."""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from presets.schema import RATE_HZ
from render.measure.metrics import spectrogram
from render.upscaler import Audio

OPUS_LEVEL = 0.55
"""libsndfile's compression level; gives about 100 kbit/s for a pair of channels."""
FLOOR_DB = -100.0
COLUMNS, ROWS = 480, 240
JPEG_QUALITY = 60


def sound(samples: Audio) -> str:
    """Samples as an Opus file in a data URL.

    Args:
        samples: (channels, frames) at 48 kHz; the caller has scaled them below full scale.
    """
    file = io.BytesIO()
    file.name = "sound.opus"
    soundfile.write(file, samples.T, RATE_HZ, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
    return _data_url("audio/ogg", file.getvalue())


def picture(samples: Audio, top_db: float | None = None) -> tuple[str, float]:
    """A spectrogram, 0 to 24 kHz from bottom to top, as a JPEG in a data URL; and its top level in dB.

    Args:
        samples: (channels, frames) at 48 kHz.
        top_db: level of the brightest colour, to share a scale; by default the maximum of this picture.
    """
    from matplotlib import colormaps
    from PIL import Image

    power = spectrogram(samples.mean(axis=0))
    level = 10 * np.log10(_shrunk(_shrunk(power, COLUMNS).T, ROWS) + 1e-12)
    top_db = float(level.max()) if top_db is None else top_db
    colours = colormaps["magma"](np.clip((level[::-1] - top_db - FLOOR_DB) / -FLOOR_DB, 0, 1))
    file = io.BytesIO()
    Image.fromarray((colours[..., :3] * 255).astype(np.uint8)).save(file, "JPEG", quality=JPEG_QUALITY)
    return _data_url("image/jpeg", file.getvalue()), top_db


def _shrunk(rows: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Averages neighbouring rows so that at most `most` remain."""
    if len(rows) <= most:
        return rows
    starts = np.linspace(0, len(rows), most, endpoint=False).astype(int)
    sums = np.add.reduceat(rows, starts, axis=0)
    return np.asarray(sums / np.diff([*starts, len(rows)])[:, None])


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
