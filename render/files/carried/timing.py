"""Where a stem lies in its source, and what was done to it; positions and histories are made from these."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the stem lies in its source.

    Attributes:
        rate_in, rate_out: Hz.
        start: first frame of the selection, at the source's rate; 0 for the whole.
        frames_in: frames of the selection, at the source's rate.
        whole: whether the selection is the whole source.
    """

    rate_in: int
    rate_out: int
    start: int
    frames_in: int
    whole: bool = True

    @property
    def keeps_places(self) -> bool:
        """Whether every frame lies in the stem where it lay in the source."""
        return self.whole and self.rate_in == self.rate_out

    def scaled(self, frame: int) -> int:
        """A count of source frames, converted to frames of the stem and rounded."""
        return round(Fraction(frame * self.rate_out, self.rate_in))

    def position(self, frame: int) -> int | None:
        """Where a source frame lies in the stem, or None when the selection leaves it out.

        The whole source leaves nothing out, not even positions past its end.
        """
        inside = self.whole or self.start <= frame <= self.start + self.frames_in
        return self.scaled(frame - self.start) if inside else None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What was done, for coding history, iXML and comments.

    Attributes:
        software: name and version, as "Airband 0.1.0".
        layout: the stem's coding history fields, as "A=PCM,F=48000,W=32,M=stereo".
        facts: name to value (preset, model, model digest, seed, cut-off); names in capitals.
    """

    software: str
    layout: str
    facts: dict[str, str]

    def line(self) -> str:
        """All of it in one line."""
        return "; ".join([self.software, *(f"{name.lower()} {value}" for name, value in self.facts.items())])
