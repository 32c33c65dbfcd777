"""The card of a trained model: what it is, what it learnt from, under which licences, and what it reached."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.training.corpus_config import CorpusConfig, lengths
from engine.training.loop import Run


def write_card(run: Run, config: CorpusConfig, path: Path) -> None:
    """Writes the card of a run as it stands, Markdown."""
    lines = [f"# {path.parent.name}", ""]
    for name, network in run.networks.items():
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        lines.append(f"- {name}: {millions:.2f} M parameters" + (", kept" if name in run.means else ""))
    spent = f"{run.task.hours:.2f} hours"
    lines += [f"- {run.step} of {config.steps} steps of {config.batch} examples on {run.device}, {spent}", ""]
    lines += ["## Data", ""]
    minutes = lengths(Path(config.pack))
    lines += [
        ", ".join(f"{domain or 'all'} {count:.0f} min" for domain, count in sorted(minutes.items())),
        "",
    ]
    lines += _licences([Path(root) for root in config.corpus])
    lines += ["", "## Figures", ""]
    lines += _table(run.folder / "log.csv")
    lines += ["", "## Configuration", "", "```json"]
    lines.append(msgspec.json.format(msgspec.json.encode(config), indent=1).decode())
    path.write_text("\n".join([*lines, "```", ""]))


def _licences(corpus: Sequence[Path]) -> list[str]:
    """A table of packages where manifests name them; folders are only named, for their licences are not
    known."""
    packages: dict[tuple[str, str], float] = defaultdict(float)
    folders = [root for root in corpus if root.suffix != ".csv"]
    for root in corpus:
        if root.suffix == ".csv" and root.is_file():
            with root.open(newline="") as file:
                for row in csv.DictReader(file):
                    key = row.get("package", root.stem), row.get("licence", "not stated")
                    packages[key] += float(row.get("seconds") or 0) / 60
    rows = [f"| {name} | {licence} | {count:.1f} |" for (name, licence), count in sorted(packages.items())]
    table = ["| package | licence | minutes |", "|---|---|---|", *rows] if rows else []
    return [*table, *(f"- {root.name}: a folder; its licence is not stated" for root in folders)]


def _table(log: Path) -> list[str]:
    """The held-out losses, every line of them."""
    if not log.exists():
        return ["none yet"]
    with log.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    held_out = [row for row in rows if row[0] == "held-out"]
    if not held_out:
        return ["no validation yet"]
    return [f"| {' | '.join(header[1:])} |", "|---" * (len(header) - 1) + "|"] + [
        f"| {' | '.join(row[1:])} |" for row in held_out
    ]
