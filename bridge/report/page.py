"""The page: one self-contained HTML file that opens from disk without a network."""

from __future__ import annotations

import json
import os
import string
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from bridge.batch.run import Event
from bridge.report.comparison import compare, figures
from bridge.report.excerpt import excerpt
from bridge.report.media import sound
from presets.errors import AirbandError
from presets.report import RenderReport
from presets.schema import RATE_HZ
from render.files.parts import write_whole
from render.files.sidecar import sidecar_path
from render.measure.takes import USUAL, TakeFigures

EMBEDDED_BYTES = 2_800_000
"""Limit for the sounds and pictures in a page; clips beyond it appear only in its table, with a link."""
COLUMNS: tuple[dict[str, Any], ...] = (
    {"key": "source", "name": "source"},
    {"key": "out", "name": "result"},
    {"key": "take", "name": "take"},
    {"key": "state", "name": "state"},
    {"key": "cutoff_hz", "name": "cut-off, Hz", "number": True, "digits": 0},
    {"key": "work_s", "name": "work, s", "number": True, "digits": 2},
    {"key": "what", "name": "what was found"},
)


def write(page: Path, events: Sequence[Event], *, title: str) -> None:
    """Writes the page of a batch; replaces an earlier one.

    Args:
        page: the HTML file.
        events: the outcome of each item.
        title: the heading.

    Raises:
        OutputError: it cannot be written.
    """
    text = filled(
        title,
        contents(events, page.parent),
        style=f"<style>\n{_file('page.css') + _file('player.css')}\n</style>",
        script=f"<script>\n{_file('player.js') + _file('page.js')}\n</script>",
    )
    write_whole(page, text.encode())


def contents(events: Sequence[Event], folder: Path) -> dict[str, Any]:
    """The content of a batch's page: its summary, a card per clip as far as there is room, and all files.

    Failed items come first in the table.

    Args:
        events: the outcome of each item.
        folder: links to results are relative to it.
    """
    counts = Counter(event.what for event in events)
    rows, clips, room = [], [], EMBEDDED_BYTES
    for event in events:
        if event.judged is not None:  # the verdict on takes is in their sidecars
            continue
        said = _sidecar(event)
        rows.append(_row(event, said, folder))
        if said is not None and room > 0:
            try:
                clip = _clip(event, said)
            except AirbandError as error:
                rows[-1]["what"] += f"; cannot be shown: {error.message}"
                continue
            size = len(json.dumps(clip))
            if size <= room:
                clips.append(clip)
            room -= size
    shown = f"; {len(clips)} to hear below" if clips else ""
    summary = f"{counts['done']} rendered, {counts['skipped']} done already, {counts['failed']} failed{shown}"
    rows.sort(key=lambda row: row["state"] != "failed")
    takes = any(row["take"] for row in rows)
    columns = [column for column in COLUMNS if takes or column["key"] != "take"]
    return {"summary": summary, "clips": clips, "columns": columns, "rows": rows}


def filled(title: str, shown: dict[str, Any], *, style: str, script: str) -> str:
    """The page's HTML.

    Args:
        title: the heading.
        shown: the result of `contents`.
        style, script: the HTML elements that hold or reference them.
    """
    return string.Template(_file("page.html")).substitute(
        title=_text(title).replace("&", "&amp;").replace("<", "&lt;"),
        style=style,
        script=script,
        data=json.dumps(shown).replace("<", "\\u003c"),  # so that no name can end the script element
    )


def _sidecar(event: Event) -> dict[str, Any] | None:
    """The sidecar of an item's result, or None."""
    if event.what == "failed":
        return None
    try:
        said: dict[str, Any] = json.loads(sidecar_path(event.item.out).read_bytes())
    except (OSError, ValueError):
        return None
    return said


def _row(event: Event, said: dict[str, Any] | None, folder: Path) -> dict[str, Any]:
    rendered = (said or {}).get("render", {})
    out = os.path.relpath(event.item.out, folder)
    return {
        "source": _text(os.fspath(event.item.source)),
        "out": _text(os.fspath(event.item.out)),
        "link": quote(Path(out).as_posix(), errors="surrogateescape") if said else None,
        "take": _take(said),
        "state": {"done": "rendered", "skipped": "done already"}.get(event.what, event.what),
        "cutoff_hz": rendered.get("cutoff_hz"),
        "work_s": event.seconds if event.what == "done" else None,
        "what": _text(str(event.error) if event.error else rendered.get("cutoff_reason", "")),
    }


def _clip(event: Event, said: dict[str, Any]) -> dict[str, Any]:
    """A clip's card: three sounds at one level, their pictures on one colour scale, and the figures."""
    report = msgspec.convert(said["render"], RenderReport)
    how = {name: said["preset"][name] for name in ("stream", "accept_truncated")}
    heard = excerpt(event.item.source, event.item.out, report, **how)
    compared = compare(heard)
    work = f"{event.seconds:.1f} s" if event.what == "done" else "done before"
    return {
        "name": _text(event.item.out.name),
        "why": "; take ".join(filter(None, [report.cutoff_reason, _take(said)])),
        "cutoff_hz": report.cutoff_hz,
        "duration": heard.before.shape[1] / RATE_HZ,
        "versions": [
            {"key": key, "label": label, "sound": sound(samples), "picture": image, "gain": gain}
            for key, label, samples, image, gain in compared.versions
        ],
        "figures": [*figures(report, heard, compared.lufs, work), *_take_figures(said)],
        "settings": json.dumps(
            {name: said[name] for name in ("preset", "model", "source", "output")}, indent=1
        ),
    }


def _take(said: dict[str, Any] | None) -> str | None:
    """Which take a result is; for the best one, also why."""
    take = (said or {}).get("take")
    if take is None:
        return None
    best = f", the best: {take['why']}" if take["best"] else ""
    return f"{take['number']} of {take['of']}{best}"


def _take_figures(said: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures by which a take was judged, each with its meaning."""
    take = said.get("take")
    if take is None:
        return []
    distance = f"{take['distance']:.2f} standard deviations from what is usual and expected"
    told = [("take", f"{take['number']} of {take['of']}: {distance}")]
    found = msgspec.convert(take["figures"], TakeFigures)
    for name, usual in USUAL.items():
        if (value := getattr(found, name)) is not None:
            have = f"recordings like this {found.usual(name):.2f} ± {usual.deviation:.2g}"
            figure = f"{value:.2f} {usual.unit}".rstrip()
            told.append((usual.name, f"{figure}: {usual.meaning}; {have}"))
    return told


def _text(name: str) -> str:
    """A name as a page can hold it: bytes that are not UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _file(name: str) -> str:
    return (resources.files("bridge.report") / name).read_text(encoding="utf-8")
