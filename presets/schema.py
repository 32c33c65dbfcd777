"""Every knob of a render: unit, bounds, default, in one place.

A knob has the same name as a command-line flag, a wire field, a preset key and an attribute of
`bridge.rack.SuperResolution`. `Preset` is what travels: immutable, complete, and validated on
construction through `make` or `from_toml`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from presets.errors import PresetError, UsageError

RATE_HZ = 48000
"""The rate the models work at, and the default rate of a result."""

Sampler = Literal["ddim", "dpmpp_2m", "unipc"]
Stereo = Literal["linked", "mid_side", "independent", "mono"]
Stem = Literal["full", "high", "low"]
Format = Literal["wav", "flac", "aiff"]
Rate = Literal[44100, 48000, 88200, 96000]

ModelName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9][a-z0-9-]{0,63}$",
        description="Model, or `auto`: AudioSR when its weights and a GPU are there, else draft.",
    ),
]
CutoffHz = Annotated[float, Meta(ge=1000, le=23000)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1, description="Seed of the generated band.")]
Steps = Annotated[int, Meta(ge=1, le=1000, description="Sampler steps (AudioSR).")]
CfgScale = Annotated[float, Meta(ge=1, le=10, description="Classifier-free guidance scale (AudioSR).")]
HighGainDb = Annotated[float, Meta(ge=-24, le=24, description="Gain of the generated band, dB.")]
CrossoverOctaves = Annotated[float, Meta(ge=1 / 24, le=1 / 2, description="Width of the crossover, octaves.")]
GateDb = Annotated[float, Meta(ge=-120, le=-40)]
Seconds = Annotated[float, Meta(ge=0)]
Samples = Annotated[str, Meta(pattern="^[0-9]+smp$")]
Position = Seconds | Samples | None
"""A place in the source: seconds as a number, samples as "480000smp", or None for its end (or start)."""


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One stage of an effect chain: a native Pedalboard effect by `name`, or a plugin by `path`."""

    name: Annotated[str, Meta(max_length=64)] | None = None
    path: Annotated[str, Meta(max_length=4096)] | None = None
    params: dict[str, bool | float | str] = {}
    state: Annotated[str, Meta(max_length=4096, description="File with the plugin's state.")] | None = None
    on_error: Literal["fail", "bypass"] = "fail"
    tail_s: Annotated[float, Meta(ge=0, le=60, description="Tail kept after the clip's end, s.")] = 0.0


class Effects(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Chains around the model: `before` at the input's rate, `after` at the output's."""

    before: tuple[Effect, ...] = ()
    after: tuple[Effect, ...] = ()


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the finished stem must measure (ITU-R BS.1770-4), and what to do about overs."""

    loudness: Literal["as-is", "match-input"] | Annotated[float, Meta(ge=-70, le=0)] = "as-is"
    true_peak_dbtp: Annotated[float, Meta(ge=-20, le=0)] | None = None
    clip: bool = False


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A complete description of a render.

    `cutoff` is `auto` (a cliff in the spectrum), `rolloff` (0.99 of the energy, AudioSR section 3.2) or a
    frequency in Hz. `gate_db` is in dBFS per 50 ms, or `off`. `bit_depth` 0 means the format's own default:
    32-bit float for wav and aiff, 24 for flac. `format` None means as the source, or wav.
    """

    description: Annotated[str, Meta(max_length=400)] = ""
    model: ModelName = "auto"
    cutoff: Literal["auto", "rolloff"] | CutoffHz = "auto"
    seed: Seed = 0
    steps: Steps = 50
    sampler: Sampler = "ddim"
    cfg_scale: CfgScale = 3.5
    stereo: Stereo = "linked"
    joint: bool = False
    high_gain_db: HighGainDb = 0.0
    crossover_octaves: CrossoverOctaves = 1 / 12
    gate_db: Literal["off"] | GateDb = -90.0
    stem: Stem = "full"
    rate: Rate = 48000
    format: Format | None = None
    bit_depth: Literal[0, 16, 24, 32] = 0
    dither: Literal["tpdf", "none"] = "tpdf"
    start: Position = None
    end: Position = None
    effects: Effects = msgspec.field(default_factory=Effects)
    delivery: Delivery = msgspec.field(default_factory=Delivery)


KNOBS: tuple[str, ...] = tuple(name for name in Preset.__struct_fields__ if name != "description")


def make(base: Preset | None = None, /, **knobs: Any) -> Preset:
    """A validated Preset: `base` (or the defaults) with `knobs` laid over it.

    Args:
        base: the preset to start from.
        knobs: values by knob name, as Python, TOML or JSON would hold them; None leaves a knob as it is.

    Raises:
        UsageError: an unknown knob or a value outside its bounds; names the knob, the value and the limit.
    """
    unknown = [name for name in knobs if name not in Preset.__struct_fields__]
    if unknown:
        raise UsageError(f"unknown knob {unknown[0]!r}; the knobs are {', '.join(KNOBS)}", unknown[0])
    values = msgspec.to_builtins(base if base is not None else Preset())
    values.update({name: value for name, value in knobs.items() if value is not None})
    return from_builtins(values)


def from_builtins(values: dict[str, Any]) -> Preset:
    """A Preset from plain values; raises UsageError naming the knob, the value and the limit."""
    for name in Preset.__struct_fields__:
        if name in values:
            _check_knob(name, values[name])
    try:
        return msgspec.convert(values, Preset)
    except msgspec.ValidationError as error:
        raise UsageError(f"preset: {error}") from None


def from_toml(text: str | bytes, where: str) -> Preset:
    """A Preset from TOML text.

    Args:
        text: the file's content.
        where: the file's name, for messages.

    Raises:
        PresetError: text that does not parse, an unknown key, a value outside its bounds.
    """
    try:
        values = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
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


def frames_at(position: Position, rate_hz: int) -> int | None:
    """The source frame at `position`, or None for an open end.

    Args:
        position: seconds, "Nsmp", or None.
        rate_hz: the source's rate.
    """
    if position is None:
        return None
    if isinstance(position, str):
        return int(position.removesuffix("smp"))
    return round(position * rate_hz)


def _check_knob(name: str, value: Any) -> None:
    knob = next(f for f in msgspec.structs.fields(Preset) if f.name == name)
    try:
        msgspec.convert(value, knob.type)
    except msgspec.ValidationError as error:
        reason = re.sub(r" - at `\$[^`]*`", "", str(error))
        allowed = ALLOWED.get(name)
        hint = f"; allowed: {allowed}" if allowed else ""
        raise UsageError(f"{name} = {value!r}: {reason}{hint}", name) from None


ALLOWED = {
    "model": "auto, or a name of lower-case letters, digits and dashes (see `airband models`)",
    "cutoff": "auto, rolloff, or 1000 to 23000 Hz",
    "seed": "0 to 2^63 - 1",
    "steps": "1 to 1000",
    "sampler": "ddim, dpmpp_2m, unipc",
    "cfg_scale": "1 to 10",
    "stereo": "linked, mid_side, independent, mono",
    "joint": "true or false",
    "high_gain_db": "-24 to 24 dB",
    "crossover_octaves": "1/24 to 1/2 octave",
    "gate_db": "-120 to -40 dBFS, or off",
    "stem": "full, high, low",
    "rate": "44100, 48000, 88200, 96000 Hz",
    "format": "wav, flac, aiff",
    "bit_depth": "16, 24, or 32 (float)",
    "dither": "tpdf, none",
    "start": "seconds, or samples as 480000smp",
    "end": "seconds, or samples as 480000smp",
}
"""What each knob accepts, in words, for messages and `--help`."""
