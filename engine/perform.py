"""One job from its source to its stem: open, choose the model, render or take from the cache, deliver."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bridge.choice import choose
from bridge.protocol import DeliverFile, DeliverPath, DeliverPcm, Done, File, Pcm, Stem, Submit
from engine.planar import PlanarClip, write_planar
from engine.shelf import Shelf
from engine.spool import Spool, content_key, explained
from presets.errors import AirbandError, InputError, OutputError
from presets.schema import Preset
from presets.version import VERSION
from render import metadata
from render.clip import Clip, PcmClip, open_clip
from render.plugin_folders import files_digest, plugin_settings
from render.publication import deliver
from render.render import render
from render.sidecar import Record, is_done
from render.stems import encode, encoding, file_digest
from render.upscaler import StepHook

DTYPE = "f4"


@dataclass(frozen=True, slots=True)
class Origin:
    """A job's source, opened.

    Attributes:
        clip: its samples.
        digest: of its bytes.
        name: what the user calls it, "" for bare samples.
        path: the file; None for bare samples, which have no words of their own to carry over.
    """

    clip: Clip
    digest: str
    name: str
    path: Path | None


def perform(
    submit: Submit, digest: str, spool: Spool, shelf: Shelf, roots: Sequence[Path], on_step: StepHook
) -> Done:
    """Does a job.

    Args:
        submit: the job.
        digest: of its source in the spool, "" for a source given by path.
        spool, shelf: the engine's files and models.
        roots: folders below which paths may be read and written.
        on_step: told of progress; cancels by raising.

    Raises:
        AirbandError: what went wrong, in the user's words. Nothing half-written is left at its destination.
    """
    began_s = time.monotonic()
    choice = choose(submit.params.model, shelf.models)
    params = msgspec.structs.replace(submit.params, model=choice.model.name)
    with opened(submit, digest, spool, roots) as origin:
        facts = {
            "weights": choice.model.digest,
            "engine": VERSION,
            "dtype": DTYPE,
            "device": shelf.device.partition(":")[0],
            "files": files_digest(params.effects, plugin_settings()),
        }
        audio = submit.source.audio if isinstance(submit.source, Pcm) else None
        key = content_key(origin.digest, audio, params, facts)
        report = spool.report(key)
        cached = report is not None
        if report is None:
            written = spool.scratch(submit.job, "pcm")
            rendered = render(origin.clip, params, shelf.load(params.model), on_step, spool=written)
            report = rendered.report
            if report.get("effects", {}).get("bypassed"):  # a plugin that failed today may work tomorrow
                key = content_key(origin.digest, audio, params, {**facts, "job": submit.job})
            spool.keep_result(key, written, report)
        own = {"source_digest": origin.digest, "why": choice.reason, "device": shelf.device, "cached": cached}
        report = {**report, **own}
        result = PcmClip(spool.result(key), report["rate"], report["channels"])
        stem = delivered(submit, params, origin, result, report, spool, roots)
    return Done(submit.job, (stem,), time.monotonic() - began_s, params.seed, report)


@contextmanager
def opened(submit: Submit, digest: str, spool: Spool, roots: Sequence[Path]) -> Iterator[Origin]:
    """The source of a job, until the end of the block.

    Raises:
        InputError: it is not there, not audio, outside the limits, or its path lies outside the roots.
    """
    source = submit.source
    if isinstance(source, Pcm):
        yield Origin(PlanarClip(spool.source(digest), source.audio), digest, "", None)
        return
    if isinstance(source, File):
        path, name = spool.source(digest), source.name
    else:
        path = Path(source.path).resolve()
        name = path.name
        if not below(path, roots):
            raise InputError(f"{path}: {outside(roots)}", "source")
    try:
        with open_clip(path, spool.folder / "scratch") as clip:
            yield Origin(clip, digest or file_digest(path), name, path)
    except AirbandError as error:
        if isinstance(source, File):  # the user knows the file by its own name, not by the spool's
            error.message = error.message.replace(str(path), name).replace(path.name, name)
        raise


def delivered(
    submit: Submit,
    params: Preset,
    origin: Origin,
    result: Clip,
    report: dict[str, Any],
    spool: Spool,
    roots: Sequence[Path],
) -> Stem:
    """Brings a result to where the job wants it.

    Raises:
        OutputError: the destination is refused, or has no room.
        UsageError: a format that cannot be.
    """
    match submit.deliver:
        case DeliverPcm():
            written = spool.scratch(submit.job, "planar")
            with explained(spool.folder):
                write_planar(result, written)
            return _kept(params, result, spool.keep_stem(submit.job, written))
        case DeliverFile():
            written = spool.scratch(submit.job, "stem")
            how = encoding(params, origin.name)
            with explained(spool.folder):
                encode(result, written, how, params, _carried(origin, params, result, report, how.bits))
            return _kept(params, result, spool.keep_stem(submit.job, written))
        case DeliverPath(path, force):
            out = Path(path).resolve()
            if not below(out, roots):
                raise OutputError(f"{out}: {outside(roots)}", "deliver")
            record = Record(
                origin.name,
                origin.digest,
                submit.preset,
                submit.params,
                report["model"],
                report["weights"],
                report["why"],
                report,
            )
            if not is_done(out, record.key):
                bits = encoding(params, origin.name, out.name).bits
                carried = _carried(origin, params, result, report, bits)
                deliver(result, out, record, source=origin.path, carried=carried, force=force)
            return _kept(params, result, out, str(out))


def below(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a resolved path lies in one of the folders that jobs may name."""
    return any(path.is_relative_to(root) for root in roots)


def outside(roots: Sequence[Path]) -> str:
    """What to say of a path that does not."""
    if not roots:
        return "this engine opens no paths; send the file itself, or start the engine with --root FOLDER"
    return f"outside the folders this engine may open ({', '.join(map(str, roots))}); see `serve --root`"


def _kept(params: Preset, result: Clip, path: Path, published: str = "") -> Stem:
    return Stem(
        params.stem,
        result.rate,
        result.channels,
        result.frames,
        path.stat().st_size,
        file_digest(path),
        published,
    )


def _carried(
    origin: Origin, params: Preset, result: Clip, report: dict[str, Any], bits: int
) -> metadata.Metadata | None:
    if origin.path is None:
        return None
    first, end = report["source"]["first"], report["source"]["end"]
    timing = metadata.Timing(origin.clip.rate, result.rate, first, end - first)
    mode = {1: "mono", 2: "stereo"}.get(result.channels, "multichannel")
    made = metadata.Provenance(
        f"Airband {VERSION}",
        f"A=PCM,F={result.rate},W={bits},M={mode}",
        {
            "MODEL": report["model"],
            "WEIGHTS": report["weights"],
            "SEED": str(params.seed),
            "CUTOFF_HZ": "none" if report["cutoff_hz"] is None else f"{report['cutoff_hz']:.0f}",
        },
    )
    return metadata.carried(metadata.read(origin.path), timing, made)
