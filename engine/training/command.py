"""`airband train NAME --config FILE --data FOLDER`: what all trainers' commands have in common."""

from __future__ import annotations

import argparse
import glob
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import torch

from bridge.wire.lock import FileLock
from engine.training.card import write_card
from engine.training.corpus_config import CorpusConfig, packed
from engine.training.loop import CHECKPOINT, Run
from engine.training.processes import joined
from engine.training.task import Task, device_of
from presets.errors import UsageError

C = TypeVar("C", bound=CorpusConfig)

INTERRUPTED = 130
"""Exit code of a run that Ctrl-C ended, as shells give it."""
LOCK = "lock"
LOCK_WAIT_S = 15.0
"""How long a run waits for its folder: the processes that prepare examples outlive a killed trainer by some
seconds, and hold its lock."""


def parser_of(name: str, description: str, origin: str = "") -> argparse.ArgumentParser:
    """The options every trainer has, and `--from`, explained by `origin`, for those that have one."""
    parser = argparse.ArgumentParser(prog=f"airband train {name}", description=description)
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the run's configuration, TOML"
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="FOLDER|MANIFEST",
        help="what to train on, in place of the configuration's `corpus`; may be given again",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="the run's folder: checkpoint, log, trained model; by default the configuration's name, here",
    )
    if origin:
        parser.add_argument("--from", dest="origin", default="", metavar="MODEL|FILE", help=origin)
    return parser


def train(arguments: argparse.Namespace, kind: type[C], task_of: Callable[[C], Task]) -> int:
    """Reads the configuration, packs the corpus if that is not done yet, prints the cost, and trains.

    A run that is in the folder already goes on from its checkpoint. Under torchrun, every process calls this.

    Args:
        arguments: what `parser_of` parsed.
        kind: the type of the configuration.
        task_of: makes the trainer of a configuration whose corpus is packed.

    Returns:
        0, or 130 when Ctrl-C ended it.

    Raises:
        UsageError: a configuration that cannot be read or is not valid, or a folder in which another process
            trains.
    """
    config = read_config(arguments.config, kind)
    folder: Path = arguments.out or Path(arguments.config.stem)
    if arguments.data:
        config = msgspec.structs.replace(config, corpus=arguments.data)
    if getattr(arguments, "origin", ""):
        config = msgspec.structs.replace(config, origin=arguments.origin)
    if not config.pack:
        config = msgspec.structs.replace(config, pack=str(folder / "pack.i16"))
    torch.set_num_threads(config.threads)
    with joined(device_of(config).type == "cuda") as processes, ExitStack() as stack:
        if processes.first:
            stack.enter_context(_alone_in(folder))
            packed(config)
        processes.average([torch.zeros(1)])  # the others wait for the pack
        run = Run(task_of(config), folder, processes)
        if processes.first:
            _print_cost(run)
        else:
            run.rehearse()
        run.train()
        if processes.first:
            write_card(run, config, folder / "card.md")
    if run.stopped and processes.first:
        print(f"stopped after step {run.step}; the same command goes on from there", file=sys.stderr)
    return INTERRUPTED if run.stopped else 0


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Locks a run's folder for this process: two would overwrite each other's checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    if not lock.acquire(LOCK_WAIT_S):
        raise UsageError(
            f"another process trains in {folder}; stop it (Ctrl-C leaves a checkpoint) and run this again to "
            "go on from there, or give --out another folder",
            "out",
        )
    try:
        yield
    finally:
        lock.release()


def read_config(path: Path, kind: type[C]) -> C:
    """A configuration from a TOML file; UsageError names what is wrong with it."""
    try:
        if path.exists() and not path.is_file():  # a named pipe would be waited on
            raise UsageError(f"{path}: is not a file", "config")
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        shipped = next(Path(__file__).parent.rglob(glob.escape(path.name)), None)
        hint = f"; the one that ships is {shipped}: copy it, or give that path" if shipped else ""
        raise UsageError(f"{path}: no such file{hint}", "config") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "config") from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, lists in lists in lists
        raise UsageError(f"{path}: {error}", "config") from None


def _print_cost(run: Run) -> None:
    """Prints what the run costs, measured by a step that is then discarded."""
    schedule = run.schedule
    if run.step >= schedule.steps:
        print(f"{run.folder / CHECKPOINT}: all {schedule.steps} steps are done", file=sys.stderr)
        return
    seconds = run.rehearse()
    if run.device.type == "cuda":
        gigabytes = torch.cuda.max_memory_allocated() / 1e9
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    for name, network in run.networks.items():
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        print(f"{name}: {millions:.2f} M parameters", file=sys.stderr)
    left = schedule.steps - run.step
    where = f"from step {run.step}, " if run.step else ""
    print(
        f"{where}{left} steps of {seconds:.2f} s on {run.device}: about {left * seconds / 3600:.1f} hours "
        f"and {gigabytes:.1f} GB of memory; {run.folder / 'log.csv'} shows how it goes, Ctrl-C stops it "
        "with a checkpoint",
        file=sys.stderr,
    )
