from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from scipy.special import erf

from engine.models.draft.bands import BANDS, BIN_HZ, BINS, Array, level_db, power_of, spectrum
from engine.models.draft.features import (
    INPUT_BANDS,
    NOISE_TEXTURE_DB,
    PER_FRAME,
    PER_WINDOW,
    TEXTURES,
    features,
    input_edges,
    texture_db,
)
from engine.models.draft.predictor import CONTOURS, OUTPUTS, gelu, load, sizes_of
from presets.errors import ModelError, UsageError

TINY = {"width": 16, "depth": 4}


def normal(*shape: int) -> Array:
    """Standard normal numbers, the same at each call."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def a_file(sizes: dict[str, Any], wrong: dict[str, Array | None] | None = None) -> bytes:
    """The file of a predictor with random weights, some of them replaced or left out."""
    weights = {name: 0.1 * normal(*shape) for name, shape in sizes_of(TINY).shapes().items()} | (wrong or {})
    kept = {name: array.astype(np.float16) for name, array in weights.items() if array is not None}
    return save(kept, {"sizes": json.dumps(sizes)})


@pytest.fixture(scope="module")
def hiss() -> Array:
    """The power spectrum of white noise."""
    return power_of(spectrum(np.float32(0.1) * normal(30720)))


@pytest.mark.parametrize("patch", [1, 4])
@pytest.mark.parametrize("count", [1, 60, 61])
def test_every_frame_and_every_contour_is_predicted(count: int, patch: int) -> None:
    sizes = TINY | {"patch": patch}
    weights = {name: normal(*shape).astype(np.float16) for name, shape in sizes_of(sizes).shapes().items()}
    network = load(save(weights, {"sizes": json.dumps(sizes)}), "tiny")
    outputs, contours = network(normal(count, PER_FRAME), normal(PER_WINDOW))
    assert outputs.shape == (count, OUTPUTS)
    assert contours.shape == (CONTOURS, BANDS)


def test_gelu_is_that_of_the_error_function() -> None:
    values = np.linspace(-12, 12, 100_001, dtype=np.float32)
    exact = 0.5 * values * (1 + erf(values.astype(np.float64) / np.sqrt(2)))
    assert np.abs(gelu(values.copy()) - exact).max() < 6e-6


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"not weights at all"])
def test_what_is_no_predictor_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"draft\.safetensors"):
        load(data, "draft.safetensors")


@pytest.mark.parametrize(
    ("sizes", "wrong", "named"),
    [
        (TINY, {"head.bias": None}, r"no head\.bias"),
        (TINY, {"stray": normal(3)}, "stray of no use"),
        (TINY, {"norm.bias": normal(3)}, r"norm\.bias of \(3,\) for \(16,\)"),
        (TINY | {"width": 24}, {}, r"of \("),
        (TINY | {"depth": 5}, {}, r"no blocks\.4"),
        (TINY | {"depth": 10**12}, {}, "depth"),
        (TINY | {"width": "wide"}, {}, "width"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    sizes: dict[str, Any], wrong: dict[str, Array | None], named: str
) -> None:
    load(a_file(TINY), "p")
    with pytest.raises(ModelError, match=named):
        load(a_file(sizes, wrong), "p")


def test_a_truncated_file_is_refused() -> None:
    with pytest.raises(ModelError):
        load(a_file(TINY)[:-100], "p")


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(UsageError, match="hight"):
        sizes_of({"hight": 3})


def test_input_bands_are_contiguous_and_cover_every_bin() -> None:
    edges = input_edges()
    assert edges[0] == 1
    assert edges[-1] == BINS
    assert np.diff(edges).min() == 1
    assert len(edges) == INPUT_BANDS + 1


def test_nothing_above_the_cutoff_is_looked_at(hiss: Array) -> None:
    other = hiss.copy()
    other[:, int(4000 / BIN_HZ) :] *= 10000
    one, two = features(hiss, 4000.0), features(other, 4000.0)
    assert np.array_equal(one.frames, two.frames)
    assert np.array_equal(one.window, two.window)
    assert one.frames.shape == (61, PER_FRAME)
    assert one.window.shape == (PER_WINDOW,)


def test_a_louder_clip_differs_in_its_reference_alone(hiss: Array) -> None:
    one, two = features(hiss, 8000.0), features(hiss * np.float32(10**1.2), 8000.0)
    assert two.reference_db - one.reference_db == pytest.approx(12, abs=1e-3)
    assert np.allclose(one.frames, two.frames, atol=1e-4)
    assert np.allclose(one.window[:-2], two.window[:-2], atol=1e-4)


def test_silence_has_finite_features() -> None:
    given = features(np.zeros((61, BINS), np.float32), 4000.0)
    assert np.isfinite(given.frames).all()
    assert np.isfinite(given.window).all()


def test_texture_of_noise_is_one_and_of_partials_more(hiss: Array) -> None:
    assert float(texture_db(level_db(hiss))[5:-5].mean()) / NOISE_TEXTURE_DB == pytest.approx(0.97, abs=0.05)
    time_s = np.arange(30720) / 48000
    partials = sum(np.sin(2 * np.pi * 300 * k * time_s) for k in range(1, 60))
    tone = (partials + 1e-3 * normal(30720)).astype(np.float32)
    tonal = texture_db(level_db(power_of(spectrum(tone))))
    assert float(tonal[5:-5, 1:20].mean()) > 2 * NOISE_TEXTURE_DB
    assert tonal.shape == (61, TEXTURES)
