"""Renders of a clip: requested from the engine, then heard and seen beside their source."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import soundfile

import presets
from bridge.client.job import Job, Result
from bridge.client.model_choice import choose
from bridge.client.request import DeliverAs, label
from bridge.console.clips.records import ClipRecord, Clips, Take
from bridge.console.command_line import render_command
from bridge.console.engine_line import EngineLine
from bridge.report.comparison import compare, figures
from bridge.report.excerpt import excerpt
from presets import schema
from presets.errors import InputError
from presets.schema import RATE_HZ, Preset
from render.files.encode import encoding

HEARD = "heard.json"
DONE_S = 10.0
"""How long the engine may take to report the end of a finished job, in seconds."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page's request for a render.

    Attributes:
        preset, knobs: the preset, and the values that override it.
        start_s, end_s: a stretch; None for the clip's start or end.
        out: a path to write to; "" leaves the result in the engine, to hear and download.
        force: whether `out` may be replaced.
    """

    preset: str
    knobs: dict[str, Any] = {}
    start_s: float | None = None
    end_s: float | None = None
    out: str = ""
    force: bool = False
    priority: int = 0

    def complete(self) -> Preset:
        """The complete preset; raises UsageError for an invalid value."""
        stretch = {"start": self.start_s, "end": self.end_s}
        return schema.make(presets.load(self.preset), **{**self.knobs, **stretch})


class Takes:
    """The renders of all clips.

    Args:
        line: to the engine.
        clips: the open clips.
    """

    def __init__(self, line: EngineLine, clips: Clips) -> None:
        self._line, self._clips = line, clips

    def begin(self, clip: ClipRecord, asked: Asked) -> Take:
        """Submits a render to the engine; returns once the engine has it.

        Raises:
            UsageError, InputError, OutputError: the request cannot be honoured.
            EngineError: there is no engine.
        """
        preset = asked.complete()
        source = Path(clip.path)
        roots = self._line.roots
        try:
            roots.allowed(clip.path)
            client = self._line.client()
        except InputError:  # an upload, which lies outside this engine's roots
            client = self._line.client(local=False)
        out = roots.allowed(asked.out, "out") if asked.out else None
        deliver: DeliverAs = "path" if out else "file"
        job = client.submit(
            source,
            preset,
            deliver=deliver,
            out=out,
            force=asked.force,
            priority=asked.priority,
            preset_name=label(asked.preset),
        )
        stretch = {"start": asked.start_s, "end": asked.end_s}
        command = render_command(
            clip.name if clip.uploaded else clip.path,
            str(out or f"{source.stem}-airband{encoding(preset, clip.name).suffix}"),
            asked.preset,
            {**asked.knobs, **stretch},
            priority=asked.priority,
            force=asked.force,
        )
        take = Take(
            job.id,
            asked.preset,
            asked.knobs,
            asked.start_s,
            asked.end_s,
            str(out or ""),
            time.time(),
            command,
        )
        self._clips.add_take(clip.id, take)
        return take

    def beside(self, clip: ClipRecord, asked: Asked) -> str:
        """Default path for saving a result, beside its source; "" for an upload."""
        if clip.uploaded:
            return ""
        source = Path(clip.path)
        return str(source.with_name(f"{source.stem}-airband{encoding(asked.complete(), clip.name).suffix}"))

    def foreseen(self, asked: Asked) -> dict[str, str]:
        """The model that would be used, and why; raises UsageError or ModelError if none can be."""
        chosen = choose(asked.complete().model, self._line.client().models)
        return {"model": chosen.model.name, "why": chosen.reason, "device": chosen.model.device}

    def name(self, clip: ClipRecord, take: Take) -> str:
        """The file name for a download of a take."""
        preset = Asked(take.preset, take.knobs).complete()
        part = "" if take.start_s is None and take.end_s is None else f"-{take.start_s or 0:g}s"
        return f"{Path(clip.name).stem}-airband{part}{encoding(preset, clip.name).suffix}"

    def result(self, job: str) -> Result:
        """A finished job's result; raises the error of a failed one."""
        return Job(self._line.client(), job).wait(timeout_s=DONE_S)

    def heard(self, job: str) -> dict[str, Any]:
        """The sounds, pictures and figures of a finished take, for a page; made once and kept with the clip.

        Raises:
            AirbandError: the take failed, or it cannot be heard.
        """
        clip, take = self._clips.take(job)
        kept = self._clips.kept(clip.id, job)
        if not (kept / HEARD).exists():
            self._keep(clip, take, kept)
        said: dict[str, Any] = msgspec.json.decode((kept / HEARD).read_bytes())
        return said

    def sound(self, job: str, key: str) -> Path:
        """The sound file of one version of a take, once `heard` has made it; otherwise raises InputError."""
        clip, _ = self._clips.take(job)
        path = self._clips.kept(clip.id, job) / f"{key}.wav"
        if key not in ("a", "b", "g") or not path.exists():
            raise InputError("this take's sounds have not been made yet; open the take first", "take")
        return path

    def _keep(self, clip: ClipRecord, take: Take, kept: Path) -> None:
        result = self.result(take.job)
        part = kept.with_name(f".{kept.name}.{time.monotonic_ns()}")
        part.mkdir(mode=0o700)
        try:
            out = result.path
            if out is None:
                out = part / self.name(clip, take)
                with out.open("wb") as file:
                    for piece in result.pieces():
                        file.write(piece)
            how = {name: take.knobs[name] for name in ("stream", "accept_truncated") if name in take.knobs}
            heard = excerpt(Path(clip.path), out, result.report, **how)
            compared = compare(heard)
            for version in compared.versions:
                soundfile.write(part / f"{version.key}.wav", version.samples.T, RATE_HZ, "FLOAT")
            report = result.report
            said = {
                "duration": heard.before.shape[1] / RATE_HZ,
                "start_s": heard.start_s + report.source.first_frame / report.source.rate_hz,
                "versions": [
                    {
                        "key": version.key,
                        "label": version.label,
                        "sound": f"/api/takes/{take.job}/sound/{version.key}",
                        "gain": version.gain,
                        "picture": version.picture,
                    }
                    for version in compared.versions
                ],
                "figures": figures(report, heard, compared.lufs, f"{result.seconds:.1f} s"),
                "why": report.cutoff_reason,
                "cutoff_hz": report.cutoff_hz,
            }
            (part / HEARD).write_bytes(msgspec.json.encode(said))
            if out.parent == part:
                out.unlink()
            if not kept.exists():
                os.rename(part, kept)
        finally:
            shutil.rmtree(part, ignore_errors=True)
