"""`airband farm --manifest FILE -o OUT`: renders a batch on a Ray cluster, or on this machine through Ray."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, redirect_stdout
from itertools import chain
from pathlib import Path
from typing import TextIO

import presets
from bridge.batch.manifest.rows import plan_rows, read
from bridge.batch.plan import Item
from bridge.batch.results import Results, compared, described, line, summary
from bridge.batch.run import Event
from bridge.batch.takes import judged
from bridge.client.request import label
from engine.farm.driver import Pool, farm
from presets.errors import AirbandError, Cancelled


def main(argv: Sequence[str]) -> int:
    """Renders the manifest; returns 0, or the exit code that all failures share, or else 1."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    preset, name = presets.load(arguments.preset), label(arguments.preset)
    rows = read(arguments.manifest, preset, name, {}, arguments.takes)
    planned, refused = plan_rows(rows, arguments.out)
    pairs = [(_absolute(item), row) for item, row in planned]
    pool = Pool(arguments.address, arguments.workers, arguments.gpus_per_worker)
    counts: Counter[str] = Counter()
    codes: set[int] = set()
    began_s = time.monotonic()
    with ExitStack() as stack:
        results = stack.enter_context(Results(arguments.results or _results_in(arguments.out)))
        shown = _Shown(sys.stdout, len(pairs) + len(refused), as_json=arguments.json)
        stack.enter_context(redirect_stdout(sys.stderr))  # where Ray prints about workers that die
        running = farm(pairs, pool, force=arguments.force)
        events = stack.enter_context(closing(judged(running, [item for item, _ in pairs])))
        try:
            for event in chain((Event(item, "failed", error=error) for item, error in refused), events):
                counts[event.what] += 1
                codes |= {event.error.exit_code} if event.error is not None else set()
                shown.show(event)
                results.add(event)
        except KeyboardInterrupt:
            raise Cancelled("cancelled; finished files stay, the same command continues") from None
        finally:
            shown.end(counts, time.monotonic() - began_s)
    return codes.pop() if len(codes) == 1 else (AirbandError.exit_code if codes else 0)


class _Shown:
    """Prints events as lines, or as one JSON object each.

    Args:
        file: to print to.
        total: number of items in the batch.
        as_json: print JSON, for scripts.
    """

    def __init__(self, file: TextIO, total: int, *, as_json: bool) -> None:
        self._file, self._total, self._as_json = file, total, as_json
        self._over, self._explained = 0, False

    def show(self, event: Event) -> None:
        for text in self._lines(event):
            print(text, file=self._file, flush=True)

    def _lines(self, event: Event) -> Iterator[str]:
        if self._as_json:
            yield json.dumps(line(event))
        elif event.judged is not None:
            yield from compared(event, explained=self._explained)
            self._explained |= event.judged.is_measured
        else:
            self._over += 1
            yield f"[{self._over}/{self._total}] {described(event)}"

    def end(self, counts: Counter[str], seconds: float) -> None:
        if self._as_json:
            told = {what: counts[what] for what in ("done", "skipped", "failed")}
            said = json.dumps({"what": "end", **told, "seconds": round(seconds, 3)})
        else:
            said = summary(counts, self._total, seconds)
        print(said, file=self._file, flush=True)


def _absolute(item: Item) -> Item:
    """The item with absolute paths."""
    take = item.take
    if take is not None:
        take = take._replace(clip=Path(os.path.abspath(take.clip)))
    return Item(Path(os.path.abspath(item.source)), Path(os.path.abspath(item.out)), take)


def _results_in(out: str) -> Path:
    """The default results file of a batch: in its output folder, above the fields of a template."""
    folder = Path(out.partition("{")[0])
    return (folder if out == str(folder) else folder.parent) / "results.jsonl"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="airband farm",
        description="Render a manifest on a Ray cluster, whose machines must see the files by the same paths "
        "and have Airband installed. The same command continues after any kill.",
        epilog="`airband farm bundle` writes the same batch as a job for render farms without Ray.",
    )
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE", help=".csv, .jsonl or .yaml")
    parser.add_argument(
        "-o", "--out", required=True, help="a folder, or a template such as 'out/{stem}{ext}'"
    )
    parser.add_argument("-p", "--preset", default="music", metavar="NAME", help="for rows that name none")
    parser.add_argument("--takes", type=int, default=1, metavar="N", help="seeds per clip; marks the best")
    parser.add_argument(
        "--address",
        help="of the cluster; `auto` for the one this machine belongs to (default: this machine alone)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="at most N workers (default: all that fit)")
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="G",
        help="GPUs per worker, also fractions (default: 1 if the cluster has any, else none and a CPU each)",
    )
    parser.add_argument("--results", type=Path, metavar="FILE", help="default: results.jsonl in OUT")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line, for scripts")
    return parser
