"""One job from its source to its stem: open, choose the model, render or take from the cache, deliver."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from bridge.client.model_choice import Choice, choose
from bridge.wire.messages import Audio, Done, Pcm, Submit
from engine.serving.spool import Spool, content_key
from engine.worker.delivery import Destination
from engine.worker.model_cache import ModelCache
from engine.worker.recordings import check_like, open_recordings
from engine.worker.source import JobSource, open_source
from presets.report import RenderReport
from presets.version import VERSION
from render.clip import Clip, PcmClip
from render.effects.plugin_folders import files_digest, plugin_settings
from render.files.recordings import recordings_digest
from render.render import BLOCK_FRAMES, render
from render.upscaler import Step, StepHook

DTYPE = "f4"


def run_job(
    submit: Submit, digest: str, spool: Spool, models: ModelCache, roots: Sequence[Path], on_step: StepHook
) -> Done:
    """Does a job.

    Args:
        submit: the job.
        digest: of its source in the spool, "" for a source given by path.
        spool, models: the engine's files and models.
        roots: folders below which paths may be read and written.
        on_step: told of progress; cancels by raising.

    Raises:
        AirbandError: what went wrong, in the user's words. Nothing half-written is left at its destination.
    """
    began_s = time.monotonic()
    choice = choose(submit.params.model, models.listed)
    if not choice.model.digest:  # weights that are converted when they are first used
        loaded = msgspec.structs.replace(choice.model, digest=models.load(choice.model.name).digest)
        choice = Choice(loaded, choice.reason)
    check_like(submit.params.like, roots)
    with open_source(submit, digest, spool, roots, on_step) as source:
        delivery = Destination(submit, source, spool, roots)
        if delivery.is_needed(choice.model.name, choice.model.digest):
            result, report = rendered(submit, source, choice, spool, models, roots, on_step)
            report = msgspec.structs.replace(
                report,
                source_digest=source.digest,
                model_reason=choice.reason,
                device=models.device,
                shortfall=source.shortfall,
            )
            stem, report = delivery.bring(result, report)
        else:
            stem, report = delivery.found()
    return Done(submit.job, (stem,), time.monotonic() - began_s, submit.params.seed, report)


def rendered(
    submit: Submit,
    source: JobSource,
    choice: Choice,
    spool: Spool,
    models: ModelCache,
    roots: Sequence[Path],
    on_step: StepHook,
) -> tuple[Clip, RenderReport]:
    """A job's result and its report, from the cache where it was made before."""
    params = msgspec.structs.replace(submit.params, model=choice.model.name)
    clip = source.clip
    if isinstance(submit.source, Pcm):
        digest, audio = source.digest, submit.source.audio
    else:  # files that differ in what they say of themselves share their samples' result
        digest, audio = samples_digest(clip, on_step), Audio(clip.rate, clip.channels, clip.frames)
    facts = {
        "weights": choice.model.digest,
        "engine": VERSION,
        "dtype": DTYPE,
        "device": models.device.partition(":")[0] + (" compiled" if models.compiles else ""),
        "files": files_digest(params.effects, plugin_settings()),
        "mask": f"{source.mask:x}",
        "like": recordings_digest(params.like),
    }
    keyed = msgspec.structs.replace(params, like=None)  # it counts by its bytes
    key = content_key(digest, audio, keyed, facts)
    report = spool.report(key)
    cached = report is not None
    if report is None:
        written = spool.scratch(submit.job, "pcm")
        model = models.load(params.model)
        with open_recordings(params.like, spool, roots, on_step) as recordings:
            report = render(
                clip, params, model, on_step, spool=written, mask=source.mask, recordings=recordings
            ).report
        if report.like is not None:
            report = msgspec.structs.replace(
                report, like=msgspec.structs.replace(report.like, digest=facts["like"])
            )
        # A plugin that fails today may work tomorrow.
        if report.effects is not None and report.effects.bypassed:
            key = content_key(digest, audio, keyed, {**facts, "job": submit.job})
        spool.keep_result(key, written, report)
    result = PcmClip(spool.result(key), report.rate_hz, report.channels)
    return result, msgspec.structs.replace(report, cached=cached)


def samples_digest(clip: Clip, on_step: StepHook) -> str:
    """blake2b-256 of a clip's samples, interleaved float32; never equal to that of planar ones."""
    digest = hashlib.blake2b(digest_size=32, person=b"interleaved")
    for start in range(0, clip.frames, BLOCK_FRAMES):
        on_step(Step("read", 0, 1))
        block = clip.read(start, min(BLOCK_FRAMES, clip.frames - start))
        digest.update(np.ascontiguousarray(block.T, "<f4").data)
    return digest.hexdigest()
