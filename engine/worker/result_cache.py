"""Results of earlier renders, known again by all that decides their samples."""

from __future__ import annotations

from pathlib import Path

from engine.state.results import Results, content_key
from engine.worker.source import JobSource
from presets.report import RenderReport
from presets.schema import Preset


class ResultCache:
    """What is kept of one render: equal keys mean equal samples.

    A key's first half says what is known before the source is read: its size, the knobs, the weights and the
    like. The second is the source's digest, which the first pass of a render yields; so a source is hashed
    before its render only where a result of the same first half is kept.

    Args:
        results: of the engine's spool.
        source: of the job.
        params: the preset with `model` resolved.
        facts: what else decides the samples, see `engine.state.results.content_key`.
    """

    def __init__(self, results: Results, source: JobSource, params: Preset, facts: dict[str, str]) -> None:
        self._results, self._source = results, source
        self._params, self._facts = params, facts
        self._half = self._known("")

    def find(self) -> tuple[Path, RenderReport] | None:
        """The samples and the report of this very render, where they are kept."""
        if not self._source.is_hashed and not self._results.has(f"{self._half}-"):
            return None
        key = f"{self._half}-{self._source.digest()}"
        report = self._results.report(key)
        return None if report is None else (self._results.path(key), report)

    def keep(self, written: Path, report: RenderReport, job: str = "") -> Path:
        """Keeps what was rendered; for `job` alone where one is named.

        Raises:
            InputError: the source is no longer the file that was read.
            OutputError: it cannot be kept.
        """
        self._source.check_unchanged()
        half = self._known(job) if job else self._half
        return self._results.keep(f"{half}-{self._source.digest()}", written, report)

    def _known(self, job: str) -> str:
        facts = self._facts | ({"job": job} if job else {})
        return content_key(f"{self._source.nbytes} bytes", self._source.audio, self._params, facts)
