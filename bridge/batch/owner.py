"""Whose result a file is, by its sidecar: a watch folder replaces only its own results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.batch.plan import Item
from presets.printable import printable
from render.files.encode import file_digest
from render.files.sidecar import read_sidecar


def is_ours(item: Item) -> bool:
    """Whether the destination holds an unchanged result of this source, or of a source that is gone."""
    said = read_sidecar(item.out)
    try:
        if said is None or said["output"]["digest"] != file_digest(item.out):
            return False
    except (OSError, KeyError, TypeError):
        return False
    name = _source_name(said)
    same = printable(name) == printable(item.source.name)
    return same or not os.path.exists(item.source.parent / Path(name).name)


def rivals(outs: Mapping[Path, Path]) -> dict[Path, Path]:
    """For each source that would become the same result as another source, that other source.

    Args:
        outs: each source's destination. A source whose result already lies there keeps it and has no rival.
    """
    by_out: dict[Path, list[Path]] = {}
    for source, out in outs.items():
        by_out.setdefault(out, []).append(source)
    found = {}
    for out, sources in by_out.items():
        if len(sources) > 1:
            name = _source_name(read_sidecar(out))
            owner = next((source for source in sources if printable(source.name) == printable(name)), None)
            for source in sources:
                if source != owner:
                    found[source] = owner or next(other for other in sources if other != source)
    return found


def _source_name(said: dict[str, Any] | None) -> str:
    source = (said or {}).get("source")
    return str(source.get("name", "")) if isinstance(source, dict) else ""
