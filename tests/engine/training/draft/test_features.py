"""Features that training prepares for many clips at once equal those of a render for one window."""

import numpy as np
import pytest
import torch

from engine.models.draft import bands as drafted
from engine.models.draft import features as seen
from engine.training.draft.features import active, band_levels, features, level_db, powers, textures

FRAMES = 40 * drafted.HOP


def clips() -> torch.Tensor:
    """Noise under partials, a burst between silences, silence, and noise under -100 dBFS: (4, FRAMES)."""
    rng = np.random.default_rng(4)
    time_s = np.arange(FRAMES) / drafted.RATE_HZ
    steady = 0.1 * rng.standard_normal(FRAMES) + sum(
        0.2 * np.sin(2 * np.pi * f * time_s) for f in (440, 3300, 9000)
    )
    burst = np.zeros(FRAMES)
    burst[8000:9000] = 0.3 * rng.standard_normal(1000)
    faint = 1e-7 * rng.standard_normal(FRAMES)
    return torch.from_numpy(np.stack([steady, burst, np.zeros(FRAMES), faint]).astype(np.float32))


@pytest.mark.parametrize("cutoff_hz", [1500.0, 4093.7, 11025.0, 23500.0])
def test_many_windows_give_what_each_gives_alone(cutoff_hz: float) -> None:
    power = powers(clips())
    cutoffs_hz = torch.tensor([cutoff_hz, 0.7 * cutoff_hz, cutoff_hz, cutoff_hz])
    frames, window, reference_db = features(power, cutoffs_hz)
    for k, alone in enumerate(
        seen.features(p.numpy(), float(c)) for p, c in zip(power, cutoffs_hz, strict=True)
    ):
        assert np.allclose(frames[k], alone.frames, atol=2e-3)
        assert np.allclose(window[k], alone.window, atol=2e-3)
        assert float(reference_db[k]) == pytest.approx(alone.reference_db, abs=0.02)


def test_powers_levels_and_textures_are_those_of_a_render() -> None:
    samples = clips()[:2]
    power = powers(samples)
    rendered = drafted.power_of(drafted.spectrum(samples.numpy()))
    assert np.allclose(power, rendered, rtol=1e-3, atol=1e-5)
    bins_db = level_db(power)
    assert np.allclose(bins_db, drafted.level_db(power.numpy()), atol=1e-3)
    for k in range(2):
        levels = drafted.level_db(drafted.band_power(power[k, :, 1:].numpy()))
        assert np.allclose(band_levels(power)[k], levels, atol=1e-3)
        assert np.allclose(textures(bins_db)[k], seen.texture_db(bins_db[k].numpy()), atol=2e-2)
        assert np.array_equal(active(power)[k], seen.active_frames(power[k].numpy()))
