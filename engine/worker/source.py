"""A job's source: samples or a file of the spool, or a file below the engine's roots."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.wire.messages import Audio, File, Pcm, Submit
from bridge.wire.transfer import hasher
from engine.serving.spool import Spool
from engine.worker.planar_pcm import PlanarClip
from presets.errors import AirbandError, InputError
from presets.report import Shortfall
from render.clip import Clip, open_clip
from render.upscaler import Step, StepHook

HASH_BYTES = 32 * 1024**2
"""Hashed between two looks at whether the job was cancelled: a thirtieth of a second."""


@dataclass(frozen=True, slots=True)
class JobSource:
    """What a job renders.

    Attributes:
        clip: its samples.
        digest: blake2b-256 of its bytes.
        audio: the layout of bare samples; None for a file, which says so itself.
        name: what the user calls it, "" for bare samples.
        path: the file; None for bare samples, which have no metadata to carry over.
        identity: of the file when it was opened.
        mask: which speakers its channels are for (see `render.channels`); 0 when nobody said.
        shortfall: what a file lacks that is taken none the less; None when it is whole.
    """

    clip: Clip
    digest: str
    audio: Audio | None
    name: str
    path: Path | None
    identity: tuple[int, ...] | None = None
    mask: int = 0
    shortfall: Shortfall | None = None

    def check_unchanged(self) -> None:
        """Raises InputError if the file has changed since it was opened."""
        if self.path is not None and self.identity is not None:
            _check_unchanged(self.path, self.identity)


@contextmanager
def open_source(
    submit: Submit, digest: str, spool: Spool, roots: Sequence[Path], on_step: StepHook
) -> Iterator[JobSource]:
    """The source of a job, until the end of the block.

    Its bytes are hashed once, here: those of the spool against the digest they came in with. A render reads
    them twice after that.

    Args:
        submit: the job.
        digest: of its source in the spool, "" for a source given by path.
        spool: where sources lie.
        roots: folders below which paths may be read.
        on_step: told of decoding; cancels it by raising.

    Raises:
        InputError: it is not there, not audio, outside the limits, damaged, or outside the roots.
    """
    source = submit.source
    if isinstance(source, Pcm | File):
        path = spool.source(digest)
        if _hashed(path, on_step) != digest:
            raise InputError("the source was damaged in the engine's spool; send it again", "source")
    if isinstance(source, Pcm):
        yield JobSource(PlanarClip(path, source.audio), digest, source.audio, "", None)
        return
    if isinstance(source, File):
        name = source.name
    else:
        path = Path(source.path).resolve()
        name = path.name
        if not below(path, roots):
            raise InputError(f"{path}: {outside(roots)}", "source")
    try:
        identity = _identity(path)
        try:
            with open_clip(
                path,
                spool.folder / "scratch",
                stream=submit.params.stream,
                accept_truncated=submit.params.accept_truncated,
                hook=lambda: on_step(Step("decode", 0, 1)),
            ) as clip:
                yield JobSource(
                    clip,
                    digest or _hashed(path, on_step),
                    None,
                    name,
                    path,
                    identity,
                    clip.mask,
                    clip.shortfall,
                )
        except InputError:
            _check_unchanged(path, identity)  # which may be why
            raise
    except AirbandError as error:
        if isinstance(source, File):  # the user knows the file by its own name, not by the spool's
            error.message = error.message.replace(str(path), name).replace(path.name, name)
        raise


def below(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a resolved path lies in one of the folders that jobs may name."""
    return any(path.is_relative_to(root) for root in roots)


def outside(roots: Sequence[Path]) -> str:
    """What to say of a path that does not."""
    if not roots:
        return "this engine opens no paths; send the file itself, or start the engine with --root FOLDER"
    return f"outside the folders this engine may open ({', '.join(map(str, roots))}); see `serve --root`"


def _hashed(path: Path, on_step: StepHook) -> str:
    digest = hasher()
    try:
        with open(path, "rb") as file:
            while piece := file.read(HASH_BYTES):
                digest.update(piece)
                if len(piece) == HASH_BYTES:  # there is more to come, so that a cancel must be heard
                    on_step(Step("read", 0, 1))
        return digest.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "source") from None


def _identity(path: Path) -> tuple[int, ...]:
    """Device, inode, size and both times of a file."""
    try:
        about = os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "source") from None
    if not stat.S_ISREG(about.st_mode):
        raise InputError(f"{path}: not a file", "source")
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _check_unchanged(path: Path, before: tuple[int, ...]) -> None:
    try:
        is_same = _identity(path) == before
    except InputError:
        is_same = False
    if not is_same:
        raise InputError(f"{path}: changed while it was read; render it again once it is finished", "source")
