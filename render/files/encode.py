"""Encodes a rendered clip as a WAV, FLAC or AIFF file, dithered where samples are integers.

The file lies beside its destination under a hidden name; as the last step `render.files.publish` makes it
visible.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING

from presets.errors import OutputError, RenderError, UsageError
from presets.knobs import Format
from presets.schema import Preset
from render.files.carried.chunks import is_large
from render.files.headers import SWAPPED, aiff_header, is_usual, wav_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from render.clip import Clip
    from render.files.carried.metadata import Metadata

ENCODER_FRAMES = 48000
"""Frames in memory at a time."""
STRETCH_FRAMES = 2400
"""Dither is off in every stretch of this many frames that lies on the integer grid already."""
FLAC_MASK_TAG = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK"
"""The comment that holds the mask of speakers."""
RIFF_BYTES_MAX = 2**32 - 2**24
"""Audio of a plain WAV or AIFF file; the rest of its 4 GiB is kept for metadata."""

SUFFIXES: Mapping[str, Format] = {
    ".wav": "wav", ".wave": "wav", ".flac": "flac", ".aiff": "aiff", ".aif": "aiff"
}  # fmt: skip


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
    """What was written: `digest` is blake2b-256 of the file's bytes, `peak_dbfs` the peak before encoding."""

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
            raise UsageError(
                f"{out_name}: the suffix says {SUFFIXES[suffix]}, format says {asked}; make them agree",
                "format",
            )
        asked = SUFFIXES[suffix]
    form = asked or SUFFIXES.get(Path(source_name).suffix.lower(), "wav")
    bits = preset.bit_depth or (24 if form == "flac" else 32)
    if form == "flac" and bits == 32:
        raise UsageError(
            "bit_depth = 32: flac holds 16 or 24 bits; take wav or aiff for 32-bit float", "bit_depth"
        )
    return Encoding(form, bits)


def encode(
    clip: Clip, path: Path, how: Encoding, preset: Preset, carried: Metadata | None = None, mask: int = 0
) -> Encoded:
    """Writes a clip's samples to `path`, in blocks.

    Integer samples get TPDF dither (two uniform draws, triangular over +-1 LSB: Lipshitz, Wannamaker and
    Vanderkooy, "Quantization and dither", JAES 1992) drawn from the preset's seed, except in stretches that
    lie on the integer grid already: silence stays silence, a source that came back unchanged keeps its bits.

    Args:
        clip: the stem, full scale +-1.
        path: a file that nobody else reads yet; replaced if it exists.
        how: format and bit depth.
        preset: `dither`, `seed`, and `delivery.clip`.
        carried: the source's metadata on the stem's time line; a 64-bit WAV source gives a 64-bit WAV stem.
        mask: which speakers the channels are for (see `render.channels`); 0 when not known.

    Raises:
        OutputError: integer samples that would clip, no room, no permission.
        RenderError: a sample that is not finite.
    """
    nbytes = clip.frames * clip.channels * how.bits // 8
    if how.format == "aiff" and nbytes > RIFF_BYTES_MAX:
        raise OutputError(f"{path.name}: {nbytes} bytes do not fit an AIFF file; take wav", "format")
    check_room(path, nbytes if how.format != "flac" else nbytes // 8)
    blocks = _Blocks(clip, path.name)
    try:
        if how.format == "flac":
            _write_flac(blocks, path, how, preset, mask)
        else:
            long = nbytes > RIFF_BYTES_MAX or (carried is not None and carried.form in (b"RF64", b"BW64"))
            large = sum(is_large(chunk) for chunk in carried.chunks) if carried is not None and long else 0
            is_same = carried is not None and carried.form.startswith(b"AIF") == (how.format == "aiff")
            wording = carried.wording if carried is not None and is_same else b""
            _write_pcm(blocks, path, how, preset, mask, long, large, wording)
    except OSError as error:
        check_room(path, nbytes)
        raise OutputError(f"{path.parent}: cannot be written: {error.strerror or error}", str(path)) from None
    if how.bits != 32 and blocks.peak > 1 and not preset.delivery.clip:
        raise OutputError(over(blocks.peak, how.bits), "bit_depth")
    if carried is not None:
        # Imported here: a client loads this file only for its names, and encodes nothing.
        from render.files.carried.metadata import attach

        attach(path, how.format, carried)
    return Encoded(how, file_digest(path), path.stat().st_size, decibels(blocks.peak))


class _Blocks:
    """A clip block by block, (frames, channels); `peak` is that of the blocks read so far."""

    def __init__(self, clip: Clip, name: str) -> None:
        self.clip = clip
        self.peak = 0.0
        self._name = name

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        import numpy as np

        for start in range(0, self.clip.frames, ENCODER_FRAMES):
            block = self.clip.read(start, min(ENCODER_FRAMES, self.clip.frames - start)).T
            self.peak = max(self.peak, float(np.max(np.abs(block), initial=0.0)))
            if not np.isfinite(block).all():
                raise RenderError(f"{self._name}: samples that are not finite within 1 s of frame {start}")
            yield block


def _write_pcm(
    blocks: _Blocks,
    path: Path,
    how: Encoding,
    preset: Preset,
    mask: int,
    long: bool,
    large_chunks: int,
    wording: bytes,
) -> None:
    import numpy as np

    clip, rng = blocks.clip, _dither(preset)
    nbytes = clip.frames * clip.channels * how.bits // 8
    about = clip.frames, clip.channels, clip.rate, how.bits, mask
    is_swapped = wording == SWAPPED and how.bits != 32
    end = "<" if how.format == "wav" or is_swapped else ">"
    with path.open("wb") as file:
        if how.format == "wav":
            file.write(wav_header(*about, long=long, large_chunks=large_chunks, wording=wording))
        else:
            file.write(aiff_header(*about, wording=wording))
        for block in blocks:
            if how.bits == 32:
                file.write(np.ascontiguousarray(block, f"{end}f4").data)
            else:
                integers = quantised(block, how.bits, rng).astype(f"{end}i4", order="C")
                used = slice(4 - how.bits // 8, 4) if end == "<" else slice(0, how.bits // 8)
                file.write(integers.view(np.uint8).reshape(-1, 4)[:, used].tobytes())
        file.write(bytes(nbytes % 2))


def _write_flac(blocks: _Blocks, path: Path, how: Encoding, preset: Preset, mask: int) -> None:
    import soundfile

    clip, rng = blocks.clip, _dither(preset)
    try:
        with soundfile.SoundFile(
            path, "w", clip.rate, clip.channels, f"PCM_{how.bits}", format="FLAC"
        ) as file:
            for block in blocks:
                file.write(quantised(block, how.bits, rng))
    except (soundfile.SoundFileError, AssertionError) as error:
        # soundfile asserts where a write came back short, and keeps no errno.
        raise OSError(str(error) or "short write") from None
    if not is_usual(mask, clip.channels):  # else some readers take back speakers for side ones
        from mutagen.flac import FLAC

        tags = FLAC(path)
        tags[FLAC_MASK_TAG] = f"0x{mask:X}"
        tags.save()


def _dither(preset: Preset) -> np.random.Generator | None:
    import numpy as np

    return np.random.Generator(np.random.Philox(key=preset.seed)) if preset.dither == "tpdf" else None


def quantised(block: NDArray[np.float32], bits: int, rng: np.random.Generator | None) -> NDArray[np.int32]:
    """Samples as integers of `bits`, left-justified in 32: dithered when there is a generator, saturating.

    Args:
        block: (frames, channels), full scale +-1; a multiple of STRETCH_FRAMES long, except the last one.
        bits: 16 or 24.
        rng: two draws a sample; the same sequence whatever the block size.
    """
    import numpy as np

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
    """The message for a peak that `bits` cannot hold, with the ways out."""
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


def check_room(out: Path, nbytes: int) -> None:
    """Raises OutputError where the disk of an existing folder has less than `nbytes` free for `out`."""
    total, _, free = shutil.disk_usage(out.parent)
    if total and nbytes > free:  # a file server that does not know says 0 of 0
        raise OutputError(
            f"{out.parent}: no room: {nbytes / 1e6:.2f} MB are needed, {free / 1e6:.2f} MB free; "
            "make some, or choose another folder",
            str(out),
        )
