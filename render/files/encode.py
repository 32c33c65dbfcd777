"""A rendered clip becomes a file: WAV, FLAC or AIFF, dithered where it is integer. The last step but one.

What is written lies beside its destination under a hidden name; `render.files.publish` makes it visible.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from presets.errors import OutputError, RenderError, UsageError
from presets.schema import Format, Preset
from render.files.riff import append_chunks

if TYPE_CHECKING:
    from render.clip import Clip
    from render.files.metadata import Metadata

BLOCK_FRAMES = 48000
"""Frames in memory at a time."""
STRETCH_FRAMES = 2400
"""Dither is off in every stretch of this many frames that lies on the integer grid already."""
TAG_CHARS_MAX = 2000
"""A text of more than 8 KiB makes libsndfile write an AIFF file that nobody can read. The end is kept."""
RIFF_BYTES_MAX = 2**32 - 2**24
"""Audio of a plain WAV or AIFF file; the rest of its 4 GiB is kept for metadata."""

SUFFIXES: Mapping[str, Format] = {
    ".wav": "wav", ".wave": "wav", ".flac": "flac", ".aiff": "aiff", ".aif": "aiff"
}  # fmt: skip
SUBTYPES = {16: "PCM_16", 24: "PCM_24", 32: "FLOAT"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How samples lie in a file: `bits` 32 is float, 16 and 24 are integer."""

    format: Format
    bits: int

    @property
    def suffix(self) -> str:
        """The format's usual suffix, with its dot."""
        return f".{self.format}"


@dataclass(frozen=True, slots=True)
class Encoded:
    """What was written: `digest` is blake2b-256 of the file's bytes, `peak_dbfs` of the samples before it."""

    encoding: Encoding
    digest: str
    nbytes: int
    peak_dbfs: float


def encoding(preset: Preset, source_name: str, out_name: str | None = None) -> Encoding:
    """The encoding of a stem.

    Args:
        preset: its `format` and `bit_depth`; unset, they follow the destination, then the source, then wav,
            and 32-bit float (24 for flac).
        source_name: the source's file name; a format that is not written (mp3, ogg, ...) becomes wav.
        out_name: the destination's file name, when it is settled.

    Raises:
        UsageError: a destination whose suffix is no format, or another than the preset's; 32-bit flac.
    """
    asked = preset.format
    if out_name is not None:
        suffix = Path(out_name).suffix.lower()
        if suffix not in SUFFIXES:
            raise UsageError(f"{out_name}: results end in {', '.join(SUFFIXES)}, not {suffix!r}", "format")
        if asked is not None and SUFFIXES[suffix] != asked:
            raise UsageError(f"{out_name}: the suffix says {SUFFIXES[suffix]}, format says {asked}", "format")
        asked = SUFFIXES[suffix]
    form = asked or SUFFIXES.get(Path(source_name).suffix.lower(), "wav")
    bits = preset.bit_depth or (24 if form == "flac" else 32)
    if form == "flac" and bits == 32:
        raise UsageError(
            "bit_depth = 32: flac holds 16 or 24 bits; take wav or aiff for 32-bit float", "bit_depth"
        )
    return Encoding(form, bits)


def encode(clip: Clip, path: Path, how: Encoding, preset: Preset, carried: Metadata | None = None) -> Encoded:
    """Writes a clip's samples to `path`, in blocks.

    Integer samples get TPDF dither (two uniform draws, triangular over +-1 LSB: Lipshitz, Wannamaker and
    Vanderkooy, "Quantization and dither", JAES 1992) drawn from the preset's seed, except in stretches that
    lie on the integer grid already: silence stays silence, a source that came back unchanged keeps its bits.

    Args:
        clip: the stem, full scale +-1.
        path: a file that nobody else reads yet; replaced if it exists.
        how: format and bit depth.
        preset: `dither`, `seed`, and `delivery.clip`.
        carried: the source's metadata on the stem's time line; chunks reach a WAV file, text tags any other.

    Raises:
        OutputError: integer samples that would clip, no room, no permission.
        RenderError: a sample that is not finite.
    """
    import soundfile

    nbytes = clip.frames * clip.channels * how.bits // 8
    container = _container(how, nbytes, clip.channels, path)
    _check_room(path, nbytes if how.format != "flac" else nbytes // 8)
    rng = np.random.Generator(np.random.Philox(key=preset.seed)) if preset.dither == "tpdf" else None
    peak = 0.0
    try:
        with soundfile.SoundFile(
            path, "w", clip.rate, clip.channels, SUBTYPES[how.bits], format=container
        ) as file:
            if carried is not None and how.format != "wav":
                for name, text in carried.tags.items():
                    setattr(file, name, text[-TAG_CHARS_MAX:])
            for start in range(0, clip.frames, BLOCK_FRAMES):
                block = clip.read(start, min(BLOCK_FRAMES, clip.frames - start)).T
                peak = max(peak, float(np.max(np.abs(block), initial=0.0)))
                if not np.isfinite(block).all():
                    raise RenderError(f"{path.name}: samples that are not finite within 1 s of frame {start}")
                file.write(block if how.bits == 32 else quantised(block, how.bits, rng))
    except (soundfile.SoundFileError, AssertionError) as error:
        # soundfile asserts where a write came back short, and keeps no errno.
        _check_room(path, nbytes)
        raise OutputError(f"{path.parent}: cannot be written: {error or 'short write'}", str(path)) from None
    if how.bits != 32 and peak > 1 and not preset.delivery.clip:
        raise OutputError(over(peak, how.bits), "bit_depth")
    if carried is not None and how.format == "wav":
        append_chunks(path, carried.as_chunks())
    if how.bits == 32:
        _forget_time(path, clip.channels)
    return Encoded(how, file_digest(path), path.stat().st_size, decibels(peak))


def quantised(block: NDArray[np.float32], bits: int, rng: np.random.Generator | None) -> NDArray[np.int32]:
    """Samples as integers of `bits`, left-justified in 32: dithered when there is a generator, saturating.

    Args:
        block: (frames, channels), full scale +-1. Blocks but the last are a multiple of STRETCH_FRAMES long.
        bits: 16 or 24.
        rng: two draws a sample; the same sequence whatever the block size.
    """
    scale = 2.0 ** (bits - 1)
    scaled = block.astype(np.float64) * scale
    if rng is not None:
        noise = rng.random((*scaled.shape, 2))
        off_grid = np.any(scaled != np.rint(scaled), axis=1)
        stretches = np.arange(0, len(off_grid), STRETCH_FRAMES)
        dithered = np.repeat(np.logical_or.reduceat(off_grid, stretches), STRETCH_FRAMES)[: len(off_grid)]
        scaled += (noise[..., 0] - noise[..., 1]) * dithered[:, None]
    integers = np.clip(np.rint(scaled), -scale, scale - 1).astype(np.int32)
    return integers << (32 - bits)


def over(peak: float, bits: int) -> str:
    """What to say of a peak that `bits` do not hold, with the ways out."""
    return (
        f"the peak is {decibels(peak):+.2f} dBFS and {bits}-bit samples end at 0 dBFS; keep 32-bit float "
        "(--bit-depth 32 --format wav), turn the generated band down (--high-gain-db) or let it clip (--clip)"
    )


def decibels(peak: float) -> float:
    """A peak in dBFS; silence is -inf."""
    return 20 * log10(peak) if peak > 0 else float("-inf")


def file_digest(path: Path) -> str:
    """blake2b-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _container(how: Encoding, nbytes: int, channels: int, path: Path) -> str:
    if how.format == "wav":
        if nbytes > RIFF_BYTES_MAX:
            return "RF64"
        return "WAV" if channels <= 2 else "WAVEX"
    if how.format == "aiff" and nbytes > RIFF_BYTES_MAX:
        raise OutputError(f"{path.name}: {nbytes} bytes do not fit an AIFF file; take wav", "format")
    return how.format.upper()


def _check_room(path: Path, nbytes: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if nbytes > free:
        raise OutputError(
            f"{path.parent}: no room: {nbytes / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB free", str(path)
        )


def _forget_time(path: Path, channels: int) -> None:
    """Zeroes the clock in libsndfile's PEAK chunk: the same render is the same file, byte for byte."""
    with path.open("r+b") as file:
        head = file.read(65536)  # in an AIFF file the texts stand before it
        size = (8 + 8 * channels).to_bytes(4, "big" if head.startswith(b"FORM") else "little")
        at = head.find(b"PEAK" + size)
        if at >= 0:
            file.seek(at + 12)
            file.write(bytes(4))
