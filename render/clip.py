"""Clips: seekable sources of samples, from arrays, from files and from raw PCM on disk.

Everything a render reads or hands back is a `Clip`. Files are read by libsndfile; what it does not know
(M4A, MP4, ...) is decoded by ffmpeg; what it cannot seek exactly is decoded once to raw PCM. Every source is
checked against the same limits, at the latest when the samples concerned are read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from presets.errors import InputError
from render.decode import decode_to_pcm, decode_with_ffmpeg, promised_frames, reads_in_place
from render.limits import check_samples, check_shape, truncated
from render.upscaler import Audio


class Clip(Protocol):
    """A seekable source of audio."""

    @property
    def rate(self) -> int:
        """Frames per second."""
        ...

    @property
    def channels(self) -> int:
        """How many channels every read returns."""
        ...

    @property
    def frames(self) -> int:
        """Length in frames."""
        ...

    def read(self, start: int, frames: int) -> Audio:
        """(channels, frames) float32 from frame `start` on; zeros outside [0, self.frames)."""
        ...


class Shared:
    """A clip that several threads may read.

    Args:
        clip: read by one of them at a time.
    """

    def __init__(self, clip: Clip) -> None:
        self.rate, self.channels, self.frames = clip.rate, clip.channels, clip.frames
        self._clip, self._lock = clip, threading.Lock()

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        with self._lock:
            return self._clip.read(start, frames)


class ArrayClip:
    """A clip in memory.

    Args:
        samples: (channels, frames) or (frames,) floating point, full scale +-1.
        rate: frames per second, 4000 to 384000.
        limited: False for a render's own result, which may exceed what a source may hold.

    Raises:
        InputError: not floating point, not 1 to 8 channels, no frames, not finite, beyond +-16, or the rate.
    """

    def __init__(self, samples: NDArray[np.floating[Any]], rate: int, limited: bool = True) -> None:
        array = np.atleast_2d(np.asarray(samples))
        if array.dtype.kind != "f" or array.ndim != 2:
            raise InputError(
                f"samples of shape {array.shape} and type {array.dtype}: "
                "give (channels, frames) of float32, full scale +-1"
            )
        self.channels, self.frames = array.shape
        self.rate = rate
        check_shape(rate, self.channels, self.frames, "the samples")
        if limited:
            check_samples(array, 0, "the samples")
        self._samples = np.ascontiguousarray(array, dtype=np.float32)

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        return read_padded(lambda lo, hi: self._samples[:, lo:hi], self, start, frames)


class _DiskClip:
    """What clips that hold a file share: a context manager, and the removal of a temporary file."""

    def __init__(self, path: Path, temporary: bool) -> None:
        self.path = path
        self._temporary = temporary

    def close(self) -> None:
        """Let the file go, and remove it when it is a decoder's temporary one."""
        if self._temporary:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PcmClip(_DiskClip):
    """Raw PCM on disk: interleaved little-endian float32. Threads may share it: reads hold no state.

    Args:
        path: the file; its size fixes the number of frames.
        rate: frames per second.
        channels: 1 to 8.
        temporary: whether `close` removes the file.
    """

    def __init__(self, path: Path, rate: int, channels: int, temporary: bool = False) -> None:
        super().__init__(path, temporary)
        self.rate = rate
        self.channels = channels
        self.frames = path.stat().st_size // (4 * channels)

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        return read_padded(self._read, self, start, frames)

    def _read(self, lo: int, hi: int) -> Audio:
        count, offset = (hi - lo) * self.channels, 4 * lo * self.channels
        flat = np.fromfile(self.path, "<f4", count, offset=offset)
        return np.ascontiguousarray(flat.reshape(-1, self.channels).T, dtype=np.float32)


class FileClip(_DiskClip):
    """An audio file read in place by libsndfile. Not for use by several threads at once."""

    def __init__(self, file: soundfile.SoundFile, path: Path, name: str, temporary: bool = False) -> None:
        super().__init__(path, temporary)
        self.rate: int = file.samplerate
        self.channels: int = file.channels
        self.frames: int = file.frames
        self._file = file
        self._name = name

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`.

        Raises:
            InputError: the file breaks off there, or a sample is not finite or beyond +-16.
        """
        return read_padded(self._read, self, start, frames)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _read(self, lo: int, hi: int) -> Audio:
        try:
            self._file.seek(lo)
            block = self._file.read(hi - lo, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{self._name} is truncated or damaged near frame {lo}: {error}", "source"
            ) from None
        if len(block) != hi - lo:
            raise truncated(self._name, self.frames, lo + len(block))
        check_samples(block, lo, self._name)
        samples: Audio = np.ascontiguousarray(block.T)
        return samples


def open_clip(path: str | os.PathLike[str], scratch: Path | None = None) -> FileClip | PcmClip:
    """Open an audio file for exact random access; close it, or use it as a context manager.

    Args:
        path: anything libsndfile reads; anything else needs ffmpeg on PATH.
        scratch: folder for a decoder's temporary file (4 bytes a sample); the system's by default.

    Raises:
        InputError: missing, empty, not audio, truncated, or outside the limits of `check_shape`.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source}: {'is not a file' if source.exists() else 'no such file'}", "source")
    try:
        size = source.stat().st_size
        with source.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}", "source") from None
    if not size:
        raise InputError(f"{source} is empty (0 bytes)", "source")
    try:
        file = soundfile.SoundFile(source)
    except soundfile.LibsndfileError as error:
        unrecognised, unsupported = 1, 4
        if error.code not in (unrecognised, unsupported):
            raise InputError(f"{source} is truncated or damaged: {error.error_string}", "source") from None
        wav = decode_with_ffmpeg(source, scratch)
        try:
            return _checked(soundfile.SoundFile(wav), wav, source.name, scratch, temporary=True)
        except BaseException:
            wav.unlink(missing_ok=True)
            raise
    return _checked(file, source, source.name, scratch)


def read_padded(read: Callable[[int, int], Audio], clip: Clip, start: int, frames: int) -> Audio:
    """`read(lo, hi)` of what lies inside the clip, with zeros around it up to (channels, frames)."""
    lo, hi = max(start, 0), min(start + frames, clip.frames)
    if lo == start and hi == start + frames:
        return read(lo, hi)
    samples = np.zeros((clip.channels, frames), np.float32)
    if lo < hi:
        samples[:, lo - start : hi - start] = read(lo, hi)
    return samples


def _checked(
    file: soundfile.SoundFile, path: Path, name: str, scratch: Path | None, temporary: bool = False
) -> FileClip | PcmClip:
    """The open `file` as a clip, after a look at its header; closed again when the header will not do."""
    try:
        if (promised := promised_frames(file)) > file.frames:
            raise truncated(name, promised, file.frames)
        check_shape(file.samplerate, file.channels, file.frames, name)
        if reads_in_place(file):
            return FileClip(file, path, name, temporary)
        pcm = decode_to_pcm(file, name, scratch)
    except BaseException:
        file.close()
        raise
    file.close()
    return PcmClip(pcm, file.samplerate, file.channels, temporary=True)
