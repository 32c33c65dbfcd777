"""Compares a render with its source for a player: three sounds below full scale, and their figures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bridge.report.excerpt import Excerpt
from bridge.report.media import picture
from presets.report import RenderReport
from presets.schema import RATE_HZ
from render.clip import ArrayClip
from render.loudness import integrated_lufs, true_peak_dbtp
from render.upscaler import Audio

CEILING = 0.97


class Version(NamedTuple):
    """One of the sounds.

    Attributes:
        key, label: its key in the player, and its name.
        samples: (channels, frames) at 48 kHz; all versions are scaled by the same factor to stay below full
            scale.
        picture: its spectrogram as a data URL; all versions share one colour scale.
        gain: factor that matches its loudness to the first version's.
    """

    key: str
    label: str
    samples: Audio
    picture: str
    gain: float


class Comparison(NamedTuple):
    """The versions, and the loudness of source and result in LUFS."""

    versions: tuple[Version, ...]
    lufs: tuple[float, float]


def compare(heard: Excerpt) -> Comparison:
    """The sounds before, after, and only what was added."""
    before, after = (
        integrated_lufs(ArrayClip(each, RATE_HZ, limited=False)) for each in (heard.before, heard.after)
    )
    peak = max(float(np.abs(each).max()) for each in heard[:3])
    scale = min(1.0, CEILING / peak) if peak else 1.0
    seen, top_db = picture(heard.after)
    match = 10 ** ((before - after) / 20) if np.isfinite([before, after]).all() else 1.0
    versions = (
        Version("a", "Before", scale * heard.before, picture(heard.before, top_db)[0], 1.0),
        Version("b", "After", scale * heard.after, seen, match),
        Version("g", "Only what was added", scale * heard.added, picture(heard.added, top_db)[0], 1.0),
    )
    return Comparison(versions, (before, after))


def figures(
    report: RenderReport, heard: Excerpt, lufs: tuple[float, float], work: str
) -> list[tuple[str, str]]:
    """The figures of a render as (name, value) pairs, as a page shows them."""
    after = ArrayClip(heard.after, RATE_HZ, limited=False)
    added, whole = (float(np.mean(each.astype(np.float64) ** 2)) for each in (heard.added, heard.after))
    least = 1e-12 * whole  # -120 dB: above the residue of float32 rounding and resampling
    loudness = report.loudness
    until_s = heard.start_s + heard.before.shape[1] / RATE_HZ
    return [
        ("heard here", f"{heard.start_s:.1f} to {until_s:.1f} of {heard.whole_s:.1f} s"),
        ("cut-off", f"{report.cutoff_hz:.0f} Hz, {report.cutoff_method}" if report.cutoff_hz else "none"),
        *([("holes", report.filled.reason)] if report.filled else []),
        ("loudness", f"{lufs[0]:.1f} to {lufs[1]:.1f} LUFS"),
        *([("loudness aimed at", loudness.missed)] if loudness and loudness.missed else []),
        ("true peak after", f"{true_peak_dbtp(after):.1f} dBTP"),
        ("added, against all", f"{10 * np.log10(added / whole):.1f} dB" if added > least > 0 else "nothing"),
        ("model", f"{report.model} ({report.model_reason})"),
        ("seed", str(report.seed)),
        ("work", work),
    ]
