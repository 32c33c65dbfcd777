"""Effects in presets: all of Pedalboard can be used, bad values are refused, streaming changes nothing."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pedalboard
import pytest
import soundfile
from numpy.typing import NDArray

from presets.chains import CONTAINERS, EFFECTS, Effect, Range
from presets.errors import Cancelled, PresetError, RenderError, UsageError
from presets.schema import from_toml
from render.clip import ArrayClip
from render.effects.chain import apply_chain
from render.effects.native import CHUNK_FRAMES, native, stream
from render.effects.whole import AT_ONCE_S
from render.upscaler import Audio, Step

RATE = 48000
PLAIN = sorted(set(EFFECTS) - CONTAINERS - {"Convolution"})


@pytest.fixture
def noise() -> Callable[..., Audio]:
    def make(frames: int, channels: int = 2) -> Audio:
        return (0.2 * np.random.default_rng(frames).standard_normal((channels, frames))).astype(np.float32)

    return make


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRBAND_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("AIRBAND_PLUGIN_FOLDERS", "")
    (tmp_path / "config" / "presets").mkdir(parents=True)
    return tmp_path / "config"


def ignore(step: Step) -> None:
    pass


def toml(*lines: str) -> str:
    return "\n".join(["[[effects.before]]", *lines])


def buildable_without_a_file() -> list[str]:
    """The names of all `pedalboard.Plugin` subclasses whose defaults build an object."""
    names = []
    for name, value in vars(pedalboard).items():
        if inspect.isclass(value) and issubclass(value, pedalboard.Plugin):
            try:
                value()
            except (TypeError, RuntimeError):  # abstract, or needs a file
                continue
            names.append(name)
    return names


def test_every_effect_that_needs_no_file_is_reachable_from_a_preset() -> None:
    names = buildable_without_a_file()
    assert len(names) > 20
    for name in names:
        preset = from_toml(toml(f'name = "{name}"'), "test.toml")
        assert type(native(preset.effects.before[0])) is getattr(pedalboard, name)


@pytest.mark.parametrize("name", sorted(set(EFFECTS) - CONTAINERS))
def test_the_table_knows_every_parameter_of_the_real_class(name: str) -> None:
    cls = getattr(pedalboard, name)
    real = {key for key, value in vars(cls).items() if isinstance(value, property)}
    assert set(EFFECTS[name]) == real - {"impulse_response"}


@pytest.mark.parametrize("name", PLAIN)
def test_both_ends_of_every_range_are_taken_and_give_finite_sound(
    name: str, noise: Callable[..., Audio]
) -> None:
    for key, bound in EFFECTS[name].items():
        ends = (bound.low, bound.high) if isinstance(bound, Range) else ()
        for value in ends:
            rate = 400000 if "frequency" in key or key == "cutoff_hz" else 8000
            plugin = native(Effect(name=name, params={key: value}), rate)
            assert np.isfinite(plugin(noise(9000), rate)).all(), f"{name}.{key} = {value}"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (['name = "Gian"'], "unknown effect 'Gian'; the effects are Bitcrush, "),
        (['name = "HighpassFilter"', "params.cutoff_frequency_hz = -5"], "-5.0; allowed: 1 to 192000 Hz"),
        (['name = "Gain"', "params.gain = 3"], "Gain has no parameter 'gain'; it has gain_db"),
        (['name = "Gain"', 'params.gain_db = "loud"'], "Gain.gain_db = 'loud'; allowed: -100 to 100 dB"),
        (['name = "Gain"', "params.gain_db = nan"], "allowed: -100 to 100 dB"),
        (['name = "LadderFilter"', 'params.mode = "LPF13"'], "allowed: LPF12, HPF12"),
        (['name = "BrickwallLimiter"', "params.true_peak = 1"], "allowed: true, false"),
        (['name = "Gain"', 'state = "x"'], "belong to plugins"),
        (['name = "Gain"', 'effects = [{name = "Gain"}]'], "only Chain, Mix, Pedalboard do"),
        (['name = "Mix"', 'effects = [{path = "/x.vst3"}]'], "native effects only"),
        (['name = "Mix"', 'effects = [{name = "Reverb", tail_s = 1}]'], "give tail_s to Mix"),
        (['name = "Convolution"'], "needs impulse_response_filename"),
        (['path = "/x.vst3"', 'effects = [{name = "Gain"}]'], "a plugin holds no effects"),
        ([], "unknown effect None"),
    ],
)
def test_what_is_refused_is_told_with_what_is_allowed(lines: list[str], told: str) -> None:
    with pytest.raises(PresetError) as refused:
        from_toml(toml(*lines), "test.toml")
    assert told in refused.value.message
    assert refused.value.field == "effects"


def test_a_frequency_must_lie_below_half_the_rate() -> None:
    effect = Effect(name="HighpassFilter", params={"cutoff_frequency_hz": 9000.0})
    assert native(effect, 22050)
    with pytest.raises(UsageError, match="9000 Hz is not below half of the 16000 Hz"):
        native(effect, 16000)


def test_containers_hold_what_the_preset_nests(noise: Callable[..., Audio]) -> None:
    text = toml(
        'name = "Mix"',
        'effects = [{name = "Chain", effects = [{name = "Gain", params.gain_db = 6}, {name = "Invert"}]}, '
        '{name = "Gain", params.gain_db = 0}]',
    )
    built = native(from_toml(text, "test.toml").effects.before[0])
    x = noise(1000)
    by_hand = pedalboard.Mix(
        [pedalboard.Chain([pedalboard.Gain(6), pedalboard.Invert()]), pedalboard.Gain(0)]
    )
    assert np.array_equal(built(x, RATE), by_hand(x, RATE))


def pieces(x: Audio, length: int) -> Iterator[Audio]:
    return (x[:, start : start + length] for start in range(0, x.shape[1], length))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("frames", [5000, 300001])
def test_streaming_one_effect_gives_what_one_call_gives(
    name: str, frames: int, noise: Callable[..., Audio]
) -> None:
    x = noise(frames)
    out = np.concatenate(list(stream([native(Effect(name=name))], pieces(x, 70000), frames, 2, RATE)), axis=1)
    assert np.array_equal(out, pedalboard.Pedalboard([native(Effect(name=name))])(x, RATE))


CHAINS: list[Callable[[], list[pedalboard.Plugin]]] = [
    lambda: [pedalboard.Reverb(), pedalboard.Resample(), pedalboard.BrickwallLimiter()],
    lambda: [pedalboard.Delay(0.1), pedalboard.MP3Compressor(), pedalboard.Resample(), pedalboard.Gain()],
    lambda: [pedalboard.BrickwallLimiter(), pedalboard.MP3Compressor()],
    lambda: [pedalboard.Mix([pedalboard.BrickwallLimiter(), pedalboard.Gain()]), pedalboard.Chorus()],
    lambda: [pedalboard.Chain([pedalboard.Reverb(), pedalboard.Resample()]), pedalboard.LadderFilter()],
    lambda: [pedalboard.HighpassFilter(30), pedalboard.Compressor(-20, 4), pedalboard.Limiter()],
]


@pytest.mark.parametrize("chain", CHAINS)
def test_streaming_a_chain_gives_what_one_board_gives(
    chain: Callable[[], list[pedalboard.Plugin]], noise: Callable[..., Audio]
) -> None:
    x = noise(290000)
    out = np.concatenate(list(stream(chain(), pieces(x, 33333), x.shape[1], 2, RATE)), axis=1)
    assert np.array_equal(out, pedalboard.Pedalboard(chain())(x, RATE))


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("name", ["Gain", "Resample", "BrickwallLimiter", "MP3Compressor"])
def test_clips_shorter_than_their_channels_keep_their_length(
    name: str, frames: int, noise: Callable[..., Audio]
) -> None:
    out = list(stream([native(Effect(name=name))], iter([noise(frames)]), frames, 2, RATE))
    assert np.concatenate(out, axis=1).shape == (2, frames)


def test_an_applied_chain_is_a_clip_to_seek_in(tmp_path: Path, noise: Callable[..., Audio]) -> None:
    x = noise(400000)
    effects = [Effect(name="Reverb"), Effect(name="Compressor", params={"threshold_db": -20.0, "ratio": 4.0})]
    clip = apply_chain(effects, ArrayClip(x, RATE), tmp_path / "work", ignore).clip
    whole = pedalboard.Pedalboard([pedalboard.Reverb(), pedalboard.Compressor(-20, 4)])(x, RATE)
    assert clip.frames == 400000
    assert np.array_equal(clip.read(123456, 1000), whole[:, 123456:124456])
    assert np.array_equal(clip.read(399990, 20)[:, :10], whole[:, -10:])
    assert [path.name for path in tmp_path.iterdir()] == ["work.0.f32"]


def test_no_effects_leave_the_clip_itself(tmp_path: Path, noise: Callable[..., Audio]) -> None:
    clip = ArrayClip(noise(100), RATE)
    assert apply_chain([], clip, tmp_path / "work", ignore).clip is clip


def test_a_tail_is_kept_on_request(tmp_path: Path) -> None:
    impulse = np.zeros((1, RATE), np.float32)
    impulse[0, -1] = 1
    delay = {"delay_seconds": 0.5, "mix": 1.0}
    cut = apply_chain([Effect(name="Delay", params=delay)], ArrayClip(impulse, RATE), tmp_path / "a", ignore)
    assert not cut.clip.read(0, RATE).any()
    kept = apply_chain(
        [Effect(name="Delay", params=delay, tail_s=0.75)], ArrayClip(impulse, RATE), tmp_path / "b", ignore
    )
    assert kept.clip.frames == RATE + 36000
    assert np.flatnonzero(kept.clip.read(0, kept.clip.frames)[0]).tolist() == [RATE - 1 + 24000]


class Endless:
    """A clip whose samples are made as they are read."""

    rate, channels = RATE, 2

    def __init__(self, seconds: int) -> None:
        self.frames = seconds * RATE

    def read(self, start: int, frames: int) -> Audio:
        return np.tile(np.arange(start, start + frames, dtype=np.float32) % 100 / 100, (2, 1))


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    effects = [Effect(name="Gain", params={"gain_db": -3.0}), Effect(name="HighpassFilter")]

    def peak_bytes(seconds: int) -> int:
        tracemalloc.start()
        try:
            clip = apply_chain(effects, Endless(seconds), tmp_path / f"{seconds}", ignore).clip
            assert clip.frames == seconds * RATE
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak_bytes(120) < 1.1 * peak_bytes(20)


def test_samples_that_are_not_finite_are_an_error_that_names_the_effect(
    tmp_path: Path, noise: Callable[..., Audio]
) -> None:
    loud = [Effect(name="Gain", params={"gain_db": 100.0}) for _ in range(8)]
    with pytest.raises(RenderError, match=r"Gain.*not finite"):
        apply_chain(loud, ArrayClip(noise(1000), RATE), tmp_path / "work", ignore)


def test_a_convolution_reads_an_impulse_response_that_lies_with_the_presets(
    config: Path, noise: Callable[..., Audio]
) -> None:
    response = np.zeros((100, 1), np.float32)
    response[10] = 1.0
    soundfile.write(config / "presets" / "echo.wav", response, RATE, "FLOAT")
    params = {"impulse_response_filename": "echo.wav", "mix": 1.0}
    x = noise(2000, 1)
    out: NDArray[np.float32] = native(Effect(name="Convolution", params=params))(x, RATE)
    lag = np.argmax(np.correlate(out[0, :1000], x[0, :1000], "full")) - 999
    assert lag == 10


def test_an_impulse_response_from_elsewhere_is_refused(config: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "echo.wav", np.ones((100, 1), np.float32), RATE, "FLOAT")
    params = {"impulse_response_filename": str(tmp_path / "echo.wav")}
    with pytest.raises(UsageError, match="lies outside"):
        native(Effect(name="Convolution", params=params))


def test_a_chain_is_told_of_twice_a_second_of_its_work(
    noise: Callable[..., Audio], tmp_path: Path, config: Path
) -> None:
    """A cancel is heard where progress is reported. In CPU time, so that a busy machine does not matter."""
    clip = ArrayClip(noise(3 * CHUNK_FRAMES), RATE)
    chain = [Effect(name=name) for name in ("Compressor", "Phaser", "Chorus", "Delay", "Reverb", "Limiter")]

    def longest_s() -> float:
        told_s = [time.process_time()]
        apply_chain(chain, clip, tmp_path / "stem", lambda step: told_s.append(time.process_time()))
        assert len(told_s) == 4
        return float(np.diff(told_s).max())

    assert min(longest_s() for _ in range(3)) < 0.5


@pytest.mark.parametrize("name", ["PitchShift", "GSMFullRateCompressor", "MP3Compressor"])
def test_an_effect_that_gets_a_long_clip_whole_hears_a_cancel_meanwhile(
    name: str, noise: Callable[..., Audio], tmp_path: Path
) -> None:
    before = children(os.getpid())
    x = noise(int(AT_ONCE_S * RATE))
    effects = [Effect(name=name), Effect(name="Gain", params={"gain_db": -3.0})]
    steps: list[Step] = []
    after = apply_chain(effects, ArrayClip(x, RATE), tmp_path / "stem", steps.append).clip
    board = pedalboard.Pedalboard([native(effect) for effect in effects])
    assert np.array_equal(after.read(0, after.frames), board(x, RATE))
    assert len([step for step in steps if step.step == 0]) > 1, "progress is reported during the work"
    assert [path.name for path in tmp_path.iterdir()] == ["stem.0.f32"]

    def cancel(step: Step) -> None:
        if len(heard := [*(tmp_path / "cancelled").parent.glob("cancelled.*.heard")]) == 1:
            assert heard[0].stat().st_size <= x.nbytes
            cancelled.append(step)
        if len(cancelled) == 2:
            raise Cancelled("enough")

    cancelled: list[Step] = []
    with pytest.raises(Cancelled):
        apply_chain(effects, ArrayClip(x, RATE), tmp_path / "cancelled", cancel)
    assert not list(tmp_path.glob("*.heard"))
    assert set(children(os.getpid())) <= set(before)


def children(pid: int) -> list[str]:
    """The child processes of a process; none where the system does not list them."""
    listed = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return " ".join(listed).split()


def test_what_a_whole_clips_effect_refuses_is_told_as_ever(
    noise: Callable[..., Audio], tmp_path: Path
) -> None:
    mono = ArrayClip(noise(int(6 * AT_ONCE_S * RATE), 6), RATE)
    with pytest.raises(UsageError, match=r"MP3Compressor|channels"):
        apply_chain([Effect(name="MP3Compressor")], mono, tmp_path / "stem", ignore)


def test_the_process_of_a_whole_clips_effect_leaves_with_its_parent(
    noise: Callable[..., Audio], tmp_path: Path
) -> None:
    noise(60 * RATE).tofile(tmp_path / "heard")
    told = '[{"name": "PitchShift", "params": {"semitones": -12.0}}]'
    facts = (tmp_path / "heard", tmp_path / "made", RATE, 2, 60 * RATE)
    command = [sys.executable, "-m", "render.effects.whole", told, *map(str, facts)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[3]) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(60) == 1
    assert not (tmp_path / "made").exists()
