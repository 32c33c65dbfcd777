"""Training data: random windows of a corpus, streamed from disk, the same ones whenever training resumes.

A corpus (folders, or a manifest with the columns `file` and `domain`, and perhaps `id`, `split` and
`package`) is decoded once into a pack: all its clips as 16-bit mono at 48 kHz end to end in one file, and an
index beside it. A window is then one read of a few hundred kilobytes. Example k of a run depends on the seed
and on k alone, so a run that resumes at step n gets the examples that it would have got.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from presets.errors import InputError
from presets.schema import RATE_HZ

AUDIO = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"}
CLIFF_DB = 15.0
"""A band edge is where the level of the loud tenth of a clip's frames falls by this within a kilohertz."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a pack.

    Attributes:
        name: where it came from.
        source: the recording it is a part of: clips of one source are never on both sides of a split.
        domain: speech, music, effects, or the folder's name.
        start: first frame in the pack.
        frames: length.
        band_edge_hz: where its band ends; 24000 when it does not end before.
        split: "train" or "validation" where its manifest says which; else empty.
        package: the collection it came with, where its manifest has the column `package`; else empty.
    """

    name: str
    source: str
    domain: str
    start: int
    frames: int
    band_edge_hz: float
    split: str = ""
    package: str = ""


def band_edge_hz(samples: NDArray[np.float32]) -> float:
    """Where a clip's own band ends above 11 kHz: a codec's low-pass, or the Nyquist of an earlier rate."""
    from scipy import fft

    heard = samples[: 20 * RATE_HZ]
    frames = np.pad(heard, (0, -len(heard) % 2048)).reshape(-1, 2048) * np.hanning(2048).astype(np.float32)
    power = np.abs(fft.rfft(frames)[:, 1:] / 1024) ** 2
    bands = 10 * np.log10(power.reshape(-1, 128, 8).mean(2) + 1e-14)
    loud = np.quantile(bands, 0.9, axis=0)
    for band in range(60, 123):
        if loud[band - 3 : band].mean() - loud[band + 2 : band + 5].mean() > CLIFF_DB:
            return band * RATE_HZ / 256
    return RATE_HZ / 2


class Source(NamedTuple):
    """A clip of a corpus, before it is packed; see `Clip`."""

    path: Path
    source: str
    domain: str
    split: str = ""
    package: str = ""


def sources(roots: Sequence[Path]) -> Iterator[Source]:
    """Every clip in manifests (.csv) and under folders. A clip under a folder has the first folder's name as
    its domain, and neither split nor package."""
    for root in roots:
        if root.suffix == ".csv":
            with root.open(newline="") as file:
                for row in csv.DictReader(file):
                    file_name = row["file"]
                    yield Source(
                        root.parent / file_name,
                        row.get("id", file_name),
                        row.get("domain", ""),
                        row.get("split", ""),
                        row.get("package", ""),
                    )
            continue
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in AUDIO:
                domain = path.relative_to(root).parts[0] if path.parent != root else root.name
                yield Source(path, path.stem, domain)


def pack(roots: Sequence[Path], target: Path) -> None:
    """Decodes a corpus once, into `target` (samples) and `target`.json (index); skips what does not decode.

    Raises:
        InputError: nothing under `roots` decodes.
    """
    import soundfile as sf
    import soxr

    clips: list[Clip] = []
    start = 0
    with target.open("wb") as out:
        for path, source, domain, split, package in sources(roots):
            try:
                samples, rate = sf.read(path, dtype="float32", always_2d=True)
            except (sf.LibsndfileError, OSError):
                continue
            mono = samples.mean(1)
            if rate != RATE_HZ:
                mono = soxr.resample(mono, rate, RATE_HZ, quality="VHQ")
            if len(mono) < RATE_HZ // 2:
                continue
            out.write((np.clip(mono, -1, 1) * 32767).round().astype("<i2").tobytes())
            edge_hz = band_edge_hz(mono)
            clips.append(Clip(path.name, source, domain, start, len(mono), edge_hz, split, package))
            start += len(mono)
    if not clips:
        raise InputError(
            f"nothing under {', '.join(map(str, roots))} decodes to half a second of audio or more"
        )
    Path(f"{target}.json").write_text(json.dumps([asdict(clip) for clip in clips]))


def _validates(clips: Sequence[Clip], share: float) -> set[tuple[str, str]]:
    """(domain, source) of the validation part: what a manifest says; where none does, about `share` of the
    sources, and at least one of each domain."""

    def place(source: tuple[str, str]) -> int:
        return zlib.crc32(source[1].encode()) % 1000

    marked = {(clip.domain, clip.source) for clip in clips if clip.split == "validation"}
    free = sorted({(clip.domain, clip.source) for clip in clips if not clip.split})
    held = marked | {source for source in free if place(source) < share * 1000}
    missing = {domain for domain, _ in free} - {domain for domain, _ in held} if share > 0 else set()
    return held | {min((s for s in free if s[0] == domain), key=place) for domain in missing}


def _why_empty(path: Path, clips: Sequence[Clip], domain: str, validation: bool) -> str:
    sources = {clip.source for clip in clips if clip.domain == domain}
    if not sources:
        there = ", ".join(sorted({clip.domain for clip in clips}))
        return f"{path} has no clip of domain {domain!r}, only of {there}; name those in `shares`"
    if len(sources) == 1 and not validation:
        return (
            f"{path} has one recording of domain {domain!r}, {next(iter(sources))}, and one is kept for "
            "validation; cut it into several files"
        )
    part = "validation" if validation else "training"
    return (
        f"{path} has no clip of domain {domain!r} for {part}; see `held_out`, or the manifest's column split"
    )


class Corpus:
    """Random access to a pack.

    Args:
        path: what `pack` wrote.
        held_out: share of sources kept for validation where no manifest says which, 0 to 1.
        validation: whether this is the validation part or the training part.
        shares: how often a domain is drawn; domains that are not named are not drawn.

    Raises:
        InputError: no pack there, or no clip in a domain of `shares`.
    """

    def __init__(self, path: Path, held_out: float, validation: bool, shares: dict[str, float]) -> None:
        index = Path(f"{path}.json")
        if not index.exists():
            raise InputError(f"{path} holds no pack: its index {index.name} is missing")
        clips = [Clip(**entry) for entry in json.loads(index.read_text())]
        held = _validates(clips, held_out)
        kept = [clip for clip in clips if ((clip.domain, clip.source) in held) == validation]
        self.path = path
        self.domains = sorted(shares)
        self.shares = np.array([shares[domain] for domain in self.domains]) / sum(shares.values())
        self.clips = {domain: [clip for clip in kept if clip.domain == domain] for domain in self.domains}
        empty = [domain for domain in self.domains if not self.clips[domain]]
        if empty:
            raise InputError(_why_empty(path, clips, empty[0], validation))
        self._ends = {
            domain: np.cumsum([clip.frames for clip in clips]) for domain, clips in self.clips.items()
        }

    def draw(self, rng: np.random.Generator, domain: str | None = None) -> tuple[Clip, int]:
        """A clip, chosen in proportion to its length, and a frame in it to begin at."""
        if domain is None:
            domain = self.domains[int(rng.choice(len(self.domains), p=self.shares))]
        ends = self._ends[domain]
        clip = self.clips[domain][int(np.searchsorted(ends, rng.integers(ends[-1]), side="right"))]
        return clip, int(rng.integers(clip.frames))

    def read(self, clip: Clip, start: int, frames: int) -> NDArray[np.float32]:
        """`frames` frames of a clip, from an earlier start where they do not fit; zeros follow a short
        clip."""
        start = max(0, min(start, clip.frames - frames))
        count = min(frames, clip.frames - start)
        pcm = np.fromfile(self.path, "<i2", count, offset=2 * (clip.start + start))
        samples = np.zeros(frames, np.float32)
        samples[:count] = pcm.astype(np.float32) / 32768
        return samples
