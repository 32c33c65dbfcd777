"""The recordings in the knob `like`, opened below the engine's roots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.state.spool import Spool
from engine.worker.held_paths import held_file
from engine.worker.source import below, outside
from presets.errors import InputError
from render.clip import Clip, open_clip
from render.files.recordings import recordings
from render.like import Recordings, blamed_on_like
from render.upscaler import Step, StepHook


def check_like(like: str | None, roots: Sequence[Path]) -> None:
    """Raises InputError if `like` lies outside the roots, or does not exist."""
    if like is None:
        return
    if not below(Path(like).resolve(), roots):
        raise InputError(f"like = {like}: {outside(roots)}", "like")
    for path in recordings(Path(like)):
        if not below(path.resolve(), roots):
            raise InputError(f"like = {path}: {outside(roots)}", "like")


@contextmanager
def open_recordings(
    like: str | None, spool: Spool, roots: Sequence[Path], on_step: StepHook, job: str
) -> Iterator[Recordings]:
    """The recordings that the knob `like` names, until the end of the block; none if it is None.

    Raises:
        InputError: it does not exist, is not audio, or lies outside the roots.
    """
    check_like(like, roots)
    opened: list[tuple[str, Clip]] = []
    with ExitStack() as stack:
        for number, path in enumerate([] if like is None else recordings(Path(like))):
            own = path.resolve()
            if not below(own, roots):
                raise InputError(f"like = {path}: {outside(roots)}", "like")
            link = spool.scratch(job, f"like{number}{own.suffix[:16]}")
            with blamed_on_like():
                clip = open_clip(
                    stack.enter_context(held_file(own, link)),
                    spool.folder / "scratch",
                    hook=lambda: on_step(Step("decode", 0, 1)),
                )
            stack.callback(clip.close)
            opened.append((path.name, clip))
        yield opened
