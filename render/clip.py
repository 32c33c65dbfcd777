"""Clips: seekable sources of samples, from arrays, from files and from raw PCM on disk.

Everything a render reads or hands back is a `Clip`. Plain PCM is read in place; coded audio is decoded once
to raw PCM. Every source is checked against the same limits, at the latest when its samples are read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from presets.errors import InputError
from presets.report import Shortfall
from render.decode import Wanted, decode
from render.limits import check_samples, check_shape, no_stream, truncated, unreadable
from render.sources.pcm_header import PcmHeader, read_header
from render.sources.pcm_samples import samples_of
from render.sources.stretch import OnBytes, Stretch
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
        clip: read by one thread at a time.
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
        InputError: samples not floating point, not finite or beyond +-16; not 1 to 8 channels, no frames, or
            a rate outside the limits.
    """

    def __init__(self, samples: NDArray[np.floating[Any]], rate: int, limited: bool = True) -> None:
        array = np.atleast_2d(np.asarray(samples))
        if array.dtype.kind != "f" or array.ndim != 2:
            raise InputError(
                f"samples of shape {array.shape} and type {array.dtype}: "
                "give (channels, frames) of float32, full scale +-1",
                "source",
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
    """What clips in a file share: facts about the source, and that they are closed.

    Args:
        mask: which speakers the channels are for (see `render.channels`); 0 when not known.
        shortfall: what is missing of the source, where that was accepted.
    """

    def __init__(self, mask: int, shortfall: Shortfall | None) -> None:
        self.mask = mask
        self.shortfall = shortfall

    def close(self) -> None:
        """Close the file, and remove it if it is a decoder's temporary one."""

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
        mask, shortfall: see `_DiskClip`.
    """

    def __init__(
        self,
        path: Path,
        rate: int,
        channels: int,
        temporary: bool = False,
        mask: int = 0,
        shortfall: Shortfall | None = None,
    ) -> None:
        super().__init__(mask, shortfall)
        self.path = path
        self.rate = rate
        self.channels = channels
        self.frames = path.stat().st_size // (4 * channels)
        self._temporary = temporary

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        return read_padded(self._read, self, start, frames)

    def close(self) -> None:
        """See `_DiskClip.close`."""
        if self._temporary:
            self.path.unlink(missing_ok=True)

    def _read(self, lo: int, hi: int) -> Audio:
        count, offset = (hi - lo) * self.channels, 4 * lo * self.channels
        flat = np.fromfile(self.path, "<f4", count, offset=offset)
        return np.ascontiguousarray(flat.reshape(-1, self.channels).T, dtype=np.float32)


class FileClip(_DiskClip):
    """A file of plain PCM, read in place. Not for use by several threads at once.

    Args:
        file: open; closed with the clip.
        header: where its samples lie.
        name: for messages.
        shortfall: see `_DiskClip`.
        on_bytes: called with what is read of the file, from byte `begins_at` on.
    """

    def __init__(
        self,
        file: BinaryIO,
        header: PcmHeader,
        name: str,
        shortfall: Shortfall | None = None,
        on_bytes: OnBytes | None = None,
    ) -> None:
        super().__init__(header.mask, shortfall)
        self.rate = header.rate
        self.channels = header.channels
        self.frames = header.held // header.frame_bytes
        self.begins_at = header.at
        self._file = file
        self._name = name
        self._header = header
        end = header.at + self.frames * header.frame_bytes
        self._bytes = Stretch(file.fileno(), header.at, end, on_bytes)

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`.

        Raises:
            InputError: the file became shorter or cannot be read, or a sample is not finite or beyond +-16.
        """
        return read_padded(self._read, self, start, frames)

    def close(self) -> None:
        """See `_DiskClip.close`."""
        self._file.close()

    def _read(self, lo: int, hi: int) -> Audio:
        header = self._header
        raw = np.empty((hi - lo) * header.frame_bytes, np.uint8)
        self._bytes.seek(lo * header.frame_bytes)
        left = raw.data
        try:
            while left and (got := self._bytes.readinto(left)):
                left = left[got:]
        except OSError as error:
            raise unreadable(self._name, error) from None
        if left:
            last = hi - -(-len(left) // header.frame_bytes)
            raise InputError(f"{self._name} became shorter while it was read: frame {last}", "source")
        block = samples_of(raw, header.subtype, header.big_endian).reshape(-1, self.channels)
        check_samples(block, lo, self._name)
        samples: Audio = np.ascontiguousarray(block.T[header.order])
        return samples


def open_clip(
    path: str | os.PathLike[str],
    scratch: Path | None = None,
    *,
    stream: int = 0,
    accept_truncated: bool = False,
    hook: Callable[[], None] = lambda: None,
    on_bytes: OnBytes | None = None,
) -> FileClip | PcmClip:
    """Open an audio file for exact random access; close it, or use it as a context manager.

    Plain PCM is read in place, whatever the file is called; anything else is decoded once (see
    `render.decode`). Channels come in the WAV order.

    Args:
        path: anything ffmpeg (when it is on PATH) or libsndfile reads.
        scratch: folder for a decoder's temporary file (4 bytes a sample); the system's by default.
        stream: which audio stream of a file that holds several, 0 the first.
        accept_truncated: take what is there of a file that breaks off or is damaged; `shortfall` of the clip
            says what is missing.
        hook: called often while a file is decoded; stops it by raising.
        on_bytes: called with what is read of a file of plain PCM, see `render.sources.stretch.OnBytes`.

    Raises:
        InputError: missing, empty, not audio, truncated, or outside the limits of `check_shape`.
        OutputError: no room for the temporary file.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source}: {'is not a file' if source.exists() else 'no such file'}", "source")
    try:
        file = source.open("rb")
    except OSError as error:
        raise unreadable(str(source), error) from None
    clip: FileClip | PcmClip | None = None
    try:
        if not os.fstat(file.fileno()).st_size:
            raise InputError(f"{source} is empty (0 bytes)", "source")
        try:
            header = read_header(file)
        except OSError as error:
            raise unreadable(str(source), error) from None
        if header is not None and header.subtype:
            clip = _in_place(file, header, source.name, stream, accept_truncated, on_bytes)
            return clip
        done = decode(Wanted(file, source, source.name, stream, accept_truncated, hook), header, scratch)
        return PcmClip(done.path, done.head.rate, done.head.channels, True, done.head.mask, done.shortfall)
    finally:
        if clip is None:
            file.close()


def _in_place(
    file: BinaryIO,
    header: PcmHeader,
    name: str,
    stream: int,
    accept_truncated: bool,
    on_bytes: OnBytes | None,
) -> FileClip:
    held = header.held // max(1, header.frame_bytes)
    check_shape(header.rate, header.channels, held, name)
    if stream:
        raise no_stream(name, stream, 1)
    shortfall = None
    if header.promised is not None and header.promised > header.held:
        shortfall = Shortfall(held, header.promised // header.frame_bytes)
    elif header.doubt:
        shortfall = Shortfall(held, why=header.doubt)
    if shortfall is not None and not accept_truncated:
        raise truncated(name, shortfall)
    return FileClip(file, header, name, shortfall, on_bytes)


def read_padded(read: Callable[[int, int], Audio], clip: Clip, start: int, frames: int) -> Audio:
    """`read(lo, hi)` of the part that lies inside the clip, padded with zeros to (channels, frames)."""
    lo, hi = max(start, 0), min(start + frames, clip.frames)
    if lo == start and hi == start + frames:
        return read(lo, hi)
    samples = np.zeros((clip.channels, frames), np.float32)
    if lo < hi:
        samples[:, lo - start : hi - start] = read(lo, hi)
    return samples
