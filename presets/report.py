"""What a finished render says of itself: the struct that crosses the wire and stands in the sidecar.

Keys on the wire and in the sidecar are shorter than the attributes where they were given before units stood
in names (`rate` for `rate_hz`): `rename` keeps files and clients of earlier versions readable. What a later
version adds is ignored by an earlier one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class SourceReport(
    msgspec.Struct, frozen=True, rename={"rate_hz": "rate", "first_frame": "first", "end_frame": "end"}
):
    """The source as it was found.

    Attributes:
        rate_hz, frames: of the whole source.
        first_frame, end_frame: the stretch of it that was rendered, [first, end).
        peak: the largest sample of the whole source, full scale 1.
    """

    rate_hz: int
    frames: int
    first_frame: int
    end_frame: int
    peak: float


class Shortfall(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a source lacks that `accept_truncated` took none the less.

    Attributes:
        held: frames that are there.
        promised: frames that its header speaks of; None where it does not say.
        why: how it shows, where no number does.
    """

    held: int
    promised: int | None = None
    why: str = ""

    def __str__(self) -> str:
        if self.promised is not None:
            return f"its header promises {self.promised} frames, it holds {self.held}"
        return f"{self.why}; {self.held} frames are there"


class EffectsReport(msgspec.Struct, frozen=True):
    """The effects around the render; `bypassed` tells which plugins failed and were left out, and why."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    bypassed: tuple[str, ...] = ()


class LoudnessReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `delivery` came to (ITU-R BS.1770-4); None for what was not asked, or cannot be told of silence.

    Attributes:
        gain_db: the one gain of the whole stem.
        true_peak_dbtp: after it.
        target_lufs, lufs: what was asked, and the integrated loudness reached.
        held_back_db: how much of the gain the true-peak ceiling took back.
    """

    gain_db: float
    true_peak_dbtp: float | None = None
    target_lufs: float | None = None
    lufs: float | None = None
    held_back_db: float = 0.0


class LikeReport(msgspec.Struct, frozen=True):
    """What a recording of the same source taught (knob `like`).

    Attributes:
        reason: one sentence for the user.
        share: how much of its correction was taken, 0 to 1; 0 for a recording of another kind.
        difference_db: how far its low band is from the source's; None where the source has none to compare.
        least_db, most_db: the range of the correction above the cut-off.
        digest: blake2b-256 of the recordings' bytes.
    """

    reason: str
    share: float
    difference_db: float | None
    least_db: float = 0.0
    most_db: float = 0.0
    digest: str = ""


class FilledCell(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of one band that the model may have written into below the cut-off.

    Attributes:
        channel: from 0 on.
        start_s, end_s: of the result.
        low_hz, high_hz: the band, with the transitions on both sides.
    """

    channel: int
    start_s: float
    end_s: float
    low_hz: float
    high_hz: float


class FillReport(msgspec.Struct, frozen=True):
    """What `fill_holes` came to.

    Attributes:
        reason: one sentence for the user.
        share: of the cells between the lowest hole and the cut-off, how many were written into; 0 to 1.
        cells: those, [channel, start_s, end_s, low_hz, high_hz] each; outside them nothing is changed.
        joined_s: pauses up to this long between cells are told as part of them, where there are too many to
            tell each; 0 where each is told.
    """

    reason: str
    share: float = 0.0
    cells: tuple[FilledCell, ...] = ()
    joined_s: float = 0.0


class RenderReport(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={
        "rate_hz": "rate",
        "weights_digest": "weights",
        "model_reason": "why",
        "loudness": "delivery",
    },
):
    """A render's own account.

    Attributes:
        generated: whether a band was made; where not, `cutoff_reason` says why.
        cutoff_hz: the -6 dB edge above which it was made; None where nothing was.
        cutoff_method, cutoff_reason: the rule that decided, and a sentence for the user.
        model, weights_digest: what made it.
        seed, stem: the knobs.
        rate_hz, channels, frames, peak: of the result; peak as a factor of full scale.
        mask: which speakers the channels are for, as in a WAV header; 0 when nobody said.
        source: see `SourceReport`.
        shortfall: what the source lacks; None when it is whole.
        effects, loudness: where a preset asked for any.
        like: where a preset named a recording, and something was generated.
        filled: where `fill_holes` was asked for, of a model and a stem in which anything is generated.
        source_digest: blake2b-256 of the source's bytes.
        model_reason: why this model.
        device: where it ran.
        not_carried: what the source says of itself that the result has no place for, by name.
        cached: True when the engine had this result already.
    """

    generated: bool
    cutoff_hz: float | None
    cutoff_method: Literal["auto", "rolloff", "given"]
    cutoff_reason: str
    model: str
    weights_digest: str
    seed: int
    stem: str
    rate_hz: int
    channels: int
    frames: int
    peak: float
    source: SourceReport
    mask: int = 0
    shortfall: Shortfall | None = None
    effects: EffectsReport | None = None
    loudness: LoudnessReport | None = None
    like: LikeReport | None = None
    filled: FillReport | None = None
    source_digest: str = ""
    model_reason: str = ""
    device: str = ""
    not_carried: tuple[str, ...] = ()
    cached: bool = False


def plain(report: RenderReport) -> dict[str, Any]:
    """The report as the sidecar and `--json` show it."""
    values: dict[str, Any] = msgspec.to_builtins(report)
    return values
