"""The table of AudioSR's paper (Liu et al. 2023, Table 1) for the models on this machine: its rows, and its
Markdown.

A row without weights on this machine stays in the table and says so. Every row states its model's training
time.
"""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.evaluation.rows import FORMATS, Row, summary
from bridge.evaluation.systems import UNPROCESSED, label
from presets.errors import EngineError
from render.measure import perceptual

CUTOFFS_HZ = (4000.0, 8000.0, 12000.0, 16000.0)

TRAINED = {
    "nvsr-dnn": "NVSR-DNN",
    "nvsr-resunet": "NVSR-ResUNet",
    "nuwave-": "NuWave",
    "audiosr-mini": "AudioSR-mini",
    "audiosr-basic": "AudioSR",
    "audiosr-speech": "AudioSR-Speech",
}
"""How the names of the paper's models begin in `airband models`, and their titles in the paper."""

KNOBS = {"nuwave-": ":steps=8"}
"""Knobs that a family renders with instead of the defaults: a step of NuWave costs as much as a whole clip of
the other models, and NuWave has 8 steps."""

NO_WEIGHTS = "no weights here"
NOT_TOLD = "not told"
GT_MEL = f"{shlex.quote(sys.executable)} -P -m engine bench gt-mel {{lines}}"
LISTING_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A row of the table.

    Attributes:
        label: its name in the table.
        system: renders it, see `bridge.evaluation.systems.opened`; empty if its weights are missing.
        hours: of training, as text.
    """

    label: str
    system: str
    hours: str


def models_here() -> list[dict[str, Any]]:
    """Every model, as `airband models list --json` describes it.

    Raises:
        EngineError: the listing fails.
    """
    command = [sys.executable, "-P", "-m", "engine", "models", "list", "--json"]
    try:
        listing = subprocess.run(
            command, capture_output=True, text=True, timeout=LISTING_TIMEOUT_S, check=True
        )
        listed: list[dict[str, Any]] = json.loads(listing.stdout)
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        raise EngineError(f"the models cannot be listed: {error}; see `airband doctor`") from None
    return listed


def paper_rows(models: Sequence[dict[str, Any]], peers: Sequence[str]) -> list[PaperRow]:
    """The rows of the table, in the paper's order, then `draft` and its peers.

    Args:
        models: see `models_here`.
        peers: further systems.
    """
    ready = {model["name"]: model for model in models if model["ready"]}
    rows = [
        PaperRow("Unprocessed", UNPROCESSED, "none"),
        PaperRow("GT-Mel, phase retrieval", f"gt-mel={GT_MEL}", "none"),
    ]
    with_vocoder = [name for name, model in ready.items() if model["vocoder"]]
    rows += [
        PaperRow(
            f"GT-Mel, vocoder of {name}", f"gt-mel-{name}={GT_MEL} --vocoder {name}", _hours(ready[name])
        )
        for name in with_vocoder
    ]
    if not with_vocoder:
        rows.append(PaperRow("GT-Mel, vocoder", "", NO_WEIGHTS))
    for start, title in TRAINED.items():
        found = sorted(name for name in ready if name.startswith(start))
        knobs = KNOBS.get(start, "")
        rows += [PaperRow(f"{title} ({name})", name + knobs, _hours(ready[name])) for name in found]
        if not found:
            rows.append(PaperRow(title, "", NO_WEIGHTS))
    rows.append(PaperRow("draft", "draft", _hours(ready["draft"])))
    return rows + [PaperRow(label(peer), peer, NOT_TOLD) for peer in peers]


def _hours(model: dict[str, Any]) -> str:
    return NOT_TOLD if model["hours"] is None else f"{model['hours']:.2f}"


def markdown(rows: Sequence[PaperRow], measured: Sequence[Row]) -> str:
    """One table per domain, with every row at every cut-off: means of the figures, but for the null the worst
    clip.

    Args:
        rows: of the table.
        measured: the rows that `evaluate` measured of their systems.
    """
    absent = perceptual.missing()
    names = [name for name in FORMATS if name not in absent]
    lines = summary(measured)
    text = []
    for domain in dict.fromkeys(line["domain"] for line in lines):
        text += [f"### {str(domain).capitalize()}", ""]
        heads = ["system", "hours trained", "cut at", *(f"`{name}`" for name in names)]
        text += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for row in rows:
            found = [line for line in lines if line["system"] == row.system and line["domain"] == domain]
            for line in found:
                figures = [_figure(line[name], FORMATS[name]) for name in names]
                at = f"{float(line['cutoff_hz']) / 1000:g} kHz"
                text.append(f"| {' | '.join([row.label, row.hours, at, *figures])} |")
            if not found:
                blank = ["-"] * (1 + len(names))
                text.append(f"| {' | '.join([row.label, row.hours, *blank])} |")
        text.append("")
    return "\n".join(text)


def _figure(value: str | float, form: str) -> str:
    return "-" if isinstance(value, float) and math.isnan(value) else form.format(value)
