"""Every knob of a render and its default, in one place; the bounds of each stand in presets.knobs.

A knob has the same name as a command-line flag, a wire field, a preset key and an attribute of
`bridge.SuperResolution`. A `Preset` crosses the wire: it is immutable, complete, and validated when it is
made by `make` or `from_toml`.
"""

from __future__ import annotations

import re
from numbers import Real
from typing import Annotated, Any

import msgspec
from msgspec import Meta, inspect

from presets import chains, delivery, knobs, timecode, words
from presets.chains import Effects
from presets.delivery import Delivery
from presets.errors import PresetError, UsageError

RATE_HZ = 48000
"""The rate the models work at, and the default rate of a result."""


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A complete description of a render: every knob, its unit, its bounds and its default."""

    description: Annotated[str, Meta(max_length=400)] = ""
    model: knobs.ModelName = "auto"
    cutoff: knobs.Cutoff = "auto"
    seed: knobs.Seed = 0
    steps: knobs.Steps = 50
    sampler: knobs.SamplerName = "ddim"
    cache_interval: knobs.CacheInterval = 1
    cfg_scale: knobs.CfgScale = "auto"
    guided_share: knobs.GuidedShare = 1.0
    vocoder: knobs.VocoderName = "auto"
    stereo: knobs.StereoPolicy = "linked"
    lfe: knobs.Lfe = False
    joint: knobs.Joint = False
    high_gain_db: knobs.HighGainDb = 0.0
    air_db: knobs.AirDb = 0.0
    ceiling: knobs.Ceiling = None
    fill_holes: knobs.FillHoles = False
    crossover_octaves: knobs.CrossoverOctaves = 1 / 12
    gate_db: knobs.Gate = -90.0
    stem: knobs.StemName = "full"
    rate: knobs.RateHz = 48000
    format: knobs.FormatName = None
    bit_depth: knobs.BitDepth = 0
    dither: knobs.Dither = "tpdf"
    like: knobs.Like = None
    start: knobs.Start = None
    end: knobs.End = None
    fps: knobs.Fps = None
    stream: knobs.Stream = 0
    accept_truncated: knobs.AcceptTruncated = False
    effects: Effects = msgspec.field(default_factory=Effects)
    delivery: Delivery = msgspec.field(default_factory=Delivery)


KNOBS: tuple[str, ...] = tuple(name for name in Preset.__struct_fields__ if name != "description")


def make(base: Preset | None = None, /, **given: Any) -> Preset:
    """A validated Preset: `base` (or the defaults) with `given` laid over it.

    Args:
        base: the preset to start from.
        given: values by knob name, as Python, TOML or JSON would hold them; None leaves a knob as it is.

    Raises:
        UsageError: an unknown knob or a value outside its bounds; it names the knob, the value and the limit.
    """
    unknown = [name for name in given if name not in Preset.__struct_fields__]
    if unknown:
        raise UsageError(f"unknown knob {unknown[0]!r}; the knobs are {', '.join(KNOBS)}", unknown[0])
    values = msgspec.to_builtins(base if base is not None else Preset())
    values.update({name: _own(value) for name, value in given.items() if value is not None})
    return from_builtins(values)


def from_builtins(values: dict[str, Any]) -> Preset:
    """A Preset from plain values; raises UsageError naming the knob, the value and the limit."""
    fps = values.get("fps")
    if isinstance(fps, int | float) and not isinstance(fps, bool):
        values = {**values, "fps": f"{fps:g}"}
    values = {name: words.fraction(value) if name in _NUMBERS else value for name, value in values.items()}
    try:
        preset = msgspec.convert(values, Preset)
    except NOT_VALID as error:
        for name in Preset.__struct_fields__:  # one by one to name the knob; takes a millisecond
            if name in values:
                _check_knob(name, values[name])
        raise UsageError(f"preset: {error}") from None
    for name in ("start", "end"):
        try:
            frames_at(getattr(preset, name), RATE_HZ, preset.fps)
        except UsageError as error:
            raise UsageError(f"{name} = {error.message}", name) from None
    if preset.ceiling is not None and isinstance(preset.cutoff, float) and preset.ceiling <= preset.cutoff:
        raise UsageError(
            f"ceiling = {preset.ceiling:g} Hz is not above cutoff = {preset.cutoff:g} Hz, so nothing would "
            "be generated between them; raise the ceiling or lower the cut-off",
            "ceiling",
        )
    return preset


def _own(value: Any) -> Any:
    """`value` in Python's own types. Converts scalars of NumPy (anything with `item`; a whole float to an
    int), other real numbers (a long double, a fraction), and paths.
    """
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_own(item) for item in value]
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
        if isinstance(value, float) and value.is_integer():
            return int(value)
    if isinstance(value, Real) and not isinstance(value, int | float):
        return float(value)
    return value.__fspath__() if hasattr(value, "__fspath__") else value


def from_toml(text: str | bytes, where: str) -> Preset:
    """A Preset from TOML text.

    Args:
        text: the file's content.
        where: the file's name, for messages.

    Raises:
        PresetError: text that does not parse, an unknown key, or a value outside its bounds.
    """
    try:
        values = msgspec.toml.decode(text)
    except (ValueError, RecursionError) as error:  # an integer of 5000 digits, lists in lists in lists
        raise PresetError(f"{where}: not valid TOML: {error}") from None
    unknown = [name for name in values if name not in Preset.__struct_fields__]
    if unknown:
        raise PresetError(f"{where}: unknown key {unknown[0]!r}; the keys are {', '.join(KNOBS)}", unknown[0])
    try:
        return from_builtins(values)
    except UsageError as error:
        raise PresetError(f"{where}: {error.message}", error.field) from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a preset file, for editors."""
    schema = msgspec.json.schema(Preset)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Airband preset", **schema}


def frames_at(position: knobs.Position, rate_hz: int, fps: str | None = None) -> int | None:
    """The source frame at `position`, or None for an open end.

    Args:
        position: seconds, "Nsmp", "mm:ss.mmm", "hh:mm:ss:ff", or None.
        rate_hz: the source's rate.
        fps: frames of picture a second, which time code needs.

    Raises:
        UsageError: time code without `fps`, or with a picture number that does not exist at it.
    """
    if position is None:
        return None
    if isinstance(position, str):
        if position.endswith("smp"):
            return int(position.removesuffix("smp"))
        return round(timecode.seconds(position, fps) * rate_hz)
    return round(position * rate_hz)


def meaning(name: str) -> str:
    """What knob `name` does, in a sentence."""
    return words.meaning(_KINDS[name])


def allowed(name: str) -> str:
    """What knob `name` accepts, in words with its unit: for messages, `--help` and the README."""
    return words.allowed(_KINDS[name])


def default(name: str) -> str:
    """The default of knob `name`, in words."""
    return words.default(_KINDS[name], getattr(Preset(), name))


NOT_VALID = (msgspec.ValidationError, UnicodeEncodeError)
"""What msgspec raises for an invalid value, and for text with half a surrogate pair."""


def _check_knob(name: str, value: Any) -> None:
    if name == "delivery" and isinstance(value, dict):
        delivery.check(value)
    if name == "effects":
        chains.check_keys(value)
    try:
        msgspec.convert(value, _TYPES[name])
    except NOT_VALID as error:
        reason = ": " + re.sub(r" - at `\$[^`]*`", "", str(error))
        reason = f"; allowed: {allowed(name)}" if name in FLAGS else reason
        raise UsageError(f"{name} = {value!r}{reason}", name) from None


_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Preset)}
"""The type of each field, looked up once: evaluating the annotations takes milliseconds."""
_KINDS: dict[str, inspect.Metadata] = {
    field.name: field.type
    for field in inspect.type_info(Preset).fields  # type: ignore[attr-defined]
    if isinstance(field.type, inspect.Metadata)
}
_NUMBERS = {name for name, kind in _KINDS.items() if words.is_number(kind)}
FLAGS: tuple[str, ...] = tuple(name for name in KNOBS if name not in ("effects", "delivery"))
"""The knobs that hold one value and are therefore flags of the command line."""
