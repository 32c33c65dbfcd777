"""Scores of models of hearing: best for the same signal, lower for a worse; a missing package is named."""

import math

import numpy as np
import pytest

from render.measure import perceptual

SECONDS = np.arange(48000) / 48000
VOICE = sum(np.sin(2 * np.pi * 200 * k * SECONDS) / k for k in range(1, 60)) * np.hanning(4800)[
    np.arange(48000) % 4800
] / 10  # fmt: skip
NOISE = np.random.default_rng(1).standard_normal(48000)


@pytest.mark.parametrize("name", list(perceptual.PACKAGES))
def test_a_score_falls_with_what_is_added(name: str) -> None:
    pytest.importorskip(perceptual.PACKAGES[name])
    score = getattr(perceptual, name)
    scores = [score(VOICE, VOICE + gain * NOISE) for gain in (0, 0.001, 0.03)]
    assert scores == sorted(scores, reverse=True)
    assert 5 >= scores[0] > 4.5
    assert scores[-1] < 4


def test_visqol_of_silence_is_none() -> None:
    pytest.importorskip("visqol")
    assert math.isnan(perceptual.visqol(VOICE, 0 * VOICE))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(perceptual.PACKAGES, "visqol", "no_such_module")
    assert "visqol" in perceptual.missing()
