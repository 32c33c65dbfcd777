"""Native effects that get a whole clip at once, in a process of their own: `python -m render.effects.whole`.

A call of Pedalboard's cannot be interrupted, and PitchShift takes minutes over an hour of sound; a process
can be killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import numpy as np

from presets.chains import Effect
from presets.errors import AirbandError, OutputError, RenderError, error_class
from render.clip import Clip, PcmClip
from render.effects.native import CHUNK_FRAMES, native, process
from render.waiting import wait_for

AT_ONCE_S = 4.0
"""Up to this many seconds of one channel are not worth a process, which takes half a second to start: the
slowest effect processes them in a third of a second."""


class Refusal(msgspec.Struct):
    """Why the process made nothing."""

    code: str
    message: str
    field: str | None


def process_apart(
    effects: Sequence[Effect], clip: Clip, frames: int, made: Path, hook: Callable[[], None]
) -> PcmClip:
    """Applies native effects to a whole clip, in a process of its own.

    Args:
        effects: one after the other.
        clip: read once, in order.
        frames: the length of the result; silence follows the clip.
        made: the file of the result. Until it is done a file of that size lies beside it, unless the
            clip is in such a file already.
        hook: called often; ends the process by raising.

    Raises:
        UsageError: an effect refuses the rate or the channels.
        RenderError: the process died.
        OutputError: no room for the files.
    """
    with ExitStack() as stack:
        heard = clip.path if isinstance(clip, PcmClip) else stack.enter_context(_written(clip, made, hook))
        chain = msgspec.json.encode(list(effects)).decode()
        facts = map(str, (heard, made, clip.rate, clip.channels, frames))
        home = str(Path(__file__).parents[2])
        child = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "render.effects.whole", chain, *facts],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([home, *filter(None, sys.path)])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
        thread = stack.enter_context(ThreadPoolExecutor(1, "airband-whole"))
        stack.callback(child.kill)
        said = wait_for(cast(BinaryIO, child.stdout).read, thread, hook)
        if child.wait() == 0:
            return PcmClip(made, clip.rate, clip.channels)
    if said:
        refusal = msgspec.json.decode(said, type=Refusal)
        raise error_class(refusal.code)(refusal.message, refusal.field)
    names = ", ".join(str(effect.name) for effect in effects)
    raise RenderError(
        f"{names}: the process at work on the whole clip ended with code {child.returncode}, perhaps for "
        "lack of memory; render a shorter selection, or leave the effect out",
        "effects",
    )


@contextmanager
def _written(clip: Clip, made: Path, hook: Callable[[], None]) -> Iterator[Path]:
    """A clip as a file of interleaved float32, until the end of the block."""
    heard = made.with_name(f"{made.name}.heard")
    try:
        with heard.open("wb") as file:
            for start in range(0, clip.frames, CHUNK_FRAMES):
                piece = clip.read(start, min(CHUNK_FRAMES, clip.frames - start))
                file.write(np.ascontiguousarray(piece.T, "<f4").data)
                hook()
        yield heard
    finally:
        heard.unlink(missing_ok=True)


def main(chain: str, heard: str, made: str, rate: str, channels: str, frames: str) -> int:
    """Processes the file `heard` of interleaved little-endian float32 into `made`; `chain` is JSON."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    from pedalboard import Pedalboard

    effects = msgspec.json.decode(chain, type=list[Effect])
    try:
        samples = np.zeros((int(channels), int(frames)), np.float32)
        clip = np.fromfile(heard, "<f4").reshape(-1, int(channels)).T
        samples[:, : clip.shape[1]] = clip
        board = Pedalboard([native(effect, float(rate)) for effect in effects])
        out = process(board, samples, float(rate), reset=True)[:, : int(frames)]
        np.ascontiguousarray(out.T, "<f4").tofile(made)
    except AirbandError as error:
        return _refused(error)
    except OSError as error:
        reason = error.strerror or "a short write"
        return _refused(OutputError(f"{made} cannot be written: {reason}; make room", "spool"))
    return 0


def _refused(error: AirbandError) -> int:
    sys.stdout.buffer.write(msgspec.json.encode(Refusal(error.code, error.message, error.field)))
    sys.stdout.flush()
    return error.exit_code


def _leave_with_parent() -> None:
    os.read(0, 1)  # past Python's buffer, whose lock must be free when the interpreter ends
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
