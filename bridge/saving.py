"""A result becomes a file of the caller's, with its sidecar: encoded here from samples, or as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bridge.protocol import DeliverFile, File, Submit
from bridge.protocol import Path as PathSource
from presets.errors import UsageError
from render.clip import ArrayClip
from render.publication import check_destination, deliver, part_beside, publish
from render.sidecar import Record
from render.stems import Encoded, decibels, encoding

if TYPE_CHECKING:
    from bridge.job import Result


def save(result: Result, submit: Submit | None, path: Path, force: bool) -> Path:
    """See `bridge.job.Result.save`."""
    if submit is None:
        raise UsageError("what this job was asked for is not known here; take its `audio` or `pieces`", "job")
    record = _record(result, submit)
    if isinstance(submit.deliver, DeliverFile):
        _publish(result, record, path, force)
    else:
        deliver(ArrayClip(result.audio, result.rate), path, record, force=force)
    return path


def _publish(result: Result, record: Record, path: Path, force: bool) -> None:
    check_destination(path, force=force)
    how = encoding(record.preset, record.source_name)
    encoding(msgspec.structs.replace(record.preset, format=how.format), record.source_name, path.name)
    with part_beside(path) as part:
        with part.open("wb") as file:
            for piece in result.pieces():
                file.write(piece)
        encoded = Encoded(how, result.stem.digest, result.stem.nbytes, decibels(result.report["peak"]))
        publish(part, path, encoded, record, force=force)


def _record(result: Result, submit: Submit) -> Record:
    source, report = submit.source, result.report
    name = source.name if isinstance(source, File) else ""
    if isinstance(source, PathSource):
        name = Path(source.path).name
    return Record(
        source_name=name,
        source_digest=report["source_digest"],
        preset_name=submit.preset,
        preset=submit.params,
        model=report["model"],
        model_digest=report["weights"],
        model_reason=report["why"],
        report=report,
    )
