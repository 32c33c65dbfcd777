"""Runs one job from source to stem, in five steps: model, source, cache, render, delivery."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bridge.client.model_choice import Choice, choose
from bridge.wire.bounds import bounded_report
from bridge.wire.messages import Done
from engine.serving.worker_messages import SMALL_MODELS, Task
from engine.state.disk import is_disk_full
from engine.state.need import need
from engine.state.spool import RESERVE_BYTES, Spool
from engine.worker.delivery import Destination
from engine.worker.model_cache import ModelCache
from engine.worker.recordings import check_like, open_recordings
from engine.worker.result_cache import ResultCache
from engine.worker.source import open_source
from presets.errors import OutputError
from presets.version import VERSION
from render.clip import PcmClip
from render.effects.plugin_folders import files_digest, plugin_settings
from render.files.recordings import recordings_digest
from render.render import render
from render.upscaler import StepHook

DTYPE = "f4"
SHORT_BYTES = 1024**2
"""Up to this size, five seconds of mono, a small model renders and delivers a result within some tenths of a
second."""
SOON_BYTES = 16 * 1024**2
"""Up to this size, one and a half minutes of mono, a result is delivered within some tenths of a second."""

log = logging.getLogger("airband.worker")


def run_job(
    task: Task,
    spool: Spool,
    models: ModelCache,
    roots: Sequence[Path],
    on_step: StepHook,
    on_ending: Callable[[], None] = lambda: None,
) -> Done:
    """Runs a job; if it fills the spool's disk, drops cached results and tries once more.

    Args:
        task: the job, its source in the spool, and its room there.
        spool, models: the engine's files and models.
        roots: folders below which paths may be read and written.
        on_step: called with progress; cancels by raising.
        on_ending: called when the rest of the job will take only a moment.

    Raises:
        AirbandError: the failure, in the user's terms. Nothing half-written is left at its destination.
    """
    try:
        return _run(task, spool, models, roots, on_step, on_ending)
    except OutputError as error:
        is_elsewhere = error.field not in (None, "spool")
        lacking = RESERVE_BYTES + spool.scratch_bytes(task.submit.job)
        if is_elsewhere or not is_disk_full(error) or spool.results.evict(lacking) == 0:
            raise
        log.warning("job %s is tried once more, after cached results made room: %s", task.submit.job, error)
    spool.drop_scratch(task.submit.job)
    return _run(task, spool, models, roots, on_step, on_ending)


def _run(
    task: Task,
    spool: Spool,
    models: ModelCache,
    roots: Sequence[Path],
    on_step: StepHook,
    on_ending: Callable[[], None],
) -> Done:
    began_s, submit = time.monotonic(), task.submit

    # 1. The model.
    model, why = _with_digest(choose(submit.params.model, models.listed), models)
    params = msgspec.structs.replace(submit.params, model=model.name)
    check_like(params.like, roots)

    # 2. The source, and the destination of its result.
    with (
        open_source(submit, task.digest, spool, roots, on_step) as source,
        Destination(submit, source, spool, roots) as destination,
    ):
        found = destination.find(model.name, model.digest)
        if found is not None:
            stem, said = found
            seconds = time.monotonic() - began_s
            return Done(submit.job, (stem,), seconds, params.seed, bounded_report(said), already=True)

        # 3. The cache.
        effects = params.effects
        facts = {
            "weights": model.digest,
            "engine": VERSION,
            "dtype": DTYPE,
            "device": models.device.partition(":")[0] + (" compiled" if models.compiles else ""),
            "files": files_digest(effects, plugin_settings()) if effects.before or effects.after else "",
            "mask": f"{source.mask:x}",
            "like": recordings_digest(params.like),
        }
        keyed = msgspec.structs.replace(params, like=None)  # `facts` has the digest of its recordings
        cache = ResultCache(spool.results, source, keyed, facts)
        kept = cache.find()
        needed = need(submit, source.clip.rate, source.clip.channels, source.clip.frames)
        is_short = model.name in SMALL_MODELS and needed.result_bytes <= SHORT_BYTES
        if is_short:
            on_ending()

        # 4. The render.
        if kept is not None:
            samples, report = kept
            _make_room(spool, needed.stem_bytes, task.room, spare=samples)
        else:
            _make_room(spool, needed.total_bytes, task.room)
            written = spool.scratch(submit.job, "pcm")
            upscaler = models.load(model.name)
            with open_recordings(params.like, spool, roots, on_step, submit.job) as recordings:
                report = render(
                    source.clip,
                    params,
                    upscaler,
                    on_step,
                    spool=written,
                    mask=source.mask,
                    recordings=recordings,
                ).report
            if report.like is not None:
                like = msgspec.structs.replace(report.like, digest=facts["like"])
                report = msgspec.structs.replace(report, like=like)
            # A plugin that fails today may work tomorrow, so such a result is kept for this job only.
            failed = report.effects is not None and report.effects.bypassed
            if not is_short and written.stat().st_size <= SOON_BYTES:
                on_ending()
            samples = cache.keep(written, report, submit.job if failed else "")
        result = PcmClip(samples, report.rate_hz, report.channels)

        # 5. The delivery.
        report = msgspec.structs.replace(
            report,
            cached=kept is not None,
            source_digest=source.digest(),
            model_reason=why,
            device=models.device,
            shortfall=source.shortfall,
        )
        stem, report = destination.bring(result, report)
    return Done(submit.job, (stem,), time.monotonic() - began_s, params.seed, bounded_report(report))


def _with_digest(choice: Choice, models: ModelCache) -> Choice:
    """The choice with the digest of its weights, which some models have only once they are loaded."""
    if choice.model.digest:
        return choice
    digest = models.load(choice.model.name).digest
    return Choice(msgspec.structs.replace(choice.model, digest=digest), choice.reason)


def _make_room(spool: Spool, wanted_bytes: int, room_bytes: int, spare: Path | None = None) -> None:
    """Drops cached results, except `spare`, to make room for what a job writes.

    Raises:
        OutputError: there is not enough room.
    """
    lacking = wanted_bytes - room_bytes
    if wanted_bytes and lacking > 0 and spool.results.evict(lacking, spare) < lacking:
        raise OutputError(spool.shortage(wanted_bytes), "spool")
