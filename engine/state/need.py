"""What a job writes into the spool beside its source, told by the length of its source and its preset."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.wire.messages import DeliverPath, Submit
from presets.schema import frames_at


@dataclass(frozen=True, slots=True)
class Need:
    """The room that a job needs.

    Attributes:
        result_bytes: its samples, 4 bytes each, that stay cached.
        stem_bytes: what the client's stem weighs at the most, but for metadata; 0 where it goes to a path.
        between_bytes: what lies between effects, and goes when the render ends.
    """

    result_bytes: int
    stem_bytes: int
    between_bytes: int

    @property
    def total_bytes(self) -> int:
        """All three."""
        return self.result_bytes + self.stem_bytes + self.between_bytes


def need(submit: Submit, rate: int, channels: int, frames: int) -> Need:
    """The need of a job.

    Args:
        submit: the job.
        rate, channels, frames: of its source; rate in Hz.

    Raises:
        UsageError: a selection in time code without a frame rate.
    """
    params = submit.params
    first = frames_at(params.start, rate, params.fps) or 0
    end = frames_at(params.end, rate, params.fps)
    selected = max(0, (frames if end is None else min(end, frames)) - first)
    source_bytes = 4 * channels * frames
    result_bytes = 4 * channels * -(-selected * params.rate // rate)
    effects, delivery = params.effects, params.delivery
    works = bool(effects.before or effects.after or delivery.loudness != "as-is")
    works = works or delivery.true_peak_dbtp is not None
    # The band that the model made, and twice the clip on either side: what a chain reads and what it writes.
    between_bytes = result_bytes if works else 0
    between_bytes += 2 * source_bytes if effects.before else 0
    between_bytes += 2 * result_bytes if effects.after else 0
    return Need(result_bytes, 0 if isinstance(submit.deliver, DeliverPath) else result_bytes, between_bytes)
