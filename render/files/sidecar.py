"""The sidecar of a stem, `<name>.airband.json`: what the stem is, and how a finished one is recognised."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from presets.report import RenderReport, plain
from presets.schema import KNOBS, Preset
from presets.version import VERSION
from render.files.encode import Encoded, file_digest
from render.files.recordings import recordings_digest

SUFFIX = ".airband.json"
SIDECAR_BYTES_MAX = 16 * 1024**2
NAME_BYTES = 143
"""A name of up to this length fits on every file system in use; eCryptfs allows the least."""


@dataclass(frozen=True, slots=True)
class StemRecord:
    """What a stem is: the sidecar's content, save for the output itself.

    Attributes:
        source_name: the source's file name, or "" for an array.
        preset_name, preset: the preset's name, and the preset with `model` as it was asked for.
        report: the render's report, with the source's digest, the model that was chosen and its weights.
    """

    source_name: str
    preset_name: str
    preset: Preset
    report: RenderReport

    @property
    def key(self) -> str:
        """See `render_key`."""
        source_digest, preset, model, model_digest = self.origin
        return render_key(source_digest(), preset, model, model_digest)

    @property
    def origin(self) -> tuple[Callable[[], str], Preset, str, str]:
        """What it was made from: the last arguments of `find_result`."""
        report = self.report
        return lambda: report.source_digest, self.preset, report.model, report.weights_digest


def render_key(source_digest: str, preset: Preset, model: str, model_digest: str) -> str:
    """The key of a result: equal keys mean equal stems.

    It is blake2b-256 over the source's digest, every knob, the model that was chosen, its weights and the
    version of Airband. The preset's description does not count, nor does its `model`, which may be `auto`;
    the recordings of `like` count by their bytes, not by their path.

    Raises:
        InputError: the recordings are not there.
    """
    knobs = msgspec.structs.replace(preset, description="", model=model, like=None)
    parts = [VERSION, source_digest, model_digest, msgspec.json.encode(knobs, order="deterministic").decode()]
    if preset.like is not None:
        parts.append(recordings_digest(preset.like))
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=32).hexdigest()


def sidecar_path(out: Path) -> Path:
    """`kick.wav` -> `kick.wav.airband.json`, in the same folder (see `with_ending`)."""
    return with_ending(out, SUFFIX)


def with_ending(path: Path, ending: str) -> Path:
    """`kick.wav` -> `kick.wav` and the ending, in the same folder.

    A name that would be too long for the file system keeps its beginning; a digest of the whole name takes
    the place of the rest.
    """
    name = os.fsencode(path.name)
    if len(name) + len(ending) <= NAME_BYTES or len(name) + len(ending) <= name_bytes(path.parent):
        return path.with_name(path.name + ending)
    ending = f"~{hashlib.blake2b(name, digest_size=8).hexdigest()}{ending}"
    room = name_bytes(path.parent) - len(ending)
    return path.with_name(name[:room].decode(errors="ignore") + ending)


def name_bytes(folder: Path) -> int:
    """How long a name in `folder` may be, in bytes."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows; a folder that is not there yet
        return 255


class DoneStem(NamedTuple):
    """A finished stem, as its sidecar describes it."""

    digest: str
    nbytes: int
    report: RenderReport


def read_sidecar(out: Path) -> dict[str, Any] | None:
    """The content of the sidecar of `out`; None where there is none, or `out` itself is no file."""
    return parsed(sidecar_path(out)) if os.path.isfile(out) else None


def parsed(path: Path) -> dict[str, Any] | None:
    """The content of a sidecar's file; None where there is none, or it holds something else."""
    if not path.is_file():  # a named pipe would be waited on
        return None
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(SIDECAR_BYTES_MAX))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def written(said: dict[str, Any]) -> bytes:
    """A sidecar's content as the bytes of its file."""
    try:
        text = msgspec.json.format(msgspec.json.encode(said), indent=1)
    except UnicodeEncodeError:  # a name with bytes that are not UTF-8
        text = json.dumps(said, indent=1).encode()
    return text + b"\n"


def find_done(out: Path, key: str) -> DoneStem | None:
    """The stem at `out` if its sidecar has this key, and the file the digest that the sidecar gives."""
    said = read_sidecar(out)
    if said is None:
        return None
    try:
        output = said["output"]
        done = DoneStem(output["digest"], output["bytes"], msgspec.convert(said["render"], RenderReport))
        return done if said["key"] == key and done.digest == file_digest(out) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_result(
    out: Path, source_digest: Callable[[], str], preset: Preset, model: str, model_digest: str
) -> DoneStem | None:
    """The stem at `out` if it is the result of this very render of this very source.

    Args:
        out: the destination.
        source_digest: gives blake2b-256 of the source's bytes; asked only where there is a sidecar.
        preset, model, model_digest: as for `render_key`.

    Raises:
        InputError: the source cannot be read, or the recordings are not there.
    """
    if not os.path.exists(sidecar_path(out)):
        return None
    return find_done(out, render_key(source_digest(), preset, model, model_digest))


def unlike(
    out: Path, source_digest: Callable[[], str], preset: Preset, model: str, model_digest: str
) -> str | None:
    """How the stem at `out` differs from a render, in words; None where its sidecar does not tell.

    Args:
        out, source_digest, preset, model, model_digest: as for `find_result`.

    Raises:
        InputError: the source cannot be read.
    """
    said = read_sidecar(out)
    try:
        if said is None:
            return None
        if said["output"]["digest"] != file_digest(out):
            return "was changed after it had been rendered"
        if said["source"]["digest"] != source_digest():
            return f"was made from another source, or {said['source']['name']} has changed since"
        was, wanted = said["preset"], msgspec.to_builtins(preset)
        if said["model"]["name"] != model:
            return f"was made by the model {said['model']['name']}, not {model}"
        if other := [
            part for knob in KNOBS if knob != "model" for part in _unlike(knob, was[knob], wanted[knob])
        ]:
            return f"was made with {', '.join(other)}"
        if said["airband"] != VERSION:
            return f"was made by Airband {said['airband']}, not {VERSION}"
        if said["model"]["digest"] != model_digest:
            return f"was made with other weights of {model}"
    except (OSError, KeyError, TypeError):
        pass
    return None


def _unlike(knob: str, was: object, wanted: object) -> list[str]:
    """How a knob's plain values differ, in words; of a table, each key's."""
    if was == wanted:
        return []
    if isinstance(was, dict) and isinstance(wanted, dict):  # which lack what is unset
        return [
            part for key in was | wanted for part in _unlike(f"{knob}.{key}", was.get(key), wanted.get(key))
        ]
    if isinstance(was, list) or isinstance(wanted, list):
        return [f"other {knob}"]
    return [f"{knob} = {_as_typed(was)}, not {_as_typed(wanted)}"]


def _as_typed(value: object) -> str:
    """A knob's value as a preset file has it."""
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")


def sidecar(out: Path, encoded: Encoded, record: StemRecord) -> dict[str, Any]:
    """The content of the sidecar of `out`, as plain values."""
    report = record.report
    return {
        "airband": VERSION,
        "key": record.key,
        "output": {
            "name": out.name,
            "digest": encoded.digest,
            "bytes": encoded.nbytes,
            "format": encoded.encoding.format,
            "bit_depth": encoded.encoding.bits,
            "peak_dbfs": encoded.peak_dbfs if encoded.peak_dbfs > float("-inf") else None,
        },
        "source": {"name": record.source_name, "digest": report.source_digest},
        "model": {"name": report.model, "digest": report.weights_digest, "why": report.model_reason},
        "render": plain(report),
        "preset": {"name": record.preset_name, **msgspec.to_builtins(record.preset)},
        "versions": {"airband": VERSION},
    }
