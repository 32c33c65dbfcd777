"""The report of a finished render: the struct that crosses the wire and stands in the sidecar.

Some keys on the wire and in the sidecar are older than the rule that names carry units (`rate` for
`rate_hz`): `rename` keeps them, so that files of earlier versions can be read and earlier clients go on
working. An earlier version ignores the keys that a later one adds.
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
    """What is missing of a source that `accept_truncated` let through.

    Attributes:
        held: frames that are there.
        promised: frames that its header announces; None where it does not say.
        why: how the loss shows, where there is no number.
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
    """What `delivery` did (ITU-R BS.1770-4); None where it was not asked for, or silence has no such value.

    Attributes:
        gain_db: the one gain of the whole stem.
        true_peak_dbtp: after that gain.
        target_lufs, lufs: the integrated loudness that was asked for, and that was reached.
        held_back_db: how much of the gain the true-peak ceiling took back.
    """

    gain_db: float
    true_peak_dbtp: float | None = None
    target_lufs: float | None = None
    lufs: float | None = None
    held_back_db: float = 0.0

    @property
    def missed(self) -> str:
        """How the true-peak ceiling kept the stem from its target, in words; "" where it did not."""
        if self.target_lufs is None or self.lufs is None or self.held_back_db < 0.05:  # 0.0 dB as shown
            return ""
        limit = f"the true-peak limit held {self.held_back_db:.1f} dB back"
        return f"loudness {self.lufs:.1f} LUFS instead of {self.target_lufs:.1f}, as {limit}"


class LikeReport(msgspec.Struct, frozen=True):
    """What a recording of the same source taught (knob `like`).

    Attributes:
        reason: one sentence for the user.
        share: how much of its correction was applied, 0 to 1; 0 for a recording of another kind.
        difference_db: how far its low band is from the source's; None where too little of the source sounds.
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
        low_hz, high_hz: the band, including the transitions on both sides.
    """

    channel: int
    start_s: float
    end_s: float
    low_hz: float
    high_hz: float


class FillReport(msgspec.Struct, frozen=True):
    """What `fill_holes` did.

    Attributes:
        reason: one sentence for the user.
        share: of the cells between the lowest hole and the cut-off that were written into, 0 to 1.
        cells: those cells, [channel, start_s, end_s, low_hz, high_hz] each; nothing is changed outside them.
        joined_s: cells with a pause of up to this between them are listed as one, where there are too many to
            list; 0 where each is listed.
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
    """What a render found, did and made.

    Attributes:
        generated: whether a band was made; where not, `cutoff_reason` says why.
        cutoff_hz: the -6 dB edge above which the band was made; None where none was.
        cutoff_method, cutoff_reason: the rule that decided, and a sentence for the user.
        model, weights_digest: what made the band.
        seed, stem: the knobs.
        rate_hz, channels, frames, peak: of the result; peak as a factor of full scale.
        mask: which speakers the channels are for, as in a WAV header; 0 when the source does not say.
        source: see `SourceReport`.
        shortfall: what is missing of the source; None when it is whole.
        effects, loudness: None where the preset asked for none.
        like: None where the preset named no recording, or nothing was generated.
        filled: None where `fill_holes` was off, or the model or the stem generates nothing.
        source_digest: blake2b-256 of the source's bytes.
        model_reason: why this model was chosen.
        device: where it ran.
        not_carried: names of the source's metadata that the result has no place for.
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
    """The report in plain types, as the sidecar and `--json` show it."""
    values: dict[str, Any] = msgspec.to_builtins(report)
    return values
