"""Every knob of a render: unit, bounds, default, in one place.

A knob has the same name as a command-line flag, a wire field, a preset key and an attribute of
`bridge.SuperResolution`. `Preset` is what travels: immutable, complete, and validated on
construction through `make` or `from_toml`.
"""

from __future__ import annotations

import re
from numbers import Real
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, inspect

from presets import delivery, timecode, words
from presets.chains import Effects
from presets.delivery import Delivery
from presets.errors import PresetError, UsageError
from presets.limits import CUTOFF_MAX_HZ, CUTOFF_MIN_HZ

RATE_HZ = 48000
"""The rate the models work at, and the default rate of a result."""

Sampler = Literal["ddim", "dpmpp_2m", "unipc"]
Vocoder = Literal["auto", "hifigan", "phase"]
Stereo = Literal["linked", "mid_side", "independent", "mono"]
Stem = Literal["full", "high", "low"]
Format = Literal["wav", "flac", "aiff"]
Rate = Literal[44100, 48000, 88200, 96000]

ModelName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9][a-z0-9-]{0,63}$(?!\\n)",
        description="What generates the band; `auto`: AudioSR where its weights and a GPU are, else draft.",
        extra={"words": "auto, or a name that `airband models` lists (lower-case letters, digits, dashes)"},
    ),
]
CutoffHz = Annotated[float, Meta(ge=CUTOFF_MIN_HZ, le=CUTOFF_MAX_HZ)]
Cutoff = Annotated[
    Literal["auto", "rolloff"] | CutoffHz,
    Meta(
        description="Where the original band ends: `auto` looks for a cliff in the spectrum, `rolloff` takes "
        "0.99 of the energy (AudioSR, section 3.2), a number is the -6 dB edge.",
        extra={"unit": "Hz"},
    ),
]
Seed = Annotated[
    int,
    Meta(
        ge=0,
        le=2**63 - 1,
        description="Seed of the generated band; draft: 0 has the balance it expects, 1 to 4 have others.",
    ),
]
Steps = Annotated[int, Meta(ge=1, le=1000, description="Sampler steps (AudioSR).")]
SamplerName = Annotated[Sampler, Meta(description="Sampler (AudioSR).")]
CacheInterval = Annotated[
    int,
    Meta(
        ge=1,
        le=10,
        description="Sampler steps that share what the coarse levels of AudioSR's U-Net give, nine tenths of "
        "its work (DeepCache): 1 is each its own.",
        extra={"unit": "steps"},
    ),
]
GuidedShare = Annotated[
    float,
    Meta(
        ge=0,
        le=1,
        description="Share of the sampler's steps, from the first on, that are guided (AudioSR); the "
        "first half does most.",
    ),
]
CfgScale = Annotated[
    Literal["auto"] | Annotated[float, Meta(ge=1, le=10)],
    Meta(
        description="Classifier-free guidance scale (AudioSR): 1 is none, more makes the band bolder; `auto` "
        "is what the model was made for, 3.5 for the official ones."
    ),
]
VocoderName = Annotated[
    Vocoder,
    Meta(
        description="How AudioSR's spectrogram becomes sound: `hifigan` is the model's own network, `phase` "
        "finds phases for it at a hundredth of the cost, `auto` is the network where the model has one."
    ),
]
StereoPolicy = Annotated[
    Stereo,
    Meta(
        description="How channels are held together; `linked` keeps what is equal in two of them equal, "
        "`mid_side` takes the sum and the difference of every left and right."
    ),
]
Lfe = Annotated[bool, Meta(description="Generate into a low-frequency channel (LFE) too.")]
Joint = Annotated[
    bool,
    Meta(
        description="Average overlapping windows at every step (AudioSR): the smoothest long textures, but a "
        "selection no longer equals that stretch of the full render."
    ),
]
HighGainDb = Annotated[
    float, Meta(ge=-24, le=24, description="Gain of the generated band.", extra={"unit": "dB"})
]
AirDb = Annotated[
    float,
    Meta(
        ge=-12,
        le=12,
        description="Tilt of the generated band: gain at its top, rising from none at the cut-off (draft).",
        extra={"unit": "dB"},
    ),
]
FillHoles = Annotated[
    bool, Meta(description="Generate into a codec's holes below the cut-off too; the sidecar lists them.")
]
CeilingHz = Annotated[float, Meta(ge=2000, le=24000)]
Ceiling = Annotated[
    CeilingHz | None,
    Meta(
        description="Where the generated band ends; by default where the result's does (draft).",
        extra={"unit": "Hz", "unset": "none"},
    ),
]
CrossoverOctaves = Annotated[
    float, Meta(ge=1 / 24, le=1 / 2, description="Width of the crossover.", extra={"unit": "octaves"})
]
GateDb = Annotated[float, Meta(ge=-120, le=-40)]
Gate = Annotated[
    Literal["off"] | GateDb,
    Meta(description="Below this level, per 50 ms, nothing is generated.", extra={"unit": "dBFS"}),
]
StemName = Annotated[Stem, Meta(description="The whole, only what was generated, or only the original band.")]
RateHz = Annotated[Rate, Meta(description="Rate of the result.", extra={"unit": "Hz"})]
FormatName = Annotated[
    Format | None,
    Meta(
        description="File format of the result; by default the source's, or wav.",
        extra={"unset": "as the source"},
    ),
]
BitDepth = Annotated[
    Literal[0, 16, 24, 32],
    Meta(
        description="Bits a sample; 0 is the format's own default: 32 (float) for wav and aiff, 24 for flac.",
        extra={"words": "16, 24, 32 (float), 0"},
    ),
]
Dither = Annotated[Literal["tpdf", "none"], Meta(description="Dither of a 16 or 24-bit result.")]
Seconds = Annotated[float, Meta(ge=0, le=1e8)]
Place = Annotated[
    str, Meta(pattern="^([0-9]{1,15}smp|([0-9]{1,3}:)?[0-9]{1,4}:[0-9]{1,2}([.:;][0-9]{1,9})?)$(?!\\n)")
]
Position = Seconds | Place | None
"""A place in the source: seconds as a number; samples as "480000smp"; "mm:ss.mmm"; SMPTE time code, which
needs `fps`; None for its end (or start)."""
POSITION = {"words": "seconds, mm:ss.mmm, samples as 480000smp, or hh:mm:ss:ff with fps"}
Fps = Annotated[
    Literal["23.976", "24", "25", "29.97", "30", "50", "59.94", "60"] | None,
    Meta(description="Pictures a second, for `start` and `end` as SMPTE time code."),
]
Start = Annotated[
    Position, Meta(description="Where the rendered stretch of the source begins.", extra=POSITION)
]
End = Annotated[Position, Meta(description="Where the rendered stretch of the source ends.", extra=POSITION)]

Stream = Annotated[
    int,
    Meta(ge=0, le=99, description="Which audio stream of a source that holds several; 0 is the first."),
]
AcceptTruncated = Annotated[
    bool,
    Meta(
        description="Take what is there of a source that breaks off or is damaged, in place of an error; "
        "sidecar and report say what is missing."
    ),
]
Like = Annotated[
    Annotated[str, Meta(min_length=1, max_length=4096)] | None,
    Meta(
        description="A full-band recording of the same voice, instrument or room, or a folder of them: the "
        "generated band is corrected by what the model makes of it, cut as the source is.",
        extra={"words": "a file or a folder", "unset": "none"},
    ),
]


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A complete description of a render: every knob, its unit, its bounds and its default."""

    description: Annotated[str, Meta(max_length=400)] = ""
    model: ModelName = "auto"
    cutoff: Cutoff = "auto"
    seed: Seed = 0
    steps: Steps = 50
    sampler: SamplerName = "ddim"
    cache_interval: CacheInterval = 1
    cfg_scale: CfgScale = "auto"
    guided_share: GuidedShare = 1.0
    vocoder: VocoderName = "auto"
    stereo: StereoPolicy = "linked"
    lfe: Lfe = False
    joint: Joint = False
    high_gain_db: HighGainDb = 0.0
    air_db: AirDb = 0.0
    ceiling: Ceiling = None
    fill_holes: FillHoles = False
    crossover_octaves: CrossoverOctaves = 1 / 12
    gate_db: Gate = -90.0
    stem: StemName = "full"
    rate: RateHz = 48000
    format: FormatName = None
    bit_depth: BitDepth = 0
    dither: Dither = "tpdf"
    like: Like = None
    start: Start = None
    end: End = None
    fps: Fps = None
    stream: Stream = 0
    accept_truncated: AcceptTruncated = False
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
    values.update({name: _own(value) for name, value in knobs.items() if value is not None})
    return from_builtins(values)


def from_builtins(values: dict[str, Any]) -> Preset:
    """A Preset from plain values; raises UsageError naming the knob, the value and the limit."""
    fps = values.get("fps")
    if isinstance(fps, int | float) and not isinstance(fps, bool):
        values = {**values, "fps": f"{fps:g}"}
    try:
        preset = msgspec.convert(values, Preset)
    except msgspec.ValidationError as error:
        for name in Preset.__struct_fields__:  # one by one, which takes a millisecond, only to name the knob
            if name in values:
                _check_knob(name, values[name])
        raise UsageError(f"preset: {error}") from None
    for name in ("start", "end"):
        try:
            frames_at(getattr(preset, name), RATE_HZ, preset.fps)
        except UsageError as error:
            raise UsageError(f"{name} = {error.message}", name) from None
    return preset


def _own(value: Any) -> Any:
    """`value` in Python's own types: scalars of NumPy (what has `item`; a whole float as int), other real
    numbers (a long double, a fraction), and paths.
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
        PresetError: text that does not parse, an unknown key, a value outside its bounds.
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


def frames_at(position: Position, rate_hz: int, fps: str | None = None) -> int | None:
    """The source frame at `position`, or None for an open end.

    Args:
        position: seconds, "Nsmp", "mm:ss.mmm", "hh:mm:ss:ff", or None.
        rate_hz: the source's rate.
        fps: pictures a second, which time code needs.

    Raises:
        UsageError: time code without `fps`, or with a picture that it has not.
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


def _check_knob(name: str, value: Any) -> None:
    if name == "delivery" and isinstance(value, dict):
        delivery.check(value)
    try:
        msgspec.convert(value, _TYPES[name])
    except msgspec.ValidationError as error:
        reason = ": " + re.sub(r" - at `\$[^`]*`", "", str(error))
        reason = f"; allowed: {allowed(name)}" if name in FLAGS else reason
        raise UsageError(f"{name} = {value!r}{reason}", name) from None


_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Preset)}
"""What each field may hold: looked up once, for evaluating the annotations takes milliseconds."""
_KINDS: dict[str, inspect.Metadata] = {
    field.name: field.type
    for field in inspect.type_info(Preset).fields  # type: ignore[attr-defined]
    if isinstance(field.type, inspect.Metadata)
}
FLAGS: tuple[str, ...] = tuple(name for name in KNOBS if name not in ("effects", "delivery"))
"""The knobs that hold one value, and so are flags of the command line."""
