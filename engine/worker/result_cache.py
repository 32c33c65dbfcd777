"""Finds and keeps results of renders, by all that decides their samples."""

from __future__ import annotations

from pathlib import Path

from engine.state.results import Results, content_key
from engine.worker.source import JobSource
from presets.report import RenderReport
from presets.schema import Preset


class ResultCache:
    """The cached results of one render: equal keys mean equal samples.

    The first half of a key covers what is known without reading the source: its size, the knobs, the weights
        and so
    on. The second half is the source's digest, which the first pass of a render yields. So a source is hashed
    before its render only if a result with the same first half exists.

    Args:
        results: of the engine's spool.
        source: of the job.
        params: the preset, with `model` resolved.
        facts: all else that decides the samples, see `engine.state.results.content_key`.
    """

    def __init__(self, results: Results, source: JobSource, params: Preset, facts: dict[str, str]) -> None:
        self._results, self._source = results, source
        self._params, self._facts = params, facts
        self._half = self._known("")

    def find(self) -> tuple[Path, RenderReport] | None:
        """The samples and the report of this very render, if they are cached."""
        if not self._source.is_hashed and not self._results.has(f"{self._half}-"):
            return None
        key = f"{self._half}-{self._source.digest()}"
        report = self._results.report(key)
        return None if report is None else (self._results.path(key), report)

    def keep(self, written: Path, report: RenderReport, job: str = "") -> Path:
        """Keeps a render's result; if `job` is given, only for that job.

        Raises:
            InputError: the source is no longer the file that was read.
            OutputError: the result cannot be kept.
        """
        self._source.check_unchanged()
        half = self._known(job) if job else self._half
        return self._results.keep(f"{half}-{self._source.digest()}", written, report)

    def _known(self, job: str) -> str:
        facts = self._facts | ({"job": job} if job else {})
        return content_key(f"{self._source.nbytes} bytes", self._source.audio, self._params, facts)
