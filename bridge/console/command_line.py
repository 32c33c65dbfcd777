"""The command lines equivalent to the console's actions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.batch.manifest.tables import SUFFIXES


def render_command(
    source: str, out: str, preset: str, knobs: Mapping[str, Any], *, priority: int = 0, force: bool = False
) -> str:
    """`airband render` for a file."""
    how = ["--priority", priority] if priority else []
    return _line("render", source, "-o", out, *_preset(preset, knobs), *how, *(["--force"] if force else []))


def watch_command(folder: str, out: str, preset: str, knobs: Mapping[str, Any], *, recursive: bool) -> str:
    """`airband watch` for a folder."""
    return _line("watch", folder, "-o", out, *_preset(preset, knobs), *(["-r"] if recursive else []))


def batch_command(manifest: str, out: str, preset: str, knobs: Mapping[str, Any], *, recursive: bool) -> str:
    """`airband render` for a manifest or a folder."""
    what = ["--manifest", manifest] if is_manifest(manifest) else [manifest]
    return _line("render", *what, "-o", out, *_preset(preset, knobs), *(["-r"] if recursive else []))


def is_manifest(path: str) -> bool:
    """Whether a path has the suffix of a manifest."""
    return Path(path).suffix.lower() in SUFFIXES


def _preset(preset: str, knobs: Mapping[str, Any]) -> list[object]:
    words: list[object] = ["-p", preset]
    for name, value in knobs.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif value is not None:
            words.append(f"{flag}={value}")  # a value may begin with a dash
    return words


def _line(*words: object) -> str:
    return shlex.join(["airband", *map(str, words)])
