"""Delivers a result as its job wants it: samples or a file to fetch, or a file written at a path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from bridge.wire.messages import DeliverFile, DeliverPath, DeliverPcm, Stem, Submit
from engine.state.disk import file_digest, write_errors_explained
from engine.state.spool import Spool
from engine.worker.held_paths import HeldFolder
from engine.worker.planar_pcm import write_planar
from engine.worker.source import JobSource, below, outside
from presets.errors import OutputError
from presets.report import RenderReport
from presets.version import VERSION
from render.clip import Clip, open_clip
from render.files.carried import metadata
from render.files.carried.timing import Provenance, Timing
from render.files.encode import encode, encoding
from render.files.publish import check_destination, deliver
from render.files.sidecar import StemRecord, find_result


class Destination:
    """The destination of one job's result; a context manager, which holds the folder of a path.

    Args:
        submit: the job.
        source: its source.
        spool: holds stems to be fetched.
        roots: folders below which paths may be written.

    Raises:
        OutputError: the destination lies outside the roots.
        UsageError: an impossible format.
    """

    def __init__(self, submit: Submit, source: JobSource, spool: Spool, roots: Sequence[Path]) -> None:
        self._submit, self._source, self._spool = submit, source, spool
        self._out: Path | None = None
        if isinstance(submit.deliver, DeliverPath):
            self._out = Path(os.path.realpath(submit.deliver.path))
            self._force, self._umask = submit.deliver.force, submit.deliver.umask
            if not below(self._out, roots):
                raise OutputError(f"{self._out}: {outside(roots)}", "deliver")
            self._folder = HeldFolder(self._out.parent)
        if not isinstance(submit.deliver, DeliverPcm):
            out_name = None if self._out is None else self._out.name
            self._how = encoding(submit.params, source.name, out_name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._out is not None:
            self._folder.close()

    def find(self, model: str, weights: str) -> tuple[Stem, RenderReport] | None:
        """The stem and its report, if the destination already holds this very result.

        Args:
            model, weights: the chosen model, and the digest of its weights.

        Raises:
            OutputError: it holds something else and `force` is off, or it is the source.
        """
        if self._out is None:
            return None
        with self._folder.opened() as folder:
            out = folder / self._out.name
            done = find_result(out, self._source.digest, self._submit.params, model, weights)
            if done is None:
                check_destination(out, self._source.path, force=self._force)
                return None
            with open_clip(out) as clip:
                return self._stem(clip, done.digest, done.nbytes), done.report

    def bring(self, result: Clip, report: RenderReport) -> tuple[Stem, RenderReport]:
        """Delivers a result; `report` is the render's report.

        Returns:
            The stem, and the report with the names of metadata that were not carried over.

        Raises:
            InputError: the source is no longer the file that was read.
            OutputError: no room, no permission, or samples that would clip.
        """
        submit, job = self._submit, self._submit.job
        self._source.check_unchanged()
        carried = None
        if not isinstance(submit.deliver, DeliverPcm):
            carried = self._carried(result, report)
            left_out = () if carried is None else carried.left_out(self._how.format)
            report = msgspec.structs.replace(report, not_carried=left_out)
        if self._out is not None:
            record = StemRecord(self._source.name, submit.preset, submit.params, report)
            with self._folder.opened(self._umask, make=True) as folder:
                said = deliver(
                    result,
                    folder / self._out.name,
                    record,
                    source=self._source.path,
                    carried=carried,
                    force=self._force,
                    mask=report.mask,
                    umask=self._umask,
                )
            return self._stem(result, said["output"]["digest"], said["output"]["bytes"]), report
        written = self._spool.scratch(job, "stem")
        with write_errors_explained(self._spool.folder):
            if isinstance(submit.deliver, DeliverFile):
                encoded = encode(result, written, self._how, submit.params, carried, report.mask)
                stem = self._stem(result, encoded.digest, encoded.nbytes)
            else:
                write_planar(result, written)
                stem = self._stem(result, file_digest(written), written.stat().st_size)
        self._spool.keep_stem(job, written)
        return stem, report

    def _stem(self, result: Clip, digest: str, nbytes: int) -> Stem:
        return Stem(
            name=self._submit.params.stem,
            rate=result.rate,
            channels=result.channels,
            frames=result.frames,
            nbytes=nbytes,
            digest=digest,
            path=str(self._out or ""),
        )

    def _carried(self, result: Clip, report: RenderReport) -> metadata.Metadata | None:
        if self._source.path is None:
            return None
        first, end = report.source.first_frame, report.source.end_frame
        whole = (first, end) == (0, report.source.frames)
        timing = Timing(self._source.clip.rate, result.rate, first, end - first, whole)
        mode = {1: "mono", 2: "stereo"}.get(result.channels, "multichannel")
        cutoff_hz = report.cutoff_hz
        facts = {
            "PRESET": self._submit.preset,
            "MODEL": report.model,
            "WEIGHTS": report.weights_digest,
            "SEED": str(report.seed),
            "CUTOFF_HZ": "none" if cutoff_hz is None else f"{cutoff_hz:.0f}",
        }
        layout = f"A=PCM,F={result.rate},W={self._how.bits},M={mode}"
        made = Provenance(f"Airband {VERSION}", layout, facts)
        return metadata.carried(metadata.read(self._source.path), timing, made)
