"""`python -m engine COMMAND ...`: the engine's own commands.

Each command is a module with `main(argv) -> int`, imported only when needed, since some load torch.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from bridge.loading import uncollected
from bridge.wire.streams import open_closed_streams
from presets.errors import AirbandError, Cancelled, OutputError, UsageError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("engine.serve", "run an engine until it is told to stop"),
    "models": ("engine.models.command", "list the models and get their weights"),
    "parity": ("engine.bench.parity", "replay the official code's results and compare"),
    "train predictor": ("engine.training.draft.predictor", "train the predictor of draft"),
    "train vae": ("engine.training.audiosr.vae", "train the autoencoder of AudioSR"),
    "train diffusion": ("engine.training.audiosr.diffusion", "train or fine-tune AudioSR's diffusion"),
    "train vocoder": ("engine.training.audiosr.vocoder", "train a vocoder for AudioSR"),
    "train nvsr": ("engine.training.nvsr", "train a mel predictor of NVSR, a baseline"),
    "train nuwave": ("engine.training.nuwave", "train NuWave, a baseline"),
    "farm": ("engine.farm.command", "render a manifest on a Ray cluster"),
    "farm bundle": ("engine.farm.bundle", "write a manifest as a job for a render farm"),
    "bench audiosr": ("engine.bench.audiosr", "measure what AudioSR costs, stage by stage"),
    "bench draft": ("engine.bench.draft", "measure a render by draft, through an engine and by stages"),
    "bench gt-mel": ("engine.bench.gt_mel", "render a true mel spectrogram, an upper bound for models"),
    "bench phase": ("engine.bench.phase", "compare phase retrieval with HiFi-GAN on one spectrogram"),
    "bench scale": ("engine.bench.scale", "show how cost grows with length, rate, jobs, clients, files"),
    "bench start": ("engine.bench.start", "measure the command with and without a running engine"),
    "bench wire": ("engine.bench.wire", "measure what the engine and the wire cost"),
}
"""Command -> (module, what it does)."""


def main(argv: Sequence[str]) -> int:
    """Runs one command; returns its exit code, or that of the error it raised."""
    open_closed_streams()
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else UsageError.exit_code
    # Threads that spin while waiting cost `draft` eight times its CPU seconds on two busy cores, and take the
    # core from the process that prepares training examples. libgomp reads this variable once, when torch
    # loads it; an engine's workers inherit it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # NumPy's products are small here: a second thread mostly spins, for a third more CPU seconds.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        for words in (2, 1):
            command = COMMANDS.get(" ".join(argv[:words]))
            if command is not None:
                with uncollected():
                    module = import_module(command[0])
                code = int(module.main(list(argv[words:])))
                if sys.stdout is not None:
                    sys.stdout.flush()
                return code
        group = f"{argv[0]} "
        if not any(name.startswith(group) for name in COMMANDS):
            group = ""
        if group and argv[1:2] in (["-h"], ["--help"]):
            print(usage(group))
            return 0
        if group and len(argv) == 1:
            raise UsageError(f"{argv[0]}: one of its commands must follow\n{usage(group)}")
        raise UsageError(f"unknown command {' '.join(argv[: 2 if group else 1])!r}\n{usage(group)}")
    except AirbandError as error:
        print(f"airband: {error.message}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno in CLOSED and error.filename is not None:
            print(f"airband: {error.filename}: {error.strerror}; choose another place", file=sys.stderr)
            return OutputError.exit_code
        if error.errno not in (errno.EPIPE, *NO_ROOM) or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # flushing the rest would fail again
        if error.errno == errno.EPIPE:  # `| head` has read enough
            return 1
        print("airband: no room on disk for its output", file=sys.stderr)
        return OutputError.exit_code
    except KeyboardInterrupt:  # while loading, or before there is anything to clean up
        return Cancelled.exit_code


def usage(group: str = "") -> str:
    """The list of commands whose names begin with `group`, one per line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items() if name.startswith(group)]
    program = "airband" if group == "train " else "python -m engine"
    return "\n".join([f"usage: {program} {group}COMMAND ...", "", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
