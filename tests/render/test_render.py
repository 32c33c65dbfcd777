from __future__ import annotations

import random
import re
import threading
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.models.draft.draft import load as load_draft
from engine.models.null import Null
from presets.chains import Effect, Effects
from presets.errors import Cancelled, InputError, OutputError, RenderError, UsageError
from presets.report import RenderReport, SourceReport
from presets.schema import make
from render.clip import ArrayClip, open_clip
from render.progress import ANALYSIS, COUNT, DELIVERY, RESTORING
from render.render import Rendered, render
from render.upscaler import CELL_FRAMES, Step, Upscaler

BODY = 2 * CELL_FRAMES


def ignore(step: Step) -> None:
    """A progress hook that does nothing."""


# The low band


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000])
def test_every_rate_and_channel_count_nulls_at_lag_0_and_full_length(
    rate: int,
    channels: int,
    programme: Any,
    null_db: Any,
    noise_model: Any,
    rendered: Any,
    at_rate: Any,
    above: Any,
    rms_db: Any,
) -> None:
    cutoff_hz = 3000.0
    source = ArrayClip(programme(1.4, rate, channels, cutoff_hz), rate)
    out = rendered(source, noise_model(), cutoff=cutoff_hz)
    reference = at_rate(source, 48000)
    assert out.shape == (channels, ceil(source.frames * 48000 / rate))
    assert null_db(out, reference, cutoff_hz, 48000) < -90
    assert rms_db(above(out, 1.1 * cutoff_hz)) > -33


@pytest.mark.parametrize("rate_out", [44100, 48000, 88200, 96000])
@pytest.mark.parametrize("rate_in", [44100, 48000, 96000])
def test_every_output_rate_nulls(
    rate_in: int,
    rate_out: int,
    programme: Any,
    null_db: Any,
    noise_model: Any,
    rendered: Any,
    at_rate: Any,
    above: Any,
    rms_db: Any,
) -> None:
    seconds = 3 + 1.5 / rate_in  # so that the clip ends on no frame of the output rate
    source = ArrayClip(programme(seconds, rate_in, 2, 6000.0), rate_in)
    out = rendered(source, noise_model(), cutoff=6000.0, rate=rate_out)
    reference = at_rate(source, rate_out)
    assert out.shape == reference.shape == (2, ceil(source.frames * rate_out / rate_in))
    assert null_db(out, reference, 6000.0, rate_out) < -90
    assert rms_db(above(out, 7000, rate_out)) > -35


@pytest.mark.parametrize("cutoff_hz", [1000.0, 2000.0, 8000.0, 16000.0, 23000.0])
@pytest.mark.parametrize(
    "knobs", [{"crossover_octaves": 1 / 2}, {"crossover_octaves": 1 / 24}, {"high_gain_db": 12}]
)
def test_every_cut_off_nulls(
    cutoff_hz: float, knobs: dict[str, float], programme: Any, null_db: Any, noise_model: Any, rendered: Any
) -> None:
    source = ArrayClip(programme(2, cutoff_hz=cutoff_hz), 48000)
    out = rendered(source, noise_model(), cutoff=cutoff_hz, **knobs)
    assert null_db(out, source.read(0, source.frames), cutoff_hz, 48000) < -90


def test_a_gate_that_opens_and_closes_breaks_no_null(
    programme: Any, null_db: Any, noise_model: Any, rendered: Any
) -> None:
    samples = programme(3, cutoff_hz=1000.0)
    for at in range(6000, 140000, 24000):
        samples[:, at : at + 9600] = 0
    out = rendered(ArrayClip(samples, 48000), noise_model(), cutoff=1000.0)
    assert null_db(out, samples, 1000.0, 48000) < -90


def test_a_single_impulse_stays_where_it_is(noise_model: Any, rendered: Any) -> None:
    samples = np.zeros((1, 100000), np.float32)
    samples[0, 61440] = 0.9
    out = rendered(ArrayClip(samples, 48000), noise_model(amount=0.0), cutoff=4000.0)
    assert np.abs(out - samples).max() < 1e-4


@pytest.fixture(scope="module")
def draft() -> Upscaler:
    return load_draft()


def measure_dev(
    path: Path, cutoff_hz: float, draft: Upscaler, lowpass: Any, null_db: Any, rendered: Any, at_rate: Any
) -> None:
    with open_clip(path) as clip:
        mono = clip.read(0, min(clip.frames, round(5.12 * clip.rate))).mean(axis=0, keepdims=True)
        given = lowpass(at_rate(ArrayClip(mono, clip.rate), 48000), cutoff_hz, 48000)
    out = rendered(ArrayClip(given, 48000), draft, cutoff=cutoff_hz)
    assert out.shape == given.shape
    assert null_db(out, given, cutoff_hz, 48000) < -90, path.name
    size = 2 * given.shape[1]
    match = np.fft.irfft(np.fft.rfft(out[0], size) * np.conj(np.fft.rfft(given[0], size)))
    assert np.argmax(match) == 0, path.name


def test_real_clips_null_with_draft(
    dev_clips: list[Path], draft: Upscaler, lowpass: Any, null_db: Any, rendered: Any, at_rate: Any
) -> None:
    for path in dev_clips[5::32]:
        for cutoff_hz in (4000.0, 12000.0):
            measure_dev(path, cutoff_hz, draft, lowpass, null_db, rendered, at_rate)


def test_a_long_steady_sound_keeps_one_level(
    draft: Upscaler, lowpass: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    """A gain per window, instead of one for the file, would be heard as ducking at the windows' period."""
    noise = 0.1 * np.random.default_rng(3).standard_normal((1, 24 * 48000))
    source = lowpass(noise.astype(np.float32), 4000.0, 48000)
    out = rendered(ArrayClip(source, 48000), draft, cutoff=4000.0)

    def levels(samples: np.ndarray) -> np.ndarray:
        return np.array([rms_db(samples[:, first : first + 24000]) for first in range(0, 24 * 48000, 24000)])

    assert np.ptp(levels(out) - levels(source)) < 1  # dB that listeners just notice; ducking takes several
    assert np.ptp(levels(above(out, 5000.0))) < 3


def test_random_numbers_of_others_neither_matter_nor_change(
    draft: Upscaler, programme: Any, rendered: Any
) -> None:
    source, made = ArrayClip(programme(1), 48000), []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # that a script around us may have set
        made.append(rendered(source, draft, cutoff=4000.0, seed=5))
        drawn = random.random(), np.random.random()  # noqa: NPY002
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        assert drawn == (random.random(), np.random.random())  # noqa: NPY002
    np.testing.assert_array_equal(*made)


@pytest.mark.slow
@pytest.mark.parametrize("cutoff_hz", [4000.0, 8000.0, 12000.0])
def test_all_real_clips_null_with_draft(
    dev_clips: list[Path],
    cutoff_hz: float,
    draft: Upscaler,
    lowpass: Any,
    null_db: Any,
    rendered: Any,
    at_rate: Any,
) -> None:
    for path in dev_clips:
        measure_dev(path, cutoff_hz, draft, lowpass, null_db, rendered, at_rate)


# Nothing to generate


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_full_band_comes_back_as_it_is(rate: int, noise_model: Any) -> None:
    samples = (0.1 * np.random.default_rng(1).standard_normal((2, 2 * rate))).astype(np.float32)
    result = render(ArrayClip(samples, rate), make(rate=rate), noise_model(), ignore)
    assert np.array_equal(result.clip.read(0, 2 * rate), samples)
    assert result.report.generated is False
    assert result.report.cutoff_hz is None
    assert result.report.cutoff_reason


def test_a_ceiling_below_the_end_of_the_band_leaves_nothing_to_generate(
    programme: Any, noise_model: Any
) -> None:
    samples = programme(3)
    result = render(ArrayClip(samples, 48000), make(ceiling=3000.0), noise_model(), ignore)
    assert np.array_equal(result.clip.read(0, samples.shape[1]), samples)
    assert result.report.generated is False
    reason = r"nothing to generate: the ceiling of 3000 Hz is not above the end of the band at [34]\d{3} Hz"
    assert re.fullmatch(reason, result.report.cutoff_reason)
    assert render(ArrayClip(samples, 48000), make(ceiling=5000.0), noise_model(), ignore).report.generated


def test_the_null_model_changes_nothing(programme: Any, rendered: Any) -> None:
    samples = programme(3, 44100, 2)
    assert np.array_equal(rendered(ArrayClip(samples, 44100), Null(), cutoff=4000.0, rate=44100), samples)


def test_without_a_band_the_high_stem_is_silent_and_the_low_one_whole(
    noise_model: Any, rendered: Any
) -> None:
    samples = (0.1 * np.random.default_rng(1).standard_normal((1, 96000))).astype(np.float32)
    assert not rendered(ArrayClip(samples, 48000), noise_model(), stem="high").any()
    assert np.array_equal(rendered(ArrayClip(samples, 48000), noise_model(), stem="low"), samples)


# Odd clips

SHAPES = {
    "one frame": np.full((1, 1), 0.5),
    "two frames": np.array([[0.5, -0.5]]),
    "DC": np.full((2, 50000), 0.5),
    "silence": np.zeros((2, 50000)),
    "100 Hz": 0.5 * np.sin(2 * np.pi * 100 * np.arange(100000) / 48000)[None],
    "full-scale square": np.sign(np.sin(2 * np.pi * 50 * np.arange(50000) / 48000))[None],
    "8 channels": 0.1 * np.random.default_rng(1).standard_normal((8, 3000)),
    "at the limit": np.full((1, 5000), 16.0),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "knobs", [{}, {"cutoff": 4000.0}, {"cutoff": "rolloff"}, {"cutoff": 4000.0, "rate": 44100}]
)
@pytest.mark.parametrize("stereo", ["linked", "mid_side", "mono"])
def test_odd_clips_give_a_valid_result(
    shape: str, knobs: dict[str, Any], stereo: str, noise_model: Any, rendered: Any, at_rate: Any
) -> None:
    source = ArrayClip(SHAPES[shape], 48000)
    out = rendered(source, noise_model(), stereo=stereo, **knobs)
    reference = at_rate(source, int(knobs.get("rate", 48000)))
    assert out.shape == reference.shape
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 2 * np.abs(reference).max() + 0.5
    if shape == "silence" or (shape == "DC" and not knobs):
        assert np.array_equal(out, reference)


@pytest.mark.parametrize("shape", SHAPES)
def test_draft_takes_odd_clips(shape: str, draft: Upscaler, rendered: Any) -> None:
    source = ArrayClip(SHAPES[shape], 48000)
    out = rendered(source, draft, cutoff=4000.0)
    assert out.shape == (source.channels, source.frames)
    assert np.isfinite(out).all()


def test_silence_stays_silence_whatever_the_model_makes_of_it(
    programme: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    samples = programme(6)
    samples[:, 96000:192000] = 0
    model = noise_model()
    out = rendered(ArrayClip(samples, 48000), model, cutoff=4000.0)
    assert not out[:, 96000 + 7200 : 192000 - 7200].any()
    assert rms_db(above(out[:, :96000], 5000)) > -30
    silent = noise_model()
    assert not rendered(ArrayClip(0 * samples, 48000), silent, cutoff=4000.0).any()
    assert not silent.seen
    loud = rendered(ArrayClip(samples, 48000), noise_model(), cutoff=4000.0, gate_db="off")
    assert rms_db(loud[:, 110000:180000]) > -80


@pytest.mark.parametrize("value", [np.nan, np.inf, -17.0])
def test_refuses_raw_samples_beyond_the_limits(value: float) -> None:
    samples = np.zeros((1, 300000), np.float32)
    samples[0, 250000] = value
    with pytest.raises(InputError, match=r"the source: .* after frame"):
        render(ArrayClip(samples, 48000, limited=False), make(), Null(), ignore)


# Stems and gain


def test_high_and_low_stems_add_up_to_full(
    programme: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    source = ArrayClip(programme(3, 44100, 2), 44100)
    stems = {
        stem: rendered(source, noise_model(), cutoff=4000.0, stem=stem) for stem in ("full", "high", "low")
    }
    assert rms_db(stems["full"] - stems["high"] - stems["low"]) < -90
    assert rms_db(above(stems["low"], 4600)[:, 4800:-4800]) < -80
    untouched = noise_model()
    rendered(source, untouched, cutoff=4000.0, stem="low")
    assert not untouched.seen


def test_the_gain_raises_the_generated_band(
    programme: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    source = ArrayClip(programme(3), 48000)
    plain, raised = (rendered(source, noise_model(), cutoff=4000.0, high_gain_db=gain) for gain in (0, 6))
    assert rms_db(above(raised, 5000)) - rms_db(above(plain, 5000)) == pytest.approx(6, abs=0.1)


# The report, progress, cancel and the spool


def test_the_report_tells_what_was_done(programme: Any, noise_model: Any) -> None:
    source = ArrayClip(programme(3, 44100, 2), 44100)
    result = render(source, make(cutoff=4000.0, seed=9, start=1.0, end=2.0), noise_model(), ignore)
    out = result.clip.read(0, 48000)
    peak = float(np.abs(source.read(0, 132300)).max())
    assert result.report == RenderReport(
        generated=True,
        cutoff_hz=4000.0,
        cutoff_method="given",
        cutoff_reason="4000 Hz was asked for",
        model="noise",
        weights_digest="none",
        seed=9,
        stem="full",
        rate_hz=48000,
        channels=2,
        frames=48000,
        peak=float(np.abs(out).max()),
        source=SourceReport(rate_hz=44100, frames=132300, first_frame=44100, end_frame=88200, peak=peak),
    )


@pytest.mark.parametrize("knobs", [{"cutoff": 4000.0}, {"cutoff": "auto"}, {"cutoff": 4000.0, "stem": "low"}])
def test_progress_is_one_count_up_to_the_end(knobs: dict[str, Any], programme: Any, noise_model: Any) -> None:
    seen: list[Step] = []
    render(ArrayClip(programme(9), 48000), make(**knobs), noise_model(), seen.append)
    assert len({step.of for step in seen}) == 1
    assert [step.step for step in seen] == sorted(step.step for step in seen)
    rest = DELIVERY / (ANALYSIS + RESTORING + DELIVERY + (0 if knobs.get("stem") == "low" else 2))
    assert seen[-1].step == int(COUNT * (1 - rest)), "the rest is its delivery"
    stages = [step.stage for step in seen]
    assert stages == sorted(stages)
    assert set(stages) == {"analyse", "render"}
    if knobs.get("stem") != "low":
        assert len({step.step for step in seen if step.stage == "render"}) >= 2 * 8


@pytest.mark.parametrize(("cutoff_hz", "readings"), [(4000.0, 3), (19500.0, 2)])
def test_a_source_is_read_in_two_passes(
    cutoff_hz: float, readings: int, programme: Any, noise_model: Any, counted_clip: Any
) -> None:
    """The second pass reads the model's input and the original that its band is added to separately."""
    source = counted_clip(programme(20, 48000, 2, cutoff_hz), 48000)
    analysed = np.zeros(source.frames, int)

    def on_step(step: Step) -> None:
        if step.stage == "analyse":
            analysed[:] = source.counts

    made = render(source, make(cutoff="auto"), noise_model(body_cells=16), on_step)
    assert made.report.generated == (readings == 3)
    assert (analysed == 1).all()
    assert source.counts.mean() < readings + 0.25  # 0.25: windows overlap by their context


@pytest.mark.parametrize("spooled", [True, False])
def test_a_cancel_at_any_step_ends_the_render_and_leaves_nothing(
    spooled: bool, tmp_path: Path, programme: Any, noise_model: Any
) -> None:
    spool = tmp_path / "a.f32" if spooled else None
    source, calls = ArrayClip(programme(6), 48000), 0

    def count(step: Step) -> None:
        nonlocal calls
        calls += 1

    render(source, make(cutoff="auto"), noise_model(), count, spool=spool)
    for last in range(0, calls, 3):
        seen = 0

        def cancel(step: Step, last: int = last) -> None:
            nonlocal seen
            if seen == last:
                raise Cancelled("enough")
            seen += 1

        with pytest.raises(Cancelled):
            render(source, make(cutoff="auto"), noise_model(), cancel, spool=spool)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
        if seen > 1 and calls - last < calls // 2:
            assert not list(tmp_path.iterdir())


def test_the_spool_holds_the_same_samples(
    tmp_path: Path, programme: Any, noise_model: Any, rendered: Any
) -> None:
    source = ArrayClip(programme(6, 44100, 2), 44100)
    result: Rendered = render(source, make(cutoff=4000.0), noise_model(), ignore, spool=tmp_path / "a.f32")
    assert np.array_equal(result.clip.read(0, 288000), rendered(source, noise_model(), cutoff=4000.0))
    assert (tmp_path / "a.f32").stat().st_size == 288000 * 2 * 4


def test_a_spool_that_cannot_be_written_is_said_so(tmp_path: Path, programme: Any) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        render(ArrayClip(programme(1), 48000), make(), Null(), ignore, spool=tmp_path / "no" / "a.f32")


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"start": 2.0}, r"start = 2.0 is not inside the source \(48000 frames, 1 s\)"),
        ({"start": 0.5, "end": 0.5}, "start = 0.5 is not before end = 0.5"),
        ({"start": "900smp", "end": "30smp"}, "start = 900smp is not before"),
        ({"start": "12smp", "end": "13smp", "rate": 44100}, "holds no frame at 44100 Hz"),
    ],
)
def test_refuses_a_selection_that_holds_nothing(knobs: dict[str, Any], says: str, programme: Any) -> None:
    with pytest.raises(UsageError, match=says):
        render(ArrayClip(programme(1), 48000), make(**knobs), Null(), ignore)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_24"),
        ("a.flac", "PCM_24"),
        ("a.aiff", "PCM_24"),
        ("a.ogg", "VORBIS"),
        ("a.mp3", "MPEG_LAYER_III"),
    ],
)
def test_files_render_from_disk(
    name: str,
    subtype: str,
    tmp_path: Path,
    programme: Any,
    null_db: Any,
    noise_model: Any,
    rendered: Any,
    above: Any,
    rms_db: Any,
) -> None:
    soundfile.write(tmp_path / name, programme(3, 44100, 2).T, 44100, subtype=subtype)
    with open_clip(tmp_path / name, tmp_path) as source:
        out = rendered(source, noise_model(), cutoff=4000.0, rate=44100)
        whole = source.read(0, source.frames)
    assert out.shape == whole.shape
    assert null_db(out, whole, 4000.0, 44100) < -90
    assert rms_db(above(out, 5000, 44100)) > -35


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_makes_nan_fails_the_render_and_is_named(
    programme: Any, noise_model: Any, tmp_path: Path, value: float
) -> None:
    class Broken(noise_model):  # type: ignore[misc]
        def upscale(self, *arguments: Any) -> Any:
            made = super().upscale(*arguments)
            made[0][:, 1000] = value
            return made

    source, spool = ArrayClip(programme(1.4, 48000, 2, 3000.0), 48000), tmp_path / "result.pcm"
    with pytest.raises(RenderError, match="the model noise made NaN or infinity"):
        render(source, make(cutoff=3000), Broken(), ignore, spool=spool)
    assert not spool.exists()


def test_an_effect_before_the_model_is_blamed_for_what_it_made(programme: Any) -> None:
    source = ArrayClip(programme(0.5, 48000, 1, 3000.0), 48000)
    preset = make(effects=Effects(before=(Effect(name="Gain", params={"gain_db": 60.0}),)))
    with pytest.raises(RenderError, match=r"Gain, before the model.*beyond \+-16"):
        render(source, preset, Null(), ignore)
