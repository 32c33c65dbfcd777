"""Builds the parts of a `submit` message from the caller's arguments. No sockets."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

import presets
from bridge.wire import messages
from bridge.wire.messages import Audio, JobId
from bridge.wire.transfer import ArrayBytes, Bytes, FileBytes
from presets import schema
from presets.errors import AirbandError, InputError, OutputError, UsageError
from presets.limits import CHANNELS_MAX, RATE_MAX_HZ, RATE_MIN_HZ
from presets.printable import is_utf8, printable
from presets.schema import Preset
from render.files.parts import own_umask

if TYPE_CHECKING:
    from numpy.typing import NDArray

Name: TypeAlias = "os.PathLike[str] | os.PathLike[bytes] | str | bytes"
Source: TypeAlias = "Name | tuple[NDArray[Any], float]"
"""A file, or (array or tensor, rate in Hz): (channels, frames), (frames,) or (1, channels, frames)."""
DeliverAs: TypeAlias = Literal["pcm", "file", "path"]

SOURCES = "give the path of a file, or the pair (samples, rate in Hz)"
NAME_CHARS = 255
"""The longest file name that a message holds, in characters; of a longer one the end is kept."""


PresetName: TypeAlias = "str | os.PathLike[str] | Preset"
"""A preset's name, the path of a `.toml` file, or a Preset."""


def parameters(preset: PresetName, preset_name: str | None, knobs: dict[str, Any]) -> tuple[Preset, str]:
    """The complete preset of a job, and the name it is recorded under.

    Args:
        preset: see `PresetName`.
        preset_name: the name of a Preset; by default its own name, or `custom`.
        knobs: values that override the preset's.

    Raises:
        UsageError: an unknown preset or knob, or a value outside its bounds.
    """
    if isinstance(preset, os.PathLike):
        preset = os.fspath(preset)
    params = schema.make(presets.resolve(preset), **knobs)
    return params, preset_name or (preset if isinstance(preset, str) else "custom")


def with_like(params: Preset, local: bool) -> Preset:
    """`params` for the engine: the path of the recordings in `like` is made absolute.

    Raises:
        UsageError: the engine runs elsewhere and cannot see them, or their path is not UTF-8.
    """
    if params.like is None:
        return params
    if not local:
        raise UsageError(
            f"like = {params.like!r}: the engine runs elsewhere and cannot open your files; leave it out, or "
            "render where the recordings are",
            "like",
        )
    path = os.path.abspath(os.path.expanduser(params.like))
    if "\0" in path or not is_utf8(path):
        raise UsageError(
            f"like = {printable(path)}: is not UTF-8, and paths travel to an engine as text; "
            "rename it, or give a link to it",
            "like",
        )
    return msgspec.structs.replace(params, like=path)


def clipping(preset: Preset) -> Preset:
    """`preset`, with samples beyond full scale allowed to clip."""
    return msgspec.structs.replace(preset, delivery=msgspec.structs.replace(preset.delivery, clip=True))


def label(preset: str) -> str:
    """A preset's name on the wire: its own, or its file's stem in the characters allowed in names."""
    stem = Path(preset).stem if preset.endswith(".toml") else preset
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:64] or "custom"


def open_source(source: Source, local: bool) -> tuple[messages.Source, AbstractContextManager[Bytes | None]]:
    """A source as a message describes it, and the bytes to send after it (None where the engine reads them).

    Args:
        source: a file, or an array with its rate.
        local: whether the engine sees the caller's files; it then gets a path in place of bytes.

    Raises:
        InputError: the source does not exist, or its shape, type or rate is not that of audio.
    """
    if isinstance(source, tuple):
        if len(source) != 2:
            raise InputError(f"a source of {len(source)} parts: {SOURCES}", "source")
        array, rate = source
        samples = _planar(array)
        audio = Audio(
            _rate(rate), samples.shape[0], samples.shape[1], "i2" if samples.dtype == "<i2" else "f4"
        )
        return messages.Pcm(audio), nullcontext(ArrayBytes(samples))
    path = _path(source, InputError, "source", SOURCES)
    file = FileBytes(path)
    if local and is_utf8(str(path)):
        file.close()
        return messages.Path(str(path)), nullcontext()
    return messages.File(printable(path.name)[-NAME_CHARS:], file.nbytes), file


def _path(name: Name, error: type[AirbandError], field: str, wanted: str) -> Path:
    """`name` as an absolute path; raises `error`, which says what is `wanted`, if it names no file."""
    try:
        text = os.fsdecode(name)
    except TypeError:
        raise error(f"{field} is of type {type(name).__name__}: {wanted}", field) from None
    if not text:
        raise error(f"{field} is an empty name: {wanted}", field)
    if "\0" in text:
        raise error(f"{field} = {text!r}: a path holds no NUL", field)
    return Path(os.path.abspath(os.path.expanduser(text)))


def _planar(array: NDArray[Any]) -> NDArray[Any]:
    """(channels, frames) in little-endian float32 or int16; copied only where it must be."""
    import numpy as np

    samples = _as_numpy(array)
    is_int16 = samples.dtype.newbyteorder("=") == np.int16
    shape = "x".join(map(str, samples.shape))
    if samples.ndim == 0:
        raise InputError(f"the samples are of type {type(array).__name__}: {SOURCES}", "source")
    if samples.ndim == 3 and len(samples) == 1:  # a batch of one, as generators return
        samples = samples[0]
    if samples.ndim not in (1, 2) or not (samples.dtype.kind == "f" or is_int16):
        raise InputError(
            f"array of {shape} {samples.dtype}: give (channels, frames), (frames,) or (1, channels, frames), "
            "float with full scale +-1, or int16",
            "source",
        )
    samples = samples.reshape(1, -1) if samples.ndim == 1 else samples
    if not 1 <= samples.shape[0] <= CHANNELS_MAX:
        turned = "; transpose it" if 1 <= samples.shape[1] <= CHANNELS_MAX else ""
        raise InputError(
            f"array of {shape}: {samples.shape[0]} channels, 1 to {CHANNELS_MAX} can be rendered; "
            f"arrays are (channels, frames){turned}",
            "source",
        )
    if samples.shape[1] == 0:
        raise InputError(f"array of {shape}: no frames", "source")
    with np.errstate(over="ignore"):  # values too large for float32 become infinite and are refused later
        return np.ascontiguousarray(samples, "<i2" if is_int16 else "<f4")


def _as_numpy(array: Any) -> NDArray[Any]:
    """`array` as a NumPy array, even if it is a PyTorch tensor with a gradient, on a GPU or in bfloat16."""
    import numpy as np

    try:
        if hasattr(array, "detach"):
            tensor = array.float() if array.is_floating_point() else array
            return np.asarray(tensor.numpy(force=True))
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; sparse tensors, those without data
        raise InputError(
            f"source of type {type(array).__name__} is not an array: {error}", "source"
        ) from None


def _rate(rate_hz: float) -> int:
    try:
        is_whole = rate_hz == int(rate_hz)
    except (TypeError, ValueError, OverflowError):  # text, NaN, infinity
        is_whole = False
    if not (is_whole and RATE_MIN_HZ <= rate_hz <= RATE_MAX_HZ):
        raise InputError(
            f"rate = {rate_hz!r}; allowed: whole numbers from {RATE_MIN_HZ} to {RATE_MAX_HZ} Hz", "source"
        )
    return int(rate_hz)


def delivery(
    deliver: DeliverAs, out: Name | None, force: bool, source: Source, local: bool
) -> messages.Deliver:
    """Where a job's result goes, as a message states it; see `bridge.client.renderer.Renderer.submit`.

    Raises:
        UsageError: there is no such delivery, or this engine cannot make it.
        OutputError: `out` is the source itself.
    """
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
    path = _path(out, UsageError, "out", "give the path of a file")
    if not is_utf8(str(path)):
        raise UsageError(
            f"{printable(str(path))}: is not UTF-8, and paths travel to an engine as text; "
            "take deliver='file' and save the result",
            "out",
        )
    if (
        not isinstance(source, tuple)
        and os.path.exists(path)
        and path.samefile(_path(source, InputError, "source", SOURCES))
    ):
        raise OutputError(f"{path} is the source itself; choose another name", "out")
    return messages.DeliverPath(str(path), bool(force), own_umask())


def job_id(job: str) -> str:
    """`job` itself; raises UsageError if it is not a ULID."""
    try:
        return msgspec.convert(job, JobId)
    except msgspec.ValidationError:
        raise UsageError(
            f"{job!r} is not a job's name, a ULID of 26 characters; `airband jobs` lists them", "job"
        ) from None
