"""What a caller asked for becomes a job: the message to send, and the bytes to send after it. No sockets."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

import presets
from bridge.wire import messages
from bridge.wire.messages import CHANNELS_MAX, RATE_MAX_HZ, RATE_MIN_HZ, Audio, JobId, Submit
from bridge.wire.transfer import ArrayBytes, Bytes, FileBytes
from bridge.wire.ulid import new_ulid
from presets import schema
from presets.errors import InputError, OutputError, UsageError
from presets.schema import Preset

Source: TypeAlias = Path | str | tuple[NDArray[Any], int]
"""A file, or an array (channels, frames) or (frames,) with its rate in Hz."""
Delivery: TypeAlias = Literal["pcm", "file", "path"]


class Request(NamedTuple):
    """A job to submit. `upload` opens its bytes (None where the engine reads them itself)."""

    submit: Submit
    upload: AbstractContextManager[Bytes | None]


def request(
    source: Source,
    preset: str | Preset,
    *,
    local: bool,
    deliver: Delivery = "pcm",
    out: Path | str | None = None,
    force: bool = False,
    priority: int = 0,
    job: str | None = None,
    preset_name: str | None = None,
    **knobs: Any,
) -> Request:
    """Puts a job together; see `bridge.client.renderer.Renderer.submit` for the arguments.

    Args:
        local: whether the engine sees the caller's files: it then gets paths in place of bytes.

    Raises:
        UsageError: a knob, preset, priority, job name or delivery that cannot be.
        InputError: a source that is not there, or no audio by its shape, type or rate.
        OutputError: `out` is the source itself.
    """
    name = preset_name or (preset if isinstance(preset, str) else "custom")
    params = schema.make(presets.load(preset) if isinstance(preset, str) else preset, **knobs)
    where, upload = _source(source, local)
    submit = Submit(
        job=_job(job),
        source=where,
        deliver=_deliver(deliver, out, force, source, local),
        params=params,
        preset=label(name),
        priority=_priority(priority),
    )
    return Request(submit, upload)


def label(preset: str) -> str:
    """What a preset is called on the wire: its name, or its file's in the letters that names may have."""
    stem = Path(preset).stem if preset.endswith(".toml") else preset
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:64] or "custom"


def _source(source: Source, local: bool) -> tuple[messages.Source, AbstractContextManager[Bytes | None]]:
    if isinstance(source, tuple):
        array, rate = source
        samples = _planar(array)
        audio = Audio(
            _rate(rate), samples.shape[0], samples.shape[1], "i2" if samples.dtype == "<i2" else "f4"
        )
        return messages.Pcm(audio), nullcontext(ArrayBytes(samples))
    path = Path(os.path.abspath(Path(source).expanduser()))
    file = FileBytes(path)
    if local:
        file.close()
        return messages.Path(str(path)), nullcontext()
    return messages.File(path.name, file.nbytes), file


def _planar(array: NDArray[Any]) -> NDArray[Any]:
    """(channels, frames) in little-endian float32 or int16; copied only where it must be."""
    samples = np.asarray(array)
    shape = "x".join(map(str, samples.shape)) or "no"
    if samples.ndim not in (1, 2) or not (samples.dtype.kind == "f" or samples.dtype == np.int16):
        raise InputError(
            f"array of {shape} {samples.dtype}: give (channels, frames) or (frames,) as float, full scale "
            "+-1, or int16",
            "source",
        )
    samples = samples.reshape(1, -1) if samples.ndim == 1 else samples
    if not 1 <= samples.shape[0] <= CHANNELS_MAX:
        raise InputError(
            f"array of {shape}: {samples.shape[0]} channels, 1 to {CHANNELS_MAX} can be rendered; "
            "arrays are (channels, frames)",
            "source",
        )
    if samples.shape[1] == 0:
        raise InputError(f"array of {shape}: no frames", "source")
    return np.ascontiguousarray(samples, "<i2" if samples.dtype == np.int16 else "<f4")


def _rate(rate_hz: float) -> int:
    if rate_hz != int(rate_hz) or not RATE_MIN_HZ <= rate_hz <= RATE_MAX_HZ:
        raise InputError(
            f"rate {rate_hz} Hz: whole numbers from {RATE_MIN_HZ} to {RATE_MAX_HZ} can be rendered", "source"
        )
    return int(rate_hz)


def _deliver(
    deliver: Delivery, out: Path | str | None, force: bool, source: Source, local: bool
) -> messages.Deliver:
    if (deliver == "path") != (out is not None):
        raise UsageError("`out` goes with deliver='path', and deliver='path' needs it", "out")
    if deliver == "pcm":
        return messages.DeliverPcm()
    if deliver == "file":
        return messages.DeliverFile()
    if deliver != "path" or out is None:
        raise UsageError(f"deliver = {deliver!r}; allowed: pcm, file, path", "deliver")
    if not local:
        raise UsageError(
            "the engine runs elsewhere and cannot write here; take deliver='file' and save the result",
            "deliver",
        )
    path = Path(os.path.abspath(Path(out).expanduser()))
    if not isinstance(source, tuple) and path.exists() and path.samefile(Path(source).expanduser()):
        raise OutputError(f"{path} is the source itself; choose another name", "out")
    return messages.DeliverPath(str(path), force)


def _priority(priority: int) -> int:
    if not -9 <= priority <= 9:
        raise UsageError(f"priority = {priority}; allowed: -9 to 9", "priority")
    return priority


def _job(job: str | None) -> str:
    if job is None:
        return new_ulid()
    try:
        return msgspec.convert(job, JobId)
    except msgspec.ValidationError:
        raise UsageError(f"job = {job!r} is not a ULID; leave it out to have one made", "job") from None
