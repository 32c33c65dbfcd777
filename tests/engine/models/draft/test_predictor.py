from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.models.draft.bands import BANDS, BIN_HZ, BINS, level_db, power_of, spectrum
from engine.models.draft.features import (
    INPUT_BANDS,
    NOISE_TEXTURE_DB,
    PER_FRAME,
    PER_WINDOW,
    TEXTURES,
    above,
    features,
    input_edges,
    texture_db,
)
from engine.models.draft.predictor import CONTOURS, OUTPUTS, build, load, save
from presets.errors import ModelError, UsageError

TINY = {"width": 16, "depth": 4}


@pytest.fixture(scope="module")
def hiss() -> torch.Tensor:
    """Its powers."""
    generator = torch.Generator().manual_seed(0)
    return power_of(spectrum(0.1 * torch.randn(30720, generator=generator)))


@pytest.mark.parametrize("patch", [1, 4])
@pytest.mark.parametrize("count", [1, 60, 61])
def test_every_frame_and_every_contour_is_answered(count: int, patch: int) -> None:
    network = build(TINY | {"patch": patch})
    outputs, contours = network(torch.randn(2, count, PER_FRAME), torch.randn(2, PER_WINDOW))
    assert outputs.shape == (2, count, OUTPUTS)
    assert contours.shape == (2, CONTOURS, BANDS)


def test_a_saved_network_answers_as_before_up_to_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build(TINY)
    save(network, TINY, tmp_path / "p.safetensors")
    again, digest = load((tmp_path / "p.safetensors").read_bytes(), "p")
    inputs = torch.randn(1, 20, PER_FRAME), torch.randn(1, PER_WINDOW)
    for kept, before in zip(again(*inputs), network(*inputs), strict=True):
        assert torch.allclose(kept, before, atol=5e-3)
    assert load((tmp_path / "p.safetensors").read_bytes(), "p")[1] == digest


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"not weights at all"])
def test_what_is_no_predictor_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"draft\.safetensors"):
        load(data, "draft.safetensors")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    save(build(TINY), TINY, tmp_path / "p")
    with pytest.raises(ModelError):
        load((tmp_path / "p").read_bytes()[:-100], "p")


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(UsageError, match="hight"):
        build({"hight": 3})


def test_input_bands_are_contiguous_and_cover_every_bin() -> None:
    edges = input_edges()
    assert edges[0] == 1
    assert edges[-1] == BINS
    assert int((edges[1:] - edges[:-1]).min()) == 1
    assert len(edges) == INPUT_BANDS + 1


def test_nothing_above_the_cutoff_is_looked_at(hiss: torch.Tensor) -> None:
    other = hiss.clone()
    other[:, int(4000 / BIN_HZ) :] *= 10000
    one, two = features(hiss, 4000.0), features(other, 4000.0)
    assert torch.equal(one.frames, two.frames)
    assert torch.equal(one.window, two.window)
    assert one.frames.shape == (61, PER_FRAME)
    assert one.window.shape == (PER_WINDOW,)


def test_a_louder_clip_differs_in_its_reference_alone(hiss: torch.Tensor) -> None:
    one, two = features(hiss, 8000.0), features(hiss * 10**1.2, 8000.0)
    assert two.reference_db - one.reference_db == pytest.approx(12, abs=1e-3)
    assert torch.allclose(one.frames, two.frames, atol=1e-4)
    assert torch.allclose(one.window[:-2], two.window[:-2], atol=1e-4)


def test_silence_has_finite_features() -> None:
    given = features(torch.zeros(61, BINS), 4000.0)
    assert torch.isfinite(given.frames).all()
    assert torch.isfinite(given.window).all()


def test_texture_of_noise_is_one_and_of_partials_more(hiss: torch.Tensor) -> None:
    assert float(texture_db(level_db(hiss))[5:-5].mean()) / NOISE_TEXTURE_DB == pytest.approx(0.97, abs=0.05)
    time_s = torch.arange(30720) / 48000
    partials = sum(torch.sin(2 * torch.pi * 300 * k * time_s) for k in range(1, 60))
    assert isinstance(partials, torch.Tensor)
    tonal = texture_db(level_db(spectrum(partials + 1e-3 * torch.randn(30720)).abs().square()))
    assert float(tonal[5:-5, 1:20].mean()) > 2 * NOISE_TEXTURE_DB
    assert tonal.shape == (61, TEXTURES)


def test_above_is_zero_below_the_cutoff_and_one_above() -> None:
    share = above(4000.0)
    assert share.shape == (BANDS,)
    assert not share[:20].any()
    assert bool((share[22:] == 1).all())
    assert 0 <= float(share[21]) <= 1
