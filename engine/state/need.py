"""How much a job writes into the spool in addition to its source, by its source's length and its preset."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.wire.messages import DeliverPath, Submit
from presets.schema import frames_at


@dataclass(frozen=True, slots=True)
class Need:
    """The room that a job needs.

    Attributes:
        result_bytes: its samples, 4 bytes each, which stay cached.
        stem_bytes: the largest size of the client's stem, without metadata; 0 if it goes to a path.
        between_bytes: intermediate files between effects, deleted when the render ends.
    """

    result_bytes: int
    stem_bytes: int
    between_bytes: int

    @property
    def total_bytes(self) -> int:
        """The sum of all three."""
        return self.result_bytes + self.stem_bytes + self.between_bytes


def need(submit: Submit, rate: int, channels: int, frames: int) -> Need:
    """The need of a job.

    Args:
        submit: the job.
        rate, channels, frames: of its source; rate in Hz.

    Raises:
        UsageError: the selection is in time code, but there is no frame rate.
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
    # The band that the model made, and for each chain of effects twice the clip: its input and its output.
    between_bytes = result_bytes if works else 0
    between_bytes += 2 * source_bytes if effects.before else 0
    between_bytes += 2 * result_bytes if effects.after else 0
    return Need(result_bytes, 0 if isinstance(submit.deliver, DeliverPath) else result_bytes, between_bytes)
