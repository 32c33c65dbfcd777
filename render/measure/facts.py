"""An inspection in words: what `airband inspect` prints, and the console shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from render.measure.inspect import Inspection


def facts(seen: Inspection) -> list[tuple[str, str]]:
    """The name and the text of each fact, the most important first."""
    faults, holes = seen.faults, seen.holes
    return [
        ("audio", f"{seen.encoding}, {seen.rate} Hz, {seen.channels} ch, {seen.seconds:.2f} s"),
        ("band", _band(seen)),
        ("cut-off", seen.cutoff.reason),
        ("holes", f"{100 * holes.share:.1f} % of the octave below the shelf" if holes else "no shelf"),
        ("codec", _codec(seen)),
        ("bits", "more than 24, or decoded" if faults.bits is None else f"{faults.bits}"),
        ("channels", faults.stereo + _correlation(faults.correlation)),
        ("level", f"{_number(seen.lufs)} LUFS, true peak {_number(seen.true_peak_dbtp)} dBTP"),
        ("floor", f"{_number(faults.noise_floor_dbfs)} dBFS in the quietest twentieth"),
        ("clipping", f"{faults.clipped_runs} flat tops, {faults.clipped_samples} samples"),
        ("DC", ", ".join(f"{mean:+.6f}" for mean in faults.dc)),
        ("hum", f"{faults.hum.hz:.0f} Hz at {faults.hum.dbfs:.0f} dBFS" if faults.hum else "none"),
        *(("note", finding) for finding in seen.findings),
    ]


def _band(seen: Inspection) -> str:
    if not seen.ends:
        return "silent"
    ends = sorted(hz for _, hz in seen.ends)
    low, middle, high = ends[0], ends[len(ends) // 2], ends[-1]
    return f"to {middle / 1000:.1f} kHz ({low / 1000:.1f} to {high / 1000:.1f} over the seconds)"


def _codec(seen: Inspection) -> str:
    if seen.coding and seen.coding.is_lossy:
        return str(seen.coding)
    return ", ".join(seen.codec) or "no encoder's shelf"


def _correlation(value: float | None) -> str:
    return "" if value is None else f", correlation {value:+.2f}"


def _number(value: float | None) -> str:
    return "-inf" if value is None else f"{value:.1f}"
