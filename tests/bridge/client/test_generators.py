"""Input from generators (MusicGen, a synthesiser, a separator), and the examples of the client's page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

import bridge.client
from bridge import Client, Renderer
from engine.local import LocalRenderer
from presets.errors import InputError
from render.measure.metrics import lag, null_db

PAGE = Path(bridge.client.__file__).with_name("README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Renderer]:
    with LocalRenderer(state=tmp_path_factory.mktemp("local")) as local:
        yield local


def lively(frames: int, rate: int, to_hz: float | None = None, seed: int = 0) -> NDArray[np.float32]:
    """Noise that swells three times a second, up to `to_hz` or the Nyquist frequency: (frames,)."""
    noise = np.random.default_rng(seed).standard_normal(frames)
    if to_hz is not None:
        spectrum = np.fft.rfft(noise)
        spectrum[np.fft.rfftfreq(frames, 1 / rate) > to_hz] = 0
        noise = np.fft.irfft(spectrum, frames)
    swell = 1 + np.sin(2 * np.pi * 3 * np.arange(frames) / rate + seed)
    return np.asarray(0.05 * noise * swell**2, np.float32)


@pytest.mark.parametrize("rate", [16000, 32000])
def test_a_tensor_of_any_shape_is_one_clip(renderer: Renderer, rate: int) -> None:
    clip = lively(2 * rate, rate)
    given: list[Any] = [clip, clip[None], clip[None, None]]
    given += [torch.from_numpy(array) for array in given]
    given.append(torch.from_numpy(clip[None, None]).requires_grad_())
    given.append(torch._neg_view(torch.from_numpy(-clip)))
    jobs = [renderer.submit((array, rate), "generated", seed=7) for array in given]
    results = [job.wait() for job in jobs]
    assert results[0].audio.shape == (1, 96000)
    assert results[0].report.generated
    for result in results[1:]:
        np.testing.assert_array_equal(result.audio, results[0].audio)


@pytest.mark.parametrize("rate", [32000, 44100])
def test_a_stereo_tensor_keeps_its_channels(renderer: Renderer, rate: int) -> None:
    both = np.stack([lively(rate, rate, seed=side) for side in (1, 2)])
    result = renderer.submit((torch.from_numpy(both[None]), rate), "generated", cutoff=14000.0).wait()
    assert result.audio.shape == (2, 48000)
    plain = renderer.submit((both, rate), "generated", cutoff=14000.0, model="null").wait().audio
    for side in (0, 1):
        assert null_db(plain[side], result.audio[side], 14000.0) < -90


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken(renderer: Renderer, dtype: torch.dtype) -> None:
    clip = torch.from_numpy(lively(16000, 16000)).to(dtype)
    result = renderer.submit((clip, 16000), model="null").wait()
    expected = renderer.submit((clip.float().numpy(), 16000), model="null").wait()
    np.testing.assert_array_equal(result.audio, expected.audio)


def test_a_batch_of_several_is_refused_by_its_shape(renderer: Renderer) -> None:
    with pytest.raises(InputError, match=r"array of 2x1x16000 .*\(1, channels, frames\)"):
        renderer.submit((np.zeros((2, 1, 16000), np.float32), 16000))


def test_a_synthesiser_gets_its_highs_and_keeps_its_place(renderer: Renderer) -> None:
    spoken = np.round(32767 * lively(2 * 22050 + 1, 22050)).astype(np.int16)
    result = renderer.submit((spoken, 22050), "speech").wait()
    plain = renderer.submit((spoken, 22050), "speech", model="null").wait().audio[0]
    made = result.audio[0]
    assert result.audio.shape == (1, -(-len(spoken) * 48000 // 22050))
    assert result.report.cutoff_hz == pytest.approx(10500, abs=200)
    assert null_db(plain, made, result.report.cutoff_hz) < -90
    assert lag(plain, made) == 0
    added = np.abs(np.fft.rfft(made - plain)) ** 2
    hz = np.fft.rfftfreq(len(made), 1 / 48000)
    assert added[hz > 12000].sum() > 100 * added[hz < 9500].sum()


@pytest.mark.parametrize("cutoff_hz", [14000, 16000, 17700])
def test_stems_stay_aligned_and_sum_to_the_mix_below_the_cut(renderer: Renderer, cutoff_hz: int) -> None:
    mix = np.stack([lively(2 * 44100, 44100, seed=side) for side in (10, 11)])
    share = np.clip(np.random.default_rng(3).random((2, 2 * 44100)).cumsum(axis=1) % 2 - 0.5, 0, 1)
    stems = [low_passed(part, cutoff_hz) for part in (share * mix, (1 - share) * mix)]
    jobs = [
        renderer.submit((stem, 44100), "stems", seed=seed, cutoff=float(cutoff_hz))
        for seed, stem in enumerate(stems)
    ]
    full = [job.wait() for job in jobs]
    for stem, result in zip(stems, full, strict=True):
        assert (result.rate, result.audio.shape) == (44100, stem.shape)
        assert result.report.generated
    total, given = sum(result.audio for result in full), low_passed(mix, cutoff_hz)
    for side in (0, 1):
        assert apart_db(given[side], total[side], 0.85 * cutoff_hz) < -90
        first, second = (result.audio[side] - stem[side] for stem, result in zip(stems, full, strict=True))
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.2  # different seeds: the new bands do not add up


def test_the_stems_of_a_manifest_still_are_the_mix(airband: Any, engine: Any, tmp_path: Path) -> None:
    low = low_passed(np.stack([lively(44100, 44100, seed=part) for part in (1, 2)])[:, None], 16000)
    rows = ["path,seed"]
    for number, name in enumerate(("vocals.wav", "drums.wav")):
        soundfile.write(tmp_path / name, low[number].T, 44100, "FLOAT")
        rows.append(f"{name},{number}")
    (tmp_path / "stems.csv").write_text("\n".join(rows))
    knobs = ("-p", "stems", "--cutoff", 16000, "--state", engine.home.state)
    said = airband("render", "--manifest", tmp_path / "stems.csv", "-o", tmp_path / "full", *knobs)
    assert said.code == 0, said
    made = [soundfile.read(tmp_path / "full" / name) for name in ("vocals.wav", "drums.wav")]
    assert [(rate, len(samples)) for samples, rate in made] == [(44100, 44100)] * 2
    assert apart_db(low.sum(axis=0)[0], sum(samples for samples, _ in made), 0.85 * 16000) < -90


def apart_db(given: NDArray[Any], made: NDArray[Any], to_hz: float) -> float:
    """Level of made - given relative to given, both up to `to_hz`."""
    below = np.fft.rfftfreq(len(given), 1 / 44100) < to_hz
    error, level = (np.fft.rfft(np.asarray(x, float))[below] for x in (made - given, given))
    return float(10 * np.log10(np.sum(np.abs(error) ** 2) / np.sum(np.abs(level) ** 2)))


def low_passed(samples: NDArray[Any], to_hz: float) -> NDArray[np.float32]:
    """Cuts like a separator: nothing above `to_hz`, unchanged below."""
    spectrum = np.fft.rfft(samples)
    spectrum[..., np.fft.rfftfreq(samples.shape[-1], 1 / 44100) > to_hz] = 0
    return np.fft.irfft(spectrum, samples.shape[-1]).astype(np.float32)


def test_the_page_says_what_runs(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    connect = Client.connect
    monkeypatch.setattr(Client, "connect", lambda: connect(state=engine.home.state))
    scope: dict[str, Any] = {
        "generated": torch.from_numpy(lively(32000, 32000)[None, None]),
        "audios": np.stack([lively(16000, 16000, seed=number) for number in range(3)]),
        "spoken": lively(22050, 22050),
        "separated": [np.stack([lively(44100, 44100, 16000, seed)] * 2) for seed in range(4)],
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
    assert scope["music"].audio.shape == (1, 48000)
    assert [clip.shape for clip in scope["clips"]] == [(1, 48000)] * 3
    assert (tmp_path / "voice.wav").exists()
    assert [stem.shape for stem in scope["full"]] == [(2, 44100)] * 4
