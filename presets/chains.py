"""Effect chains as data: which effects a preset may name, and what each parameter accepts.

The bounds are kept here because Pedalboard accepts nonsense without an error: a high-pass at -5 Hz, a phaser
whose feedback of 2 runs off to NaN. Names and units are Pedalboard's own
(https://spotify.github.io/pedalboard), so a preset reads like a script; `render.effects.native` builds the
objects.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from presets.errors import UsageError

Value = bool | float | str


class Range(msgspec.Struct, frozen=True):
    """The numbers from `low` to `high`, both included; `unit` is for messages."""

    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()

    def accepts(self, value: Value) -> bool:
        """Whether `value` is a number within the bounds; NaN is not."""
        return not isinstance(value, bool | str) and self.low <= value <= self.high


class Choice(msgspec.Struct, frozen=True):
    """One of a few values: names, or True and False."""

    values: tuple[str, ...] | tuple[bool, ...]

    def __str__(self) -> str:
        return ", ".join(str(value).lower() if isinstance(value, bool) else value for value in self.values)

    def accepts(self, value: Value) -> bool:
        """Whether `value` is one of the values, of the same type."""
        return any(value is choice or (isinstance(value, str) and value == choice) for choice in self.values)


class AudioFile(msgspec.Struct, frozen=True):
    """The path of an audio file."""

    def __str__(self) -> str:
        return "the path of an audio file"

    def accepts(self, value: Value) -> bool:
        """Whether `value` is text that is not empty."""
        return isinstance(value, str) and value != ""


Bound = Range | Choice | AudioFile

UNIT = Range(0, 1)
LEVEL_DB = Range(-100, 0, "dB")
ATTACK_MS = Range(0, 1000, "ms")
RELEASE_MS = Range(0, 5000, "ms")
LFO_HZ = Range(0, 100, "Hz")
FREQUENCY_HZ = Range(1, 192000, "Hz, and below half the sample rate")
LOOP = Range(-0.99, 0.99)
QUALITY = Choice(
    (
        "ZeroOrderHold",
        "Linear",
        "CatmullRom",
        "Lagrange",
        "WindowedSinc",
        "WindowedSinc256",
        "WindowedSinc128",
        "WindowedSinc64",
        "WindowedSinc32",
        "WindowedSinc16",
        "WindowedSinc8",
    )
)
_DYNAMICS: dict[str, Bound] = {
    "threshold_db": LEVEL_DB,
    "ratio": Range(1, 100),
    "attack_ms": ATTACK_MS,
    "release_ms": RELEASE_MS,
}
_SHELF: dict[str, Bound] = {
    "cutoff_frequency_hz": FREQUENCY_HZ,
    "gain_db": Range(-60, 60, "dB"),
    "q": Range(0.01, 100),
}

EFFECTS: dict[str, dict[str, Bound]] = {
    "Bitcrush": {"bit_depth": Range(0, 32, "bits")},
    "BrickwallLimiter": {
        "ceiling_db": Range(-60, 0, "dB"),
        "release_ms": Range(1, 5000, "ms"),
        "lookahead_ms": Range(0.1, 100, "ms"),
        "true_peak": Choice((True, False)),
    },
    "Chain": {},
    "Chorus": {
        "rate_hz": LFO_HZ,
        "depth": UNIT,
        "centre_delay_ms": Range(1, 100, "ms"),
        "feedback": LOOP,
        "mix": UNIT,
    },
    "Clipping": {"threshold_db": LEVEL_DB},
    "Compressor": _DYNAMICS,
    "Convolution": {"impulse_response_filename": AudioFile(), "mix": UNIT},
    "Delay": {"delay_seconds": Range(0, 30, "s"), "feedback": UNIT, "mix": UNIT},
    "Distortion": {"drive_db": Range(0, 100, "dB")},
    "GSMFullRateCompressor": {"quality": QUALITY},
    "Gain": {"gain_db": Range(-100, 100, "dB")},
    "HighShelfFilter": _SHELF,
    "HighpassFilter": {"cutoff_frequency_hz": FREQUENCY_HZ},
    "Invert": {},
    "LadderFilter": {
        "mode": Choice(("LPF12", "HPF12", "BPF12", "LPF24", "HPF24", "BPF24")),
        "cutoff_hz": FREQUENCY_HZ,
        "resonance": UNIT,
        "drive": Range(1, 100),
    },
    "Limiter": {"threshold_db": LEVEL_DB, "release_ms": RELEASE_MS},
    "LowShelfFilter": _SHELF,
    "LowpassFilter": {"cutoff_frequency_hz": FREQUENCY_HZ},
    "MP3Compressor": {"vbr_quality": Range(0, 9.5)},
    "Mix": {},
    "NoiseGate": _DYNAMICS,
    "PeakFilter": _SHELF,
    "Pedalboard": {},
    "Phaser": {
        "rate_hz": LFO_HZ,
        "depth": UNIT,
        "centre_frequency_hz": FREQUENCY_HZ,
        "feedback": LOOP,
        "mix": UNIT,
    },
    "PitchShift": {"semitones": Range(-72, 72)},
    "Resample": {"target_sample_rate": Range(100, 384000, "Hz"), "quality": QUALITY},
    "Reverb": {
        "room_size": UNIT,
        "damping": UNIT,
        "wet_level": UNIT,
        "dry_level": UNIT,
        "width": UNIT,
        "freeze_mode": UNIT,
    },
}
"""Every native effect, and the bounds of every parameter it takes."""

CONTAINERS = frozenset({"Chain", "Mix", "Pedalboard"})
"""Effects that hold effects: one after the other, or (Mix) side by side and summed."""


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One stage of a chain: a native Pedalboard effect by `name`, or an external plugin by `path`.

    With a `path`, `name` picks one plugin of a bundle that holds several, and `params` are the plugin's own.
    `effects` are what a Chain or a Mix holds.
    """

    name: Annotated[str, Meta(max_length=64)] | None = None
    path: Annotated[str, Meta(max_length=4096)] | None = None
    params: dict[str, Value] = {}
    effects: tuple[Effect, ...] = ()
    state: Annotated[str, Meta(max_length=4096, description="File with the plugin's state.")] | None = None
    on_error: Literal["fail", "bypass"] = "fail"
    tail_s: Annotated[float, Meta(ge=0, le=60, description="Tail kept after the clip's end, s.")] = 0.0

    def __post_init__(self) -> None:
        if self.path is not None:
            if self.effects:
                raise ValueError(f"{self.path}: a plugin holds no effects; only {_names(CONTAINERS)} do")
            return
        if self.name not in EFFECTS:
            raise ValueError(f"unknown effect {self.name!r}; the effects are {_names(EFFECTS)}")
        if self.state is not None or self.on_error != "fail":
            raise ValueError(f"{self.name}: `state` and `on_error` belong to plugins, given by `path`")
        self._check_children(self.name)
        bounds = EFFECTS[self.name]
        for key, value in self.params.items():
            if key not in bounds:
                raise ValueError(f"{self.name} has no parameter {key!r}; it has {_names(bounds) or 'none'}")
            if not bounds[key].accepts(value):
                raise ValueError(f"{self.name}.{key} = {value!r}; allowed: {bounds[key]}")
        if self.name == "Convolution" and "impulse_response_filename" not in self.params:
            raise ValueError("Convolution needs impulse_response_filename, the path of an audio file")

    def _check_children(self, name: str) -> None:
        if self.effects and name not in CONTAINERS:
            raise ValueError(f"{name} holds no effects; only {_names(CONTAINERS)} do")
        for child in self.effects:
            if child.path is not None:
                raise ValueError(
                    f"{name} holds native effects only; put {child.path} beside it, in the chain"
                )
            if child.tail_s:
                raise ValueError(f"{name}: give tail_s to {name} itself, not to the {child.name} in it")


class Effects(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Chains around the model: `before` at the input's rate, `after` at the output's."""

    before: tuple[Effect, ...] = ()
    after: tuple[Effect, ...] = ()


def check_keys(given: Any) -> None:
    """Checks that `given`, for an `Effects`, has no unknown keys.

    Raises:
        UsageError: it has one.
    """
    _check_keys(given, Effects, "effects")
    for place in Effects.__struct_fields__:
        _check_effects(given.get(place) if isinstance(given, dict) else None, f"effects.{place}")


def _check_effects(given: Any, where: str) -> None:
    for effect in given if isinstance(given, list) else ():
        _check_keys(effect, Effect, where)
        _check_effects(effect.get("effects") if isinstance(effect, dict) else None, f"{where}.effects")


def _check_keys(given: Any, kind: type[msgspec.Struct], where: str) -> None:
    known = kind.__struct_fields__
    if isinstance(given, dict) and (unknown := [key for key in given if key not in known]):
        reason = f"unknown key {unknown[0]!r}; the keys are {', '.join(known)}"
        raise UsageError(f"{where}: {reason}", "effects")


def _names(names: frozenset[str] | dict[str, dict[str, Bound]] | dict[str, Bound]) -> str:
    return ", ".join(sorted(names))
