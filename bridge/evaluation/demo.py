"""`airband demo`: a bundled recording is cut at 4 kHz, rendered by the engine, and measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from bridge.client.client import Client
from presets.errors import OutputError
from presets.schema import RATE_HZ, Preset
from render.clip import ArrayClip
from render.files.encode import Encoding, encode
from render.files.sidecar import sidecar_path
from render.upscaler import Audio

CUTOFF_HZ = 4000.0
RECORDING = "demo_recording.flac"
RECORDED_HZ = 22050.0
"""The top of the recording's band: it was made at 44.1 kHz."""
FILES = ("reference.wav", "input.wav", "output.wav", "spectrograms.png")


@dataclass(frozen=True, slots=True)
class Shown:
    """The outcome of a demo.

    Attributes:
        files: the written files, in the order of FILES.
        model, why: the model that rendered, and why it was chosen.
        lsd_before, lsd_after: log-spectral distance to the original, of the input and of the output.
        null_db: level of output minus input below the cut-off, relative to the input.
        lag: of the output, in samples.
        work_ratio: seconds of work per second of audio; None if the engine had the result in its cache.
    """

    files: tuple[Path, ...]
    model: str
    why: str
    lsd_before: float
    lsd_after: float
    null_db: float
    lag: int
    work_ratio: float | None


def demonstrate(folder: Path, state: Path | None = None) -> Shown:
    """Writes the reference, the input, the output and a picture of the three to `folder`, and measures.

    Args:
        folder: created if missing; an earlier demo in it is replaced.
        state: the engine's state folder.

    Raises:
        OutputError: files of these names that no demo wrote, a full disk, or no permission.
            EngineError: no engine runs and none can be started.
    """
    from render.measure.plots import spectrograms
    from render.measure.protocol import NYQUIST_SHARE, degrade, measure

    reference, source, output, picture = paths = tuple(folder / name for name in FILES)
    _check(paths)
    full = recording()
    given = degrade(full[0], CUTOFF_HZ)[None]
    with _all_or_none((*paths, sidecar_path(output))):
        _write(reference, full)
        _write(source, given)
        with Client.connect(state=state) as client:
            result = client.submit(source, "music", deliver="file").wait()
            result.save(output, force=True)
            made = result.audio
        limit_hz = NYQUIST_SHARE * RECORDED_HZ
        before, after = (measure(full[0], given[0], each[0], CUTOFF_HZ, limit_hz) for each in (given, made))
        sounds = {"original": full[0], "cut at 4 kHz": given[0], "rendered": made[0]}
        spectrograms(picture, sounds, CUTOFF_HZ)
    return Shown(
        paths,
        result.report.model,
        result.report.model_reason,
        before.lsd,
        after.lsd,
        after.null_db,
        after.lag,
        None if result.report.cached else result.seconds * RATE_HZ / full.shape[1],
    )


def recording() -> Audio:
    """The bundled recording, (1, frames) at 48 kHz; a text file beside it gives source and licence."""
    import soundfile

    with resources.files("bridge.evaluation").joinpath(RECORDING).open("rb") as file:
        samples, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T)


def told(shown: Shown) -> str:
    """The outcome in words."""
    speed = (
        "none: the engine had this render in its cache"
        if shown.work_ratio is None
        else f"{shown.work_ratio:.2f} s per second of audio"
    )
    return "\n".join(
        [
            f"model                  {shown.model} ({shown.why})",
            f"distance to original   LSD {shown.lsd_before:.2f} cut at 4 kHz, {shown.lsd_after:.2f} rendered",
            f"below the cut-off      {shown.null_db:.0f} dB (output minus input; -inf is the input's own)",
            f"lag                    {shown.lag} samples",
            f"work                   {speed}",
            *(f"wrote                  {path}" for path in shown.files),
        ]
    )


def _check(paths: tuple[Path, ...]) -> None:
    strangers = [path for path in paths if path.exists()]
    if strangers and not sidecar_path(paths[2]).exists():
        raise OutputError(f"{strangers[0]}: exists and is not a demo's; choose another folder with -o", "out")


@contextmanager
def _all_or_none(paths: tuple[Path, ...]) -> Iterator[None]:
    """Removes the files that a block has added, if it does not end: they would be taken for a stranger's."""
    added = [path for path in paths if not path.exists()]
    try:
        yield
    except BaseException:
        for path in added:
            with suppress(OSError):
                path.unlink()
        raise


def _write(path: Path, samples: Audio) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made: {error.strerror}", "out") from None
    encode(ArrayClip(samples, RATE_HZ), path, Encoding("wav", 32), Preset())
