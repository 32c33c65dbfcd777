from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from engine.models.audiosr.networks import Networks, NoVocoder, compile_for
from engine.models.audiosr.pipeline import ENCODE_STEPS, AudioSR, chebyshev_lowpass
from engine.models.audiosr.precision import halve
from presets.errors import Cancelled, UsageError
from presets.schema import Preset, make
from render.clip import ArrayClip
from render.noise import PhiloxNoise
from render.render import render
from render.upscaler import CELL_FRAMES, Audio, Step, Window

Build = Callable[..., AudioSR]


@pytest.fixture
def build(small_networks: Networks) -> Build:
    """An AudioSR of small networks with an audible vocoder, so that no comparison is of silence."""
    with torch.no_grad():
        small_networks.vocoder.conv_post.weight.mul_(30)

    def built(rows: int = 1, body_cells: int = 1) -> AudioSR:
        model = AudioSR("audiosr-small", "0", small_networks, rows=rows)
        model.body_cells = body_cells
        return model

    return built


def noisy(seconds: float, channels: int = 1, seed: int = 0, cutoff_hz: float = 4000.0) -> Audio:
    noise = np.random.default_rng(seed).standard_normal((channels, round(seconds * 48000))) * 0.1
    spectrum = np.fft.rfft(noise)
    spectrum[:, round(cutoff_hz * seconds) :] = 0
    return np.asarray(np.fft.irfft(spectrum, noise.shape[1]), dtype=np.float32)


def window(samples: Audio, start: int = 0, group: int = 0, gain: float = 1.0) -> Window:
    return Window(samples, start, 4000.0, group, gain)


def ignore(step: Step) -> None:
    pass


def level_db(x: Audio) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(x, dtype=np.float64))) + 1e-12))


def rendered(model: AudioSR, x: Audio, **knobs: object) -> Audio:
    preset = make(**{"steps": 2, "cutoff": 4000.0, **knobs})
    clip = render(ArrayClip(x, 48000), preset, model, ignore).clip
    return clip.read(0, clip.frames)


PRESET = make(steps=2)
CELL = CELL_FRAMES / 48000


@pytest.mark.parametrize("cells", [1, 3])
def test_windows_come_back_in_their_shape_and_sound(build: Build, cells: int) -> None:
    x = noisy(cells * CELL, channels=2)
    (y,) = build().upscale([window(x)], PhiloxNoise(0), PRESET, ignore)
    assert y.shape == x.shape
    assert y.dtype == np.float32
    assert level_db(y) > -50


def test_level_is_undone(build: Build) -> None:
    x, model = noisy(CELL), build()
    (loud,) = model.upscale([window(x)], PhiloxNoise(0), PRESET, ignore)
    (quiet,) = model.upscale([window(x / 64, gain=64.0)], PhiloxNoise(0), PRESET, ignore)
    np.testing.assert_array_equal(quiet * 64, loud)


def test_noise_depends_on_position_and_group(build: Build) -> None:
    model, x = build(), noisy(CELL)

    def upscaled(start: int, group: int, seed: int) -> Audio:
        return model.upscale([window(x, start, group)], PhiloxNoise(seed), PRESET, ignore)[0]

    here = upscaled(0, 0, 7)
    np.testing.assert_array_equal(upscaled(0, 0, 7), here)
    for other in (upscaled(CELL_FRAMES, 0, 7), upscaled(0, 1, 7), upscaled(0, 0, 8)):
        assert level_db(other - here) > -50


def test_a_window_asks_for_the_noise_of_its_own_cells(build: Build) -> None:
    asked: list[tuple[str, int, int, int]] = []
    noise = PhiloxNoise(0)

    def field(name: str, group: int, start: int, count: int, shape: tuple[int, ...]) -> Audio:
        asked.append((name, group, start, count))
        assert shape == (4, 32)
        return noise(name, group, start, count, shape)

    build().upscale([window(noisy(2 * CELL), -CELL_FRAMES, 5)], field, PRESET, ignore)
    assert asked == [(name, 5, -8, 16) for name in ("condition", "x_T", "step 0", "step 1")]


def test_equal_channels_are_computed_once_and_are_bit_identical(build: Build) -> None:
    x, model = noisy(CELL), build(rows=4)
    seen: list[int] = []
    handle = model._networks.vocoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    (y,) = model.upscale([window(np.repeat(x, 2, axis=0))], PhiloxNoise(0), PRESET, ignore)
    handle.remove()
    np.testing.assert_array_equal(y[0], y[1])
    assert seen == [1]


def test_low_mel_bands_are_the_inputs_own(build: Build) -> None:
    """The vocoder's input below the cut-off does not depend on the sampled latent."""
    model, x = build(), noisy(CELL)
    given: list[torch.Tensor] = []
    handle = model._networks.vocoder.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    for seed in (1, 2):
        model.upscale([window(x)], PhiloxNoise(seed), PRESET, ignore)
    handle.remove()
    from engine.models.audiosr.mel import bands_below

    edge = bands_below(4000.0)
    assert torch.equal(given[0][:, :edge], given[1][:, :edge])
    assert float((given[0][:, edge:] - given[1][:, edge:]).abs().max()) > 0.01


def test_prefilter_has_no_delay_and_stops_the_band_above() -> None:
    t = np.arange(CELL_FRAMES) / 48000
    low, high = (np.sin(2 * np.pi * f * t).astype(np.float32) for f in (1000, 8000))
    passed = chebyshev_lowpass(low + high, 4000.0)[4000:-4000]
    assert np.abs(passed - low[4000:-4000]).max() < 0.03


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "unipc"])
def test_every_window_counts_every_step(build: Build, sampler: str) -> None:
    preset = make(steps=3, sampler=sampler)
    model, told = build(rows=2), list[Step]()
    windows = [window(noisy(CELL, seed=i), i * CELL_FRAMES) for i in range(3)]
    model.upscale(windows, PhiloxNoise(0), preset, told.append)
    stages = [step.stage for step in told]
    assert stages == [name for name in ("encode", *["sample"] * 3, "decode", "vocode") for _ in windows]
    assert [step.step for step in told] == list(np.repeat(np.cumsum([step.taken for step in told[::3]]), 3))
    assert {step.of for step in told} == {told[-1].step} == {model.steps(preset)}


def test_cancel_lands_within_one_sampler_step(build: Build) -> None:
    model, calls = build(), list[int]()
    handle = model._networks.unet.register_forward_hook(lambda *_: calls.append(1))

    def stop_in_the_second_step(step: Step) -> None:
        if step.stage == "sample" and step.step == ENCODE_STEPS + 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        model.upscale([window(noisy(CELL))], PhiloxNoise(0), make(steps=50), stop_in_the_second_step)
    handle.remove()
    assert len(calls) == 2


def test_guidance_of_one_needs_no_second_prediction(build: Build) -> None:
    model, batches = build(), list[int]()
    handle = model._networks.unet.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    for scale in (1.0, 3.5):
        model.upscale([window(noisy(CELL))], PhiloxNoise(0), make(steps=1, cfg_scale=scale), ignore)
    model.guidance = 1.0
    model.upscale([window(noisy(CELL))], PhiloxNoise(0), make(steps=1), ignore)
    handle.remove()
    assert batches == [1, 2, 1]


def test_guidance_of_half_the_steps_needs_one_prediction_in_the_others(build: Build) -> None:
    model, batches = build(), list[int]()
    handle = model._networks.unet.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    model.upscale([window(noisy(CELL))], PhiloxNoise(0), make(steps=5, guided_share=0.5), ignore)
    handle.remove()
    assert batches == [2, 2, 2, 1, 1]


@pytest.mark.parametrize(("sampler", "cfg_scale"), [("ddim", 1.0), ("ddim", 3.5), ("unipc", 3.5)])
def test_steps_that_share_the_coarse_levels_work_less_and_stay_near(
    build: Build, sampler: str, cfg_scale: float
) -> None:
    """They stay nearer than another seed: random weights allow no closer bound."""
    model, worked = build(rows=2), list[int]()
    windows = [window(noisy(CELL)), window(noisy(CELL, seed=1), 2 * CELL_FRAMES)]
    handle = model._networks.unet.middle_block.register_forward_pre_hook(
        lambda _, args: worked.append(len(args[0]))
    )

    def upscaled(seed: int, cache_interval: int) -> list[Audio]:
        worked.clear()
        preset = make(steps=6, sampler=sampler, cfg_scale=cfg_scale, cache_interval=cache_interval)
        return model.upscale(windows, PhiloxNoise(seed), preset, ignore)

    whole, rows = upscaled(0, 1), sum(worked) / 6
    shared = upscaled(0, 3)
    assert sum(worked) == 2 * rows
    other = upscaled(1, 1)
    handle.remove()
    for a, b, c in zip(whole, shared, other, strict=True):
        assert -120 < level_db(a - b) < level_db(a - c)


@pytest.mark.parametrize("joint", [False, True])
def test_shared_coarse_levels_belong_to_their_row(build: Build, joint: bool) -> None:
    """Rows make the same sound one at a time, together, and in smaller batches from the middle on."""
    windows = [window(noisy(CELL, seed=i), 2 * i * CELL_FRAMES) for i in range(4)]
    preset = make(steps=6, cache_interval=3, guided_share=0.5, joint=joint)
    alone = build(rows=1).upscale(windows, PhiloxNoise(0), preset, ignore)
    model, calls = build(rows=4), list[int]()

    def out_of_memory_once(_: object, given: tuple[torch.Tensor, ...]) -> None:
        calls.append(len(given[0]))
        if len(calls) == 3:
            raise torch.OutOfMemoryError("another process took it")

    handle = model._networks.unet.register_forward_pre_hook(out_of_memory_once)
    together = model.upscale(windows, PhiloxNoise(0), preset, ignore)
    handle.remove()
    assert calls[:5] == [8, 8, 8, 4, 4]
    for a, b in zip(alone, together, strict=True):
        assert level_db(a - b) < level_db(a) - 60


def test_batches_halve_when_memory_runs_out(build: Build) -> None:
    windows = [window(noisy(CELL, seed=i), i * CELL_FRAMES) for i in range(4)]
    alone = build(rows=1).upscale(windows, PhiloxNoise(0), PRESET, ignore)
    model = build(rows=4)

    def out_of_memory(_: object, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError("no room for more than one row and its guidance")

    handle = model._networks.unet.register_forward_pre_hook(out_of_memory)
    told: list[Step] = []
    survived = model.upscale(windows, PhiloxNoise(0), PRESET, told.append)
    handle.remove()
    assert model._batches.rows == 1
    assert sum(step.taken for step in told) == 4 * model.steps(PRESET)
    for a, b in zip(alone, survived, strict=True):
        assert level_db(a - b) < level_db(a) - 60


def test_other_failures_are_not_taken_for_memory(build: Build) -> None:
    model = build(rows=4)

    def broken(*_: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    handle = model._networks.unet.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        model.upscale([window(noisy(CELL))] * 2, PhiloxNoise(0), PRESET, ignore)
    handle.remove()
    assert model._batches.rows == 4


def test_joint_windows_agree_where_they_overlap(build: Build) -> None:
    """Two windows share half of their length: sampled together, they decode to nearly the same there."""
    x = noisy(3 * CELL)
    windows = [window(x[:, at * CELL_FRAMES : (at + 2) * CELL_FRAMES], at * CELL_FRAMES) for at in (0, 1)]
    middle = slice(round(0.3 * CELL_FRAMES), round(0.7 * CELL_FRAMES))

    def disagreement(joint: bool) -> float:
        preset = make(steps=4, joint=joint)
        first, second = build().upscale(windows, PhiloxNoise(0), preset, ignore)
        first, second = first[:, CELL_FRAMES:], second[:, :CELL_FRAMES]
        return level_db((first - second)[:, middle]) - level_db(first[:, middle])

    assert disagreement(joint=True) < disagreement(joint=False) - 6


@pytest.mark.parametrize("rows", [1, 4])
def test_a_joint_render_samples_all_its_windows_together(build: Build, rows: int) -> None:
    """In a whole render, neighbouring windows agree where they overlap far better than without `joint`."""
    x = noisy(6 * CELL)

    def disagreement(joint: bool) -> float:
        model = build(rows=rows, body_cells=2)
        made: dict[int, Audio] = {}
        upscale = model.upscale

        def kept(windows: Sequence[Window], *rest: Any) -> list[Audio]:
            generated = upscale(windows, *rest)
            made.update({w.start // CELL_FRAMES: y for w, y in zip(windows, generated, strict=True)})
            return generated

        model.upscale = kept  # type: ignore[method-assign, assignment]
        y = rendered(model, x, joint=joint, steps=4)
        assert y.shape == x.shape
        assert sorted(made) == [-1, 1, 3]
        seams = [(made[at][:, 2 * CELL_FRAMES :], made[at + 2][:, : 2 * CELL_FRAMES]) for at in (-1, 1)]
        middle = slice(round(0.7 * CELL_FRAMES), round(1.3 * CELL_FRAMES))
        return max(level_db((a - b)[:, middle]) - level_db(a[:, middle]) for a, b in seams)

    assert disagreement(joint=True) < disagreement(joint=False) - 6


def test_a_clip_longer_than_one_joint_latent_is_made_in_several(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.audiosr.pipeline.JOINT_WINDOWS", 2)
    x = noisy(5 * CELL)
    y = rendered(build(), x, joint=True)
    assert y.shape == x.shape
    assert np.all(np.isfinite(y))
    assert level_db(y - x) > -50


@pytest.mark.parametrize("rows", [1, 4])
def test_equal_channels_stay_equal_when_joint(build: Build, rows: int) -> None:
    y = rendered(build(rows=rows), np.repeat(noisy(1.0), 2, axis=0), joint=True)
    np.testing.assert_array_equal(y[0], y[1])


def test_cancel_lands_between_two_windows_of_one_joint_step(build: Build) -> None:
    told: list[Step] = []

    def stop(step: Step) -> None:
        told.append(step)
        if step.stage == "sample":
            raise Cancelled("enough")

    windows = [window(noisy(CELL), at * CELL_FRAMES) for at in range(4)]
    with pytest.raises(Cancelled):
        build().upscale(windows, PhiloxNoise(0), make(steps=3, joint=True), stop)
    assert [step.stage for step in told] == ["encode"] * 4 + ["sample"]


def test_half_precision_stays_near(small_networks: Networks, build: Build) -> None:
    x = noisy(CELL)
    (exact,) = build().upscale([window(x)], PhiloxNoise(0), make(steps=4, cfg_scale=1.0), ignore)
    halve(small_networks, torch.bfloat16)
    (rounded,) = build().upscale([window(x)], PhiloxNoise(0), make(steps=4, cfg_scale=1.0), ignore)
    assert level_db(rounded - exact) < level_db(exact) - 10


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, in its compiler
@pytest.mark.timeout(900)
def test_compiled_networks_compute_the_same(small_networks: Networks, build: Build) -> None:
    windows = [window(noisy(CELL))]
    plain = build().upscale(windows, PhiloxNoise(0), PRESET, ignore)
    keys = list(small_networks.state_dict())
    compile_for(small_networks, "cpu")
    compiled = build().upscale(windows, PhiloxNoise(0), PRESET, ignore)
    assert list(small_networks.state_dict()) == keys
    for a, b in zip(plain, compiled, strict=True):
        assert level_db(a - b) < level_db(a) - 60


SOURCES = {
    "silence": np.zeros((1, 24000), np.float32),
    "100 Hz": (0.5 * np.sin(2 * np.pi * 100 * np.arange(24000) / 48000)).astype(np.float32)[None],
    "left only": np.concatenate([noisy(0.5), np.zeros((1, 24000), np.float32)]),
    "anti-phase": np.concatenate([noisy(0.5), -noisy(0.5)]),
    "25,692 samples": noisy(1.0)[:, :25692],
    "one sample": np.full((1, 1), 0.5, np.float32),
}


@pytest.mark.parametrize(
    ("name", "cutoff"), [*((name, 4000.0) for name in SOURCES), ("silence", "auto"), ("100 Hz", "auto")]
)
def test_every_source_renders_to_its_length(build: Build, name: str, cutoff: str | float) -> None:
    x = SOURCES[name]
    y = rendered(build(), x, cutoff=cutoff, steps=1)
    assert y.shape == x.shape
    assert np.all(np.isfinite(y))
    if name == "silence":
        assert not y.any()
    if name == "left only":
        assert not y[1].any()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [25.6, 61.0])
def test_long_sources_render_to_their_length(build: Build, seconds: float) -> None:
    x = noisy(seconds, channels=2)
    y = rendered(build(body_cells=14), x, steps=1)
    assert y.shape == x.shape
    assert np.all(np.isfinite(y))


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "unipc"])
def test_steps(build: Build, steps: int, sampler: str) -> None:
    (y,) = build().upscale([window(noisy(CELL))], PhiloxNoise(0), make(steps=steps, sampler=sampler), ignore)
    assert np.all(np.isfinite(y))
    assert level_db(y) > -50


@pytest.mark.slow
@pytest.mark.parametrize("steps", [300, 1000])
@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "unipc"])
def test_many_steps(build: Build, steps: int, sampler: str) -> None:
    test_steps(build, steps, sampler)


def test_same_seed_is_identical_and_another_is_not(build: Build) -> None:
    x, model = noisy(0.5), build()
    first = rendered(model, x, seed=3)
    np.testing.assert_array_equal(rendered(model, x, seed=3), first)
    assert level_db(rendered(model, x, seed=4) - first) > -50


def test_a_selection_is_that_stretch_of_the_whole(build: Build) -> None:
    x, model = noisy(3.0), build()
    whole = rendered(model, x, steps=1)
    part = rendered(model, x, steps=1, start="40000smp", end="80001smp")
    generated = level_db((whole - x)[:, 40000:80001])
    assert generated > -50
    assert level_db(part - whole[:, 40000:80001]) < generated - 60


def test_one_window_at_a_time_equals_four(build: Build) -> None:
    x = noisy(1.5, channels=2)
    one, four = rendered(build(rows=1), x), rendered(build(rows=4), x)
    generated = level_db(one - x)
    assert generated > -50
    assert level_db(one - four) < generated - 60


@pytest.mark.parametrize("rows", [1, 4])
def test_equal_channels_in_are_equal_channels_out(build: Build, rows: int) -> None:
    y = rendered(build(rows=rows), np.repeat(noisy(1.0), 2, axis=0))
    np.testing.assert_array_equal(y[0], y[1])


def test_render_counts_every_step_of_every_window(build: Build) -> None:
    told: list[Step] = []
    preset: Preset = make(steps=2, cutoff=4000.0)
    model = build()
    render(ArrayClip(noisy(1.0, channels=2), 48000), preset, model, told.append)
    sampled = [step for step in told if step.stage == "render"]
    windows = 2 * 2
    stages = 3 + preset.steps
    assert len({step.step for step in sampled}) >= windows * stages


def test_without_a_vocoder_of_its_own_phases_are_retrieved(small_networks: Networks) -> None:
    small_networks.vocoder = NoVocoder()
    model, x = AudioSR("audiosr-small", "0", small_networks), noisy(CELL, channels=2)
    (by_default,) = model.upscale([window(x)], PhiloxNoise(0), PRESET, ignore)
    assert by_default.shape == x.shape
    assert level_db(by_default) > -50
    with pytest.raises(UsageError, match="vocoder = phase"):
        model.upscale([window(x)], PhiloxNoise(0), make(steps=2, vocoder="hifigan"), ignore)


def test_phase_retrieval_depends_on_the_position_in_the_clip(build: Build) -> None:
    x = noisy(4 * CELL, channels=1)
    knobs = {"vocoder": "phase", "gate_db": "off"}
    whole = rendered(build(), x, **knobs)
    generated = level_db(rendered(build(), x, **knobs, stem="high"))
    begin, end = 2 * CELL_FRAMES - 5000, 2 * CELL_FRAMES + 20000
    part = rendered(build(), x, **knobs, start=f"{begin}smp", end=f"{end}smp")
    assert level_db(part - whole[:, begin:end]) < generated - 60
    assert level_db(whole - rendered(build(), x, vocoder="hifigan", gate_db="off")) > generated - 20


def test_phase_retrieval_does_not_depend_on_its_batch(build: Build) -> None:
    x = noisy(CELL, channels=3)
    windows = [window(x[channel : channel + 1]) for channel in range(3)]
    preset = make(steps=2, vocoder="phase")
    together = build(rows=3).upscale(windows, PhiloxNoise(0), preset, ignore)
    for one, alike in zip(windows, together, strict=True):
        (alone,) = build().upscale([one], PhiloxNoise(0), preset, ignore)
        assert level_db(alike - alone) < level_db(alone) - 60
