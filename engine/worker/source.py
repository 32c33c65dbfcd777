"""A job's source: samples or a file in the spool, or a file below the engine's roots."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.wire.messages import Audio, File, Pcm, Submit
from engine.state.spool import Spool
from engine.worker.held_paths import held_file, named
from engine.worker.planar_pcm import PlanarClip
from engine.worker.source_digest import SourceDigest
from presets.errors import InputError
from presets.report import Shortfall
from render.clip import Clip, FileClip, open_clip
from render.upscaler import Step, StepHook


@dataclass(frozen=True, slots=True)
class JobSource:
    """The source of a job.

    Attributes:
        clip: its samples.
        digest: returns the blake2b-256 of its bytes, hexadecimal. A file of plain PCM is hashed during the
            first pass over its samples; before that, getting the digest costs another reading.
        is_hashed: whether the digest is already known.
        nbytes: its size in bytes.
        audio: the layout of bare samples; None for a file, which has a header.
        name: the user's name for it, "" for bare samples.
        path: the file to read; None for bare samples, which have no metadata to carry over.
        identity: of the file, when it was opened.
        mask: the speakers of its channels (see `render.channels`); 0 if unknown.
        shortfall: what an accepted but incomplete file lacks; None if it is complete.
    """

    clip: Clip
    digest: Callable[[], str]
    is_hashed: bool
    nbytes: int
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

    A render reads the source in two passes, and a file of plain PCM is hashed during the first. A decoded
    file is read once more to hash it. So is a source in the spool, to check it against its digest on arrival:
    it may have lain there for days, and bare samples are not read in the order of their bytes.

    Args:
        submit: the job.
        digest: of its source in the spool, "" for a source given by path.
        spool: holds sources.
        roots: folders below which paths may be read.
        on_step: called while decoding; cancels by raising.

    Raises:
        InputError: it does not exist, is not audio, is damaged, or lies outside the limits or the roots.
    """
    source = submit.source
    if isinstance(source, Pcm | File):
        path = spool.source(digest)
        if SourceDigest(path, on_step).hexdigest() != digest:
            raise InputError("the source was damaged in the engine's spool; send it again", "source")
    if isinstance(source, Pcm):
        yield JobSource(
            PlanarClip(path, source.audio), lambda: digest, True, source.audio.nbytes, source.audio, "", None
        )
        return
    with ExitStack() as stack:
        if isinstance(source, File):
            name = source.name
            stack.enter_context(named(path, name, name))
        else:
            own = Path(os.path.realpath(source.path))
            name = own.name
            if not below(own, roots):
                raise InputError(f"{own}: {outside(roots)}", "source")
            path = stack.enter_context(held_file(own, spool.scratch(submit.job, f"source{own.suffix[:16]}")))
        identity = _identity(path)
        hashed = SourceDigest(path, on_step)
        try:
            with open_clip(
                path,
                spool.folder / "scratch",
                stream=submit.params.stream,
                accept_truncated=submit.params.accept_truncated,
                hook=lambda: on_step(Step("decode", 0, 1)),
                on_bytes=None if digest else hashed.see,
            ) as clip:
                if not digest:
                    hashed.read_to(clip.begins_at if isinstance(clip, FileClip) else sys.maxsize)
                yield JobSource(
                    clip,
                    (lambda: digest) if digest else hashed.hexdigest,
                    bool(digest),
                    identity[2],
                    None,
                    name,
                    path,
                    identity,
                    clip.mask,
                    clip.shortfall,
                )
        except InputError:
            _check_unchanged(path, identity)  # a change may be the reason
            raise


def below(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a resolved path lies below one of the roots."""
    return any(path.is_relative_to(root) for root in roots)


def outside(roots: Sequence[Path]) -> str:
    """The error for a path outside the roots."""
    if not roots:
        return "this engine opens no paths; send the file itself, or start the engine with --root FOLDER"
    return f"outside the folders this engine may open ({', '.join(map(str, roots))}); see `serve --root`"


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
