"""Renders files in place, for use as an external sample editor: all that the host knows of a file stays true.

Length, rate, channels, container, bit depth and metadata are kept; the file is replaced in one step or left
unchanged. Otherwise hosts would lose warp markers, edits and fades.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import msgspec

from bridge.batch.backups import Backups
from bridge.batch.plan import Item
from bridge.batch.run import Event, Order
from bridge.batch.sources import check_source
from bridge.client.job import Job, Result
from bridge.client.renderer import Renderer
from presets import schema
from presets.errors import AirbandError, EngineError, InputError, OutputError, RenderError, WireError
from presets.knobs import Rate
from presets.report import RenderReport
from presets.schema import Preset
from render.files.carried import metadata
from render.files.carried.chunks import Chunk, form_of, read_chunks
from render.files.encode import check_room
from render.files.parts import as_output_error, part_beside
from render.measure.coding import coding
from render.sources.pcm_header import read_header
from render.sources.stretch import Stretch

RATES: tuple[int, ...] = get_args(Rate)
FORMATS = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "AIFF": "aiff"}
OTHERS = (
    "cannot be edited in place; possible are WAV, FLAC and AIFF of 16 or 24 bits or 32-bit float; "
    "`airband render` makes another file of it"
)
BITS = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}


def edit(
    renderer: Renderer,
    paths: Sequence[Path],
    order: Order,
    backups: Backups,
    rate_hz: int | None = None,
    *,
    drop_metadata: bool = False,
) -> Generator[Event]:
    """Renders files in place, one after the other; close the iterator to cancel the current one.

    A file is left unchanged, and reported as done, if nothing is missing in it, if this same edit has already
    made it, or if its rate is not one that results can have. These are not failures: a host could not use
    them.

    Args:
        renderer: the engine or in-process renderer.
        paths: the files.
        order: the preset; each file's own rate, format and bit depth override it.
        backups: keeps the replaced versions.
        rate_hz: a rate to change to; None keeps each file's own.
        drop_metadata: whether a file may lose metadata; otherwise a file that would is refused.

    Raises:
        EngineError: the engine went away and did not come back.
    """
    for path in paths:
        item = Item(path, path)
        try:
            yield from _edited(renderer, item, order, backups, rate_hz, drop_metadata)
        except WireError as error:
            yield Event(item, "failed", error=error)
        except EngineError:
            raise
        except AirbandError as error:
            yield Event(item, "failed", error=_without_bit_depth(error))
        except OSError as error:
            reason = f"{path}: {error.strerror or error}"
            yield Event(item, "failed", error=InputError(reason, str(path)))


def _edited(
    renderer: Renderer,
    item: Item,
    order: Order,
    backups: Backups,
    rate_hz: int | None,
    drop_metadata: bool,
) -> Iterator[Event]:
    check_source(item.source)
    path = item.source.resolve()
    about = _looked_at(path)
    rate = rate_hz or about.samplerate
    if rate not in RATES:
        reason = f"left as it is: results have {', '.join(map(str, RATES))} Hz, this file {rate}"
        yield Event(item, "done", unchanged=f"{reason}; --rate 48000 makes it a file of that rate")
        return
    preset = schema.make(order.preset, rate=rate, format=FORMATS[about.format], bit_depth=BITS[about.subtype])
    recipe = hashlib.blake2b(msgspec.json.encode(preset), digest_size=16).hexdigest()
    if backups.recipe_of(path) == recipe:
        reason = "left as it is: this same edit already made it; --undo restores the earlier file"
        yield Event(item, "done", unchanged=reason)
        return
    if not drop_metadata:
        _check_words(path, metadata.read(path).others)
    job = renderer.submit(
        path, preset, preset_name=order.preset_name, deliver="file", priority=order.priority
    )
    result = yield from _followed(job, item)
    if _changes(result.report, preset, about.samplerate):
        _replace(path, result, backups, recipe, drop_metadata)
        yield Event(item, "done", seconds=result.seconds, report=result.report)
    else:
        reason = f"left as it is: {result.report.cutoff_reason}"
        yield Event(item, "done", seconds=result.seconds, report=result.report, unchanged=reason)
    with suppress(AirbandError):
        job.forget()


def _looked_at(path: Path) -> Any:
    """What libsndfile knows of a file; raises InputError if it cannot be written back in the same format."""
    import soundfile

    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise OutputError(f"{path}: no permission to change it", str(path))
    try:
        with path.open("rb") as file:  # by its content, whatever its name
            stretch = Stretch(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            about = _rf64(path) or soundfile.info(stretch)
    except soundfile.SoundFileError:
        raise InputError(f"{path}: {_why_not(path)}", str(path)) from None
    kind = "big-endian WAV (RIFX)" if form_of(path) == b"RIFX" else about.format
    if kind not in FORMATS or about.subtype not in BITS:
        raise InputError(f"{path}: {kind} of {about.subtype} {OTHERS}", str(path))
    return about


def _why_not(path: Path) -> str:
    """Why a file that libsndfile does not open cannot be edited in place."""
    from render.sources import ffmpeg  # loads NumPy

    with path.open("rb") as file:
        header = read_header(file)
    if header is not None and header.doubt:
        return f"{header.doubt}; only a whole file can be edited in place"
    probed, coded = ffmpeg.probe(path, 0), coding(path)
    if probed is None or coded is None:
        return "not audio that can be edited in place"
    return f"{coded.codec.upper()} in {probed.container.partition(',')[0].upper()} {OTHERS}"


def _rf64(path: Path) -> Any:
    """The same for BW64, and RF64 without its chunk ds64, which libsndfile does not open; None for others."""
    if form_of(path) not in (b"BW64", b"RF64"):
        return None
    fmt = next((c for c in read_chunks(path).chunks if isinstance(c, Chunk) and c.name == b"fmt "), None)
    if fmt is None or len(fmt.body) < 16:
        return None
    tag, _channels, rate, _bytes, _block, bits = struct.unpack_from("<HHIIHH", fmt.body)
    if tag == 0xFFFE and len(fmt.body) >= 26:  # WAVE_FORMAT_EXTENSIBLE: the GUID begins with the actual tag
        tag = struct.unpack_from("<H", fmt.body, 24)[0]
    subtype = {(1, 16): "PCM_16", (1, 24): "PCM_24", (3, 32): "FLOAT"}.get((tag, bits), f"{bits} bits")
    return SimpleNamespace(samplerate=rate, format="RF64", subtype=subtype)


def _followed(job: Job, item: Item) -> Generator[Event, None, Result]:
    try:
        for step in job.progress():
            yield Event(item, "progress", step.stage, step.step, step.of, step.eta_s)
        return job.wait()
    except BaseException:
        with suppress(AirbandError):
            job.cancel()
        raise


def _changes(report: RenderReport, preset: Preset, rate_hz: int) -> bool:
    """Whether a result differs from its source by more than dither.

    Where nothing was generated, a stem does not count: in place of the file, `high` would leave silence.
    """
    if report.generated or (report.filled is not None and report.filled.cells):
        return True
    return preset.stem == "full" and (preset.rate != rate_hz or report.effects is not None)


def _without_bit_depth(error: AirbandError) -> AirbandError:
    """The error, without advice to change the bit depth, which an edit must keep."""
    if isinstance(error, OutputError) and error.field == "bit_depth":
        peak = error.message.partition(";")[0]
        error = OutputError(
            f"{peak}; turn the generated band down (--high-gain-db) or let it clip (--clip)", error.field
        )
    return error


def _check_words(path: Path, left_out: Iterable[str]) -> None:
    """Refuses a result that would lose metadata."""
    if lost := sorted(set(left_out)):
        raise OutputError(
            f"{path}: would lose {', '.join(lost)}; --drop-metadata allows that, `airband render` makes "
            "another file instead",
            "metadata",
        )


def _replace(path: Path, result: Result, backups: Backups, recipe: str, drop_metadata: bool) -> None:
    stem, source = result.stem, result.report.source
    expected = -(-source.frames * stem.rate // source.rate_hz)
    if stem.frames != expected:
        raise RenderError(f"{path}: {stem.frames} frames came back, the file has room for {expected}")
    with part_beside(path) as part:
        check_room(path, stem.nbytes)
        with as_output_error(path), part.open("wb") as file:
            file.writelines(result.pieces())
        if not drop_metadata:
            before = metadata.said(metadata.read(path))
            _check_words(path, (before - metadata.said(metadata.read(part))).elements())
        backups.replace(path, part, result.report.source_digest, recipe)
