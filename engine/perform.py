"""One job from its source to its stem: open, choose the model, render or take from the cache, deliver."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bridge.choice import Choice, choose
from bridge.protocol import Done, Pcm, Submit
from engine.delivery import Delivery
from engine.origin import Origin, opened
from engine.shelf import Shelf
from engine.spool import Spool, content_key
from presets.version import VERSION
from render.clip import Clip, PcmClip
from render.plugin_folders import files_digest, plugin_settings
from render.render import render
from render.upscaler import StepHook

DTYPE = "f4"


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
    with opened(submit, digest, spool, roots) as origin:
        delivery = Delivery(submit, origin, spool, roots)
        if delivery.is_needed(choice.model.name, choice.model.digest):
            result, report = rendered(submit, origin, choice, spool, shelf, on_step)
            report |= {"source_digest": origin.digest, "why": choice.reason, "device": shelf.device}
            stem = delivery.bring(result, report)
        else:
            stem, report = delivery.found()
    return Done(submit.job, (stem,), time.monotonic() - began_s, submit.params.seed, report)


def rendered(
    submit: Submit, origin: Origin, choice: Choice, spool: Spool, shelf: Shelf, on_step: StepHook
) -> tuple[Clip, dict[str, Any]]:
    """A job's result and its report, from the cache where it was made before."""
    params = msgspec.structs.replace(submit.params, model=choice.model.name)
    audio = submit.source.audio if isinstance(submit.source, Pcm) else None
    facts = {
        "weights": choice.model.digest,
        "engine": VERSION,
        "dtype": DTYPE,
        "device": shelf.device.partition(":")[0],
        "files": files_digest(params.effects, plugin_settings()),
    }
    key = content_key(origin.digest, audio, params, facts)
    report = spool.report(key)
    cached = report is not None
    if report is None:
        written = spool.scratch(submit.job, "pcm")
        report = render(origin.clip, params, shelf.load(params.model), on_step, spool=written).report
        if report.get("effects", {}).get("bypassed"):  # a plugin that fails today may work tomorrow
            key = content_key(origin.digest, audio, params, {**facts, "job": submit.job})
        spool.keep_result(key, written, report)
    return PcmClip(spool.result(key), report["rate"], report["channels"]), {**report, "cached": cached}
