"""A job's source, opened: samples or a file of the spool, or a file below the engine's roots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.wire.messages import File, Pcm, Submit
from engine.serving.spool import Spool
from engine.worker.planar_pcm import PlanarClip
from presets.errors import AirbandError, InputError
from presets.report import Shortfall
from render.clip import Clip, open_clip
from render.files.encode import file_digest
from render.upscaler import Step, StepHook


@dataclass(frozen=True, slots=True)
class JobSource:
    """What a job renders.

    Attributes:
        clip: its samples.
        digest: of its bytes.
        name: what the user calls it, "" for bare samples.
        path: the file; None for bare samples, which have no words of their own to carry over.
        mask: which speakers its channels are for (see `render.channels`); 0 when nobody said.
        shortfall: what a file lacks that is taken none the less; None when it is whole.
        look: the file's inode, size and time of change when it was opened.
    """

    clip: Clip
    digest: str
    name: str
    path: Path | None
    mask: int = 0
    shortfall: Shortfall | None = None
    look: tuple[int, int, int] | None = None

    def check_unchanged(self) -> None:
        """Raises InputError when the file is no longer the one that was opened."""
        if self.path is not None and self.look is not None and _look(self.path) != self.look:
            raise InputError(f"{self.name} changed while it was being rendered; render it again", "source")


@contextmanager
def open_source(
    submit: Submit, digest: str, spool: Spool, roots: Sequence[Path], on_step: StepHook
) -> Iterator[JobSource]:
    """The source of a job, until the end of the block.

    Args:
        submit: the job.
        digest: of its source in the spool, "" for a source given by path.
        spool: where sources lie.
        roots: folders below which paths may be read.
        on_step: told of decoding; cancels it by raising.

    Raises:
        InputError: it is not there, not audio, outside the limits, or its path lies outside the roots.
    """
    source = submit.source
    if isinstance(source, Pcm):
        yield JobSource(PlanarClip(spool.source(digest), source.audio), digest, "", None)
        return
    if isinstance(source, File):
        path, name = spool.source(digest), source.name
    else:
        path = Path(source.path).resolve()
        name = path.name
        if not below(path, roots):
            raise InputError(f"{path}: {outside(roots)}", "source")
    try:
        look = _look(path)
        with open_clip(
            path,
            spool.folder / "scratch",
            stream=submit.params.stream,
            accept_truncated=submit.params.accept_truncated,
            hook=lambda: on_step(Step("decode", 0, 1)),
        ) as clip:
            digest = digest or file_digest(path)
            yield JobSource(clip, digest, name, path, clip.mask, clip.shortfall, look)
    except AirbandError as error:
        if isinstance(source, File):  # the user knows the file by its own name, not by the spool's
            error.message = error.message.replace(str(path), name).replace(path.name, name)
        raise


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def below(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a resolved path lies in one of the folders that jobs may name."""
    return any(path.is_relative_to(root) for root in roots)


def outside(roots: Sequence[Path]) -> str:
    """What to say of a path that does not."""
    if not roots:
        return "this engine opens no paths; send the file itself, or start the engine with --root FOLDER"
    return f"outside the folders this engine may open ({', '.join(map(str, roots))}); see `serve --root`"
