"""What is said of a stem beside it, in `<name>.airband.json`, and by which a finished one is known again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from presets.schema import Preset
from presets.version import VERSION
from render.files.encode import Encoded, file_digest


@dataclass(frozen=True, slots=True)
class Record:
    """What a render was: the sidecar's content, save for the output itself.

    Attributes:
        source_name: the source's file name, or "" for an array.
        source_digest: blake2b-256 of the source's bytes (a file's, or the PCM of an array).
        preset_name, preset: the preset by name and whole, `model` as asked for.
        model, model_digest, model_reason: what was chosen, the digest of its weights, and why.
        report: the render's own account: seed, cut-off and how it was found, ...
    """

    source_name: str
    source_digest: str
    preset_name: str
    preset: Preset
    model: str
    model_digest: str
    model_reason: str
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """See `render_key`."""
        return render_key(self.source_digest, self.preset, self.model, self.model_digest)


def render_key(source_digest: str, preset: Preset, model: str, model_digest: str) -> str:
    """The name of a result by its content: equal keys mean equal stems.

    It is blake2b-256 over the source's digest, every knob, the model that was chosen, its weights and the
    version of Airband. The preset's description has no part in it, nor has `model`, which may say `auto`.
    """
    knobs = msgspec.structs.replace(preset, description="", model=model)
    parts = (VERSION, source_digest, model_digest, msgspec.json.encode(knobs, order="deterministic").decode())
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=32).hexdigest()


def sidecar_path(out: Path) -> Path:
    """`kick.wav` -> `kick.wav.airband.json`, in the same folder."""
    return out.with_name(f"{out.name}.airband.json")


def is_done(out: Path, key: str) -> bool:
    """Whether `out` is the result that `key` names: its sidecar has that key, and the file its digest."""
    try:
        said = json.loads(sidecar_path(out).read_bytes())
        return bool(said["key"] == key and said["output"]["digest"] == file_digest(out))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def sidecar(out: Path, encoded: Encoded, record: Record) -> dict[str, Any]:
    """What the sidecar of `out` says, as plain values."""
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
        "source": {"name": record.source_name, "digest": record.source_digest},
        "model": {"name": record.model, "digest": record.model_digest, "why": record.model_reason},
        "render": record.report,
        "preset": {"name": record.preset_name, **msgspec.to_builtins(record.preset)},
        "versions": {"airband": VERSION},
    }
