"""What a file really contains: its band, the codec it may have been through, and what else is wrong with it.

The cut-off is the one that a render with `cutoff = "auto"` takes: the same code finds it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from render.band.cliff import find_cliff
from render.band.cutoff import Cutoff, auto
from render.band.holes import Holes
from render.band.spectrum import SIXTH, THIRD, Spectrum, decibels, measure
from render.clip import Clip, open_clip
from render.loudness import integrated_lufs, true_peak_dbtp
from render.measure.codecs import HOLED_SHARE, looks_like, made_from
from render.measure.coding import Coding, coding
from render.measure.faults import Faults, find_faults

BAND_END_DB = 35.0
"""A second's band ends where all that follows lies this far below the median of the octave before."""
HIGH_RATE_HZ = 64000
REAL_HIGH_RATE_HZ = 24500.0
"""A file at a high rate whose band ends on a cliff below here was made from one at a lower rate."""
CD_TOP_HZ = 19000.0
"""That lower rate was 44.1 or 48 kHz where the cliff is above this: 0.86 of half of 44.1 kHz, the end of what
soxr's LQ leaves."""
LOSSY = {
    "MPEG_LAYER_I": "MP1", "MPEG_LAYER_II": "MP2", "MPEG_LAYER_III": "MP3",
    "VORBIS": "Vorbis", "OPUS": "Opus",
}  # fmt: skip
DC_LEVEL = 1e-3
"""DC is reported above this, -60 dBFS: less makes no click at an edit."""
FULL_HZ, BEYOND = 18000.0, 1.03
"""An encoder's low-pass up to FULL_HZ is reported where a render would begin more than BEYOND times as
high."""
STEREO = {
    "mono as stereo": "both channels are the same: mono as stereo",
    "one side silent": "one channel is silent",
    "sides inverted": "one channel is the other inverted: in mono they cancel",
}
PLAIN = frozenset({"PCM_16", "PCM_24", "PCM_32", "PCM_S8", "PCM_U8", "FLOAT", "DOUBLE"})
"""Subtypes whose coding needs no report; FLAC has them too."""
BITS = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "PCM_S8": 8, "PCM_U8": 8, "ALAC_16": 16, "ALAC_24": 24}


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that is known of a file.

    Attributes:
        name: the file's.
        encoding: container and subtype, or the suffix where ffmpeg decoded it.
        coding: what a coded file says of its coding; None for PCM, and where there is no ffprobe.
        rate, channels, frames, seconds: of the audio.
        cutoff: what `cutoff = "auto"` finds, with its reason.
        shelf_hz: up to where the band was kept, even where that is too high to matter, and at most the
            low-pass that the file names; None where no end is seen.
        holes: what is left out below the shelf.
        ends: (second, Hz) where the band ends over time.
        codec: the codec it is in, or those its shelf and holes look like; most likely first.
        faults: DC, clipping, noise floor, hum, bits, stereo.
        lufs, true_peak_dbtp: after BS.1770-4; None for silence.
        findings: what a user should know, a sentence each; empty for a clean file.
    """

    name: str
    encoding: str
    coding: Coding | None
    rate: int
    channels: int
    frames: int
    seconds: float
    cutoff: Cutoff
    shelf_hz: float | None
    holes: Holes | None
    ends: tuple[tuple[float, float], ...]
    codec: tuple[str, ...]
    faults: Faults
    lufs: float | None
    true_peak_dbtp: float | None
    findings: tuple[str, ...]


def inspect(path: Path) -> Inspection:
    """Reads a file to its end: for its spectrum, its faults, its loudness and its true peak.

    Of a file that breaks off or is damaged, what is there is inspected, and what is missing is a finding.

    Raises:
        InputError: it cannot be read.
    """
    form, subtype = _encoding(path)
    coded = None if subtype in PLAIN else coding(path)
    known = coded.codec if coded and coded.is_lossy else LOSSY.get(subtype, "")
    bits = BITS.get(subtype) or (coded.bits if coded else None)
    with open_clip(path, accept_truncated=True) as clip:
        spectrum = measure(clip)
        cutoff = auto(spectrum, clip.rate / 2)
        codec = (known,) if known else looks_like(cutoff.edge_hz, cutoff.holes, clip.rate)
        told_hz = coded.low_pass_hz if coded else None
        shelf_hz = cutoff.holes.kept_hz if cutoff.holes else cutoff.edge_hz
        faults, peak_dbtp = find_faults(clip), _finite(true_peak_dbtp(clip))
        findings = [
            *([f"breaks off or is damaged: {clip.shortfall}"] if clip.shortfall else []),
            *_about_band(cutoff, codec, known, clip.rate),
            *_about_low_pass(cutoff, told_hz),
            *_about_claims(faults, bits, clip.rate, _real_top_hz(clip)),
            *_about_sound(faults, peak_dbtp),
        ]
        return Inspection(
            name=path.name,
            encoding=f"{form} {subtype}".strip(),
            coding=coded,
            rate=clip.rate,
            channels=clip.channels,
            frames=clip.frames,
            seconds=clip.frames / clip.rate,
            cutoff=cutoff,
            shelf_hz=shelf_hz if shelf_hz is None or told_hz is None else min(shelf_hz, told_hz),
            holes=cutoff.holes,
            ends=_ends(spectrum),
            codec=codec,
            faults=faults,
            lufs=_finite(integrated_lufs(clip)),
            true_peak_dbtp=peak_dbtp,
            findings=tuple(findings),
        )


def _encoding(path: Path) -> tuple[str, str]:
    try:
        about = soundfile.info(os.fsencode(path))
    except (soundfile.SoundFileError, OSError, TypeError):  # .raw raises the last
        return path.suffix.lstrip(".").upper(), ""
    return str(about.format), str(about.subtype)


def _ends(spectrum: Spectrum) -> tuple[tuple[float, float], ...]:
    """Where the band ends in each second that sounds."""
    ends: list[tuple[float, float]] = []
    whole = spectrum.at_s.astype(int)
    for second in np.unique(whole):
        frames = spectrum.powers[whole == second]
        level = decibels(np.percentile(frames, 90, axis=0))
        ceiling = np.maximum.accumulate(level[::-1])[::-1]
        octave = [
            np.median(level[max(0, band - 3 * THIRD) : band - SIXTH]) for band in range(THIRD, len(level))
        ]
        fallen = np.flatnonzero(ceiling[THIRD:] < np.array(octave) - BAND_END_DB)
        top = THIRD + int(fallen[0]) if len(fallen) else len(level)
        ends.append((float(second), float(spectrum.edges_hz[top])))
    return tuple(ends)


def _real_top_hz(clip: Clip) -> float | None:
    """Where the band of a file at a high rate ends on a cliff; None where it does not, or the rate is not
    high."""
    if clip.rate <= HIGH_RATE_HZ:
        return None
    spectrum = measure(clip, clip.rate / 2)
    cliff = find_cliff(spectrum.powers, spectrum.edges_hz, 1000.0) if len(spectrum.powers) >= 4 else None
    if cliff is None:
        return None
    return cliff.edge_hz if np.isinf(cliff.above_to_hz) else cliff.above_to_hz


def _about_band(cutoff: Cutoff, codec: tuple[str, ...], known: str, rate: int) -> list[str]:
    findings = []
    lower = made_from(cutoff.edge_hz, cutoff.holes, rate)
    where = [*([f"a file at {lower} Hz"] if lower else []), *(() if known else codec)]
    if where:
        findings.append(f"the shelf at {cutoff.edge_hz or 0:.0f} Hz is where {' or '.join(where)} ends")
    holes = cutoff.holes
    if holes and holes.lowest_hz and holes.share >= HOLED_SHARE:
        findings.append(
            f"{100 * holes.share:.0f} % of the octave below it are holes, from {holes.lowest_hz:.0f} Hz up"
        )
    return findings


def _about_low_pass(cutoff: Cutoff, low_pass_hz: float | None) -> list[str]:
    """A finding about the low-pass that the encoder names, where a render would begin further up or
    nowhere."""
    if low_pass_hz is None or low_pass_hz > FULL_HZ or (cutoff.hz or np.inf) <= BEYOND * low_pass_hz:
        return []
    found = f"goes on from {cutoff.hz:.0f} Hz" if cutoff.hz else "finds nothing missing"
    hint = f"--cutoff {low_pass_hz:.0f} is the encoder's word"
    return [f"its encoder let nothing pass above {low_pass_hz:.0f} Hz; a render {found}: {hint}"]


def _about_claims(faults: Faults, bits: int | None, rate: int, real_top_hz: float | None) -> list[str]:
    findings = []
    if bits and faults.bits and faults.bits <= bits - 8 and faults.peak_dbfs is not None:
        findings.append(f"{bits} bits that hold {faults.bits}: the rest of every sample is zeros")
    if real_top_hz is not None and real_top_hz < REAL_HIGH_RATE_HZ:
        origin = "44.1 or 48 kHz" if real_top_hz > CD_TOP_HZ else "a lower rate"
        findings.append(f"{rate} Hz that hold {real_top_hz:.0f} Hz of band: made from a file at {origin}")
    if faults.stereo in STEREO:
        findings.append(STEREO[faults.stereo])
    return findings


def _about_sound(faults: Faults, peak_dbtp: float | None) -> list[str]:
    findings = []
    if faults.peak_dbfs is None:
        return ["digital silence"]
    if faults.clipped_runs:
        findings.append(f"clipped {faults.clipped_runs} times, {faults.clipped_samples} samples in all")
    if peak_dbtp is not None and peak_dbtp > 0:
        findings.append(f"the true peak is {peak_dbtp:+.1f} dBTP: converters and codecs may clip it")
    if (dc := max(map(abs, faults.dc))) > DC_LEVEL:
        findings.append(f"DC of {20 * np.log10(dc):.0f} dBFS")
    if faults.hum:
        findings.append(
            f"mains hum of {faults.hum.hz:.0f} Hz and its harmonics at {faults.hum.dbfs:.0f} dBFS"
        )
    return findings


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
