from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from presets import knobs, schema, words
from presets.errors import UsageError
from presets.schema import FLAGS, KNOBS, Preset, frames_at, make

BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "steps": (1, 1000),
    "cfg_scale": (1, 10),
    "high_gain_db": (-24, 24),
    "crossover_octaves": (1 / 24, 1 / 2),
    "gate_db": (-120, -40),
    "cutoff": (1000, 23000),
}
"""The bounds in the design's table of knobs."""

CHOICES: dict[str, tuple[Any, ...]] = {
    "sampler": ("ddim", "dpmpp_2m", "unipc"),
    "stereo": ("linked", "mid_side", "independent", "mono"),
    "joint": (False, True),
    "stem": ("full", "high", "low"),
    "rate": (44100, 48000, 88200, 96000),
    "format": ("wav", "flac", "aiff"),
    "bit_depth": (16, 24, 32),
    "dither": ("tpdf", "none"),
    "cutoff": ("auto", "rolloff"),
    "gate_db": ("off",),
    "cfg_scale": ("auto",),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_are_inclusive_and_beyond_them_is_refused(name: str) -> None:
    low, high = BOUNDS[name]
    assert getattr(make(**{name: low}), name) == low
    assert getattr(make(**{name: high}), name) == high
    step = 1 if isinstance(low, int) else 1e-6
    for value in (low - step, high + step, float("nan"), "much"):
        with pytest.raises(UsageError, match=re.escape(f"{name} = {value!r}")) as caught:
            make(**{name: value})
        assert caught.value.field == name
        assert schema.allowed(name) in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in CHOICES.items() for value in values]
)
def test_every_choice_is_taken(name: str, value: Any) -> None:
    assert getattr(make(**{name: value}), name) == value


def test_the_defaults_are_the_designs() -> None:
    plain = Preset()
    assert (plain.model, plain.cutoff, plain.seed, plain.steps) == ("auto", "auto", 0, 50)
    assert (plain.sampler, plain.cfg_scale, plain.stereo, plain.joint) == ("ddim", "auto", "linked", False)
    assert (plain.high_gain_db, plain.crossover_octaves, plain.gate_db) == (0, 1 / 12, -90)
    assert (plain.stem, plain.rate, plain.format, plain.dither) == ("full", 48000, None, "tpdf")


def test_none_leaves_a_knob_as_the_base_has_it() -> None:
    base = make(seed=7, steps=12)
    assert make(base, seed=None, steps=3) == make(seed=7, steps=3)


def test_an_unknown_knob_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown knob 'sede'.*seed.*steps"):
        make(sede=1)


@pytest.mark.parametrize(
    ("position", "frames"), [(None, None), (0, 0), (1.5, 66150), ("480000smp", 480000), (1 / 44100, 1)]
)
def test_positions_count_seconds_or_samples(position: knobs.Position, frames: int | None) -> None:
    assert frames_at(make(start=position).start, 44100) == frames


@pytest.mark.parametrize("position", [-1, "10", "10s", "-1smp", float("inf"), "smp"])
def test_a_position_that_is_neither_is_refused(position: Any) -> None:
    with pytest.raises(UsageError, match=r"seconds, mm:ss\.mmm, samples as 480000smp"):
        make(end=position)


@pytest.mark.parametrize(
    ("position", "fps", "frames"),
    [
        ("1:02.5", None, 62.5 * 48000),
        ("01:00:00.001", None, 3600 * 48000 + 48),
        ("00:00:01:12", 24, 72000),
        ("00:00:01:00", 25, 48000),
        ("00:00:01:00", 29.97, 48048),
        ("00:00:10:00", "23.976", 480480),
        ("00:01:00;02", 29.97, round(1800 * 1.001 / 30 * 48000)),
        ("00:10:00;00", 29.97, round(17982 * 1.001 / 30 * 48000)),
        ("00:01:00;04", 59.94, round(3600 * 1.001 / 60 * 48000)),
    ],
)
def test_positions_are_clock_times_or_time_code(position: str, fps: Any, frames: float) -> None:
    preset = make(start=position, fps=fps)
    assert frames_at(preset.start, 48000, preset.fps) == frames


@pytest.mark.parametrize(
    ("position", "fps", "message"),
    [
        ("00:00:01:00", None, "start = .*how many a second with fps"),
        ("00:00:01:25", 25, "there is no picture 25; at 25 a second they count from 0 to 24"),
        ("00:00:01;00", 25, "dropped at 29.97 and 59.94"),
        ("1:75", None, "'1:75' is no position"),
        ("1:02.5", 31, "fps = "),
    ],
)
def test_a_time_that_cannot_be_is_refused(position: str, fps: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(start=position, fps=fps)


@pytest.mark.parametrize("knob", ["model", "sampler", "format", "start"])
def test_bytes_that_are_no_text_are_refused_like_any_other_value(knob: str) -> None:
    with pytest.raises(UsageError, match=rf"{knob} = '\\udce9'; allowed"):
        make(**{knob: "\udce9"})


def test_long_doubles_and_fractions_are_numbers() -> None:
    assert make(cutoff=np.longdouble(5000), high_gain_db=Fraction(-3, 2)) == make(
        cutoff=5000, high_gain_db=-1.5
    )


def test_scalars_of_numpy_are_numbers() -> None:
    knobs = {
        "seed": np.int64(3), "cutoff": np.float32(5000), "high_gain_db": np.float64(-3),
        "start": np.float64(0.5), "joint": np.bool_(True), "steps": np.array(7), "rate": np.uint32(96000),
    }  # fmt: skip
    plain = make(seed=3, cutoff=5000.0, high_gain_db=-3.0, start=0.5, joint=True, steps=7, rate=96000)
    assert make(**knobs) == plain
    assert make(seed=np.float64(3), rate=np.float32(96000), like=Path("a.wav")) == make(
        seed=3, rate=96000, like="a.wav"
    )
    with pytest.raises(UsageError, match=r"seed = 3\.5"):
        make(seed=np.float64(3.5))
    gain = {"name": "Gain", "params": {"gain_db": np.float32(-6)}}
    assert make(effects={"before": [gain]}).effects.before[0].params == {"gain_db": -6.0}


@pytest.mark.parametrize("name", FLAGS)
def test_every_knob_is_described_with_its_bounds_and_default(name: str) -> None:
    assert schema.meaning(name).endswith(".")
    assert schema.allowed(name)
    assert schema.default(name)


@pytest.mark.parametrize("ceiling", [3000, 8000])
def test_a_ceiling_that_is_not_above_the_cutoff_is_refused_with_both(ceiling: int) -> None:
    with pytest.raises(UsageError, match=rf"ceiling = {ceiling} Hz .* cutoff = 8000 Hz") as refused:
        make(ceiling=ceiling, cutoff=8000)
    assert refused.value.field == "ceiling"
    with pytest.raises(UsageError, match=f"mine.toml: ceiling = {ceiling} Hz"):
        schema.from_toml(f"ceiling = {ceiling}\ncutoff = 8000\n", "mine.toml")
    assert make(ceiling=8001, cutoff=8000).ceiling == 8001


def test_the_crossover_is_accepted_as_its_bounds_and_default_are_printed() -> None:
    for text in [schema.default("crossover_octaves"), *schema.allowed("crossover_octaves").split()[:3:2]]:
        assert make(crossover_octaves=words.parse(text)).crossover_octaves == float(Fraction(text))


@pytest.mark.parametrize("text", ["1/0", "1/12.0", "-1/12", "1/1000", "1/1", "1 / 12"])
def test_a_fraction_beyond_the_bounds_or_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="allowed: 1/24 to 1/2 octaves"):
        make(crossover_octaves=text)


def test_a_fraction_is_read_wherever_a_number_is_text_and_nowhere_else() -> None:
    assert schema.from_toml('crossover_octaves = "1/6"', "mine.toml").crossover_octaves == 1 / 6
    assert make(like="1/12").like == "1/12"


def test_words_of_a_few_knobs() -> None:
    assert schema.allowed("crossover_octaves") == "1/24 to 1/2 octaves"
    assert schema.default("crossover_octaves") == "1/12"
    assert schema.allowed("cutoff") == "auto, rolloff, 1000 to 23000 Hz"
    assert schema.allowed("seed") == "0 to 2^63 - 1"
    assert schema.default("gate_db") == "-90"
    assert schema.default("format") == "as the source"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("+3", 3),
        ("8e3", 8000.0),
        ("off", "off"),
        ("true", True),
        ("10smp", "10smp"),
        ("", ""),
        ("[1]", "[1]"),
    ],
)
def test_typed_text_reads_as_a_scalar(text: str, value: Any) -> None:
    assert words.parse(text) == value
    assert type(words.parse(text)) is type(value)


def test_the_json_schema_has_every_knob_with_its_description() -> None:
    text = json.dumps(schema.json_schema())
    knobs = json.loads(text)["$defs"]["Preset"]["properties"]
    assert set(knobs) == {"description", *KNOBS}
    assert all(knobs[name]["description"] for name in FLAGS)
    assert knobs["steps"]["maximum"] == 1000


def test_a_preset_survives_the_wire(tmp_path: Path) -> None:
    preset = make(cutoff=8000, start="5smp", delivery={"clip": True}, effects={"before": [{"name": "Gain"}]})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(preset), type=Preset) == preset
