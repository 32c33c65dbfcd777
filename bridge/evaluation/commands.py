"""External commands as systems of an evaluation: started for every clip, or once for all clips."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bridge.evaluation.given import Given
from presets.errors import OutputError, RenderError, UsageError
from presets.schema import RATE_HZ
from render.clip import open_clip
from render.measure.metrics import Signal

TIMEOUT_S = 600.0
NAMES = ("in", "full", "out")
LINES = "{lines}"
"""A command with this placeholder is started once. It gets `-` in its place, reads one line per clip with the
paths of {in}, {full} and {out}, separated by tabs, and answers with a line when {out} is written."""

Rendering = Callable[[Given], tuple[Signal, float]]


def command(words: Sequence[str], stack: ExitStack) -> Rendering:
    """Returns a function that renders with a command: (frames,) at 48 kHz, and the seconds it took.

    Args:
        words: the command, with {in}, {out} and optionally {full}, or with {lines} alone.
        stack: ends a command that stays.

    Raises:
        UsageError: the command lacks these placeholders.
    """
    if LINES in words:
        return _Persistent([word.replace(LINES, "-") for word in words], stack).render
    if not any("{in}" in word for word in words) or not any("{out}" in word for word in words):
        raise UsageError(
            f"system {' '.join(words)!r}: a command names its files {{in}} and {{out}}, or takes {LINES}",
            "system",
        )
    wants_full = any("{full}" in word for word in words)

    def render(given: Given) -> tuple[Signal, float]:
        with _files(given, wants_full) as files:
            arguments = list(words)
            for name, path in files.items():
                arguments = [word.replace(f"{{{name}}}", str(path)) for word in arguments]
            begin = time.perf_counter()
            try:
                done = subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT_S)
            except OSError as error:
                raise RenderError(f"{words[0]}: cannot be run: {error.strerror}", "system") from None
            except subprocess.TimeoutExpired:
                raise RenderError(f"{words[0]}: not done after {TIMEOUT_S:g} s", "system") from None
            seconds = time.perf_counter() - begin
            if done.returncode:
                raise RenderError(f"{words[0]}: exit code {done.returncode}: {_last(done.stderr)}", "system")
            return _read(words[0], files["out"]), seconds

    return render


class _Persistent:
    """A command that is started at the first clip, and reads each clip's paths from a line."""

    def __init__(self, words: Sequence[str], stack: ExitStack) -> None:
        self._words, self._stack = words, stack
        self._process: subprocess.Popen[str] | None = None
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # the stack closes it
        stack.enter_context(self._said)

    def render(self, given: Given) -> tuple[Signal, float]:
        """See `command`; the first clip's seconds include the start of the command."""
        with _files(given, True) as files:
            begin = time.perf_counter()
            process = self._process = self._process or self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            late = threading.Timer(TIMEOUT_S, process.kill)
            late.start()
            try:
                process.stdin.write("\t".join(str(files[name]) for name in NAMES) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            finally:
                late.cancel()
            if not answer:
                code = process.wait()
                self._said.seek(0)
                raise RenderError(f"{self._words[0]}: exit code {code}: {_last(self._said.read())}", "system")
            return _read(self._words[0], files["out"]), time.perf_counter() - begin

    def _started(self) -> subprocess.Popen[str]:
        try:
            process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True
            )
        except OSError as error:
            raise RenderError(f"{self._words[0]}: cannot be run: {error.strerror}", "system") from None
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@contextmanager
def _files(given: Given, wants_full: bool) -> Iterator[dict[str, Path]]:
    """The paths of a clip's files; writes {in}, and {full} if wanted."""
    import soundfile

    with tempfile.TemporaryDirectory(prefix="airband-eval-") as folder:
        files = {name: Path(folder, f"{name}.wav") for name in NAMES}
        try:
            soundfile.write(files["in"], given.samples, given.rate, subtype="FLOAT")
            if wants_full:
                soundfile.write(files["full"], given.full, RATE_HZ, subtype="FLOAT")
        except (OSError, soundfile.SoundFileError) as error:
            raise OutputError(
                f"{folder}: cannot be written: {error}; TMPDIR=FOLDER in the environment takes another disk",
                "system",
            ) from None
        yield files


def _read(name: str, out: Path) -> Signal:
    if not out.exists():
        raise RenderError(f"{name}: ended well but wrote no {{out}}", "system")
    with open_clip(out) as clip:
        if clip.rate != RATE_HZ:
            raise RenderError(f"{name}: wrote {clip.rate} Hz; it must write 48000 Hz", "system")
        mono: Signal = clip.read(0, clip.frames).mean(axis=0)
        return mono


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["it said nothing"])[-1]
