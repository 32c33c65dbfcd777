from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.models import command, registry
from engine.training.card import write_card
from engine.training.loop import Run
from engine.training.nvsr import Config, MelPrediction
from presets.errors import UsageError
from presets.schema import make
from render.clip import ArrayClip
from render.render import render
from tests.engine.training.conftest import logged

SIZES = {"dnn": {"width": 64, "depth": 2}, "resunet": {"width": 8, "depth": 2}}


@pytest.fixture
def config(tiny: dict[str, Any]) -> Callable[..., Config]:
    def make_config(kind: str, **more: Any) -> Config:
        values = {"kind": kind, "network": SIZES[kind], "crop_s": 0.16, "steps": 4}
        return msgspec.convert(tiny | values | more, Config)

    return make_config


@pytest.mark.parametrize("kind", SIZES)
def test_it_overfits_one_batch(
    kind: str, config: Callable[..., Config], overfit: Callable[..., list[float]]
) -> None:
    losses = overfit(MelPrediction(config(kind, steps=300, rate=3e-3, batch=1)))
    assert min(losses) < 0.1 * losses[0]


@pytest.mark.parametrize("kind", SIZES)
def test_it_resumes_where_it_stopped(
    kind: str, config: Callable[..., Config], resumes: Callable[..., None]
) -> None:
    resumes(lambda: MelPrediction(config(kind)))


def test_16_bit_products_train_as_float32_does(config: Callable[..., Config], tmp_path: Path) -> None:
    totals = {}
    for precision in ("fp32", "bf16"):
        Run(MelPrediction(config("dnn", precision=precision)), tmp_path / precision).train()
        totals[precision] = [float(row["total"]) for row in logged(tmp_path / precision)]
    assert totals["bf16"] != totals["fp32"]
    assert totals["bf16"] == pytest.approx(totals["fp32"], rel=0.02)


def test_a_card_names_packages_licences_and_minutes_of_a_manifest(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "file,domain,package,licence,seconds\n"
        "a.flac,speech,klettres,GPL-2+,90\nb.flac,speech,klettres,GPL-2+,30\nc.flac,music,naev,CC0,60\n"
    )
    of_manifest = config("dnn", corpus=[str(manifest)], steps=1)
    run = Run(MelPrediction(of_manifest), tmp_path / "run")
    run.train()
    write_card(run, of_manifest, tmp_path / "run" / "card.md")
    card = (tmp_path / "run" / "card.md").read_text()
    assert "| klettres | GPL-2+ | 2.0 |" in card
    assert "| naev | CC0 | 1.0 |" in card
    assert f"| {logged(tmp_path / 'run', 'held-out')[0]['total']} |" in card


def test_what_it_exports_is_taken_among_the_models_and_renders(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(MelPrediction(config("dnn")), tmp_path / "run").train()
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path / "models"))
    written = str(tmp_path / "run" / "model.safetensors")
    with pytest.raises(UsageError, match="nvsr-"):
        command.main(["convert", written, "--name", "other"])
    command.main(["convert", written, "--name", "nvsr-own"])
    assert "nvsr-own" in {model.name for model in registry.available() if model.ready}
    x = np.random.default_rng(0).standard_normal((2, 48000)).astype(np.float32) * 0.1
    model = registry.load_upscaler("nvsr-own", "cpu")
    made = render(ArrayClip(x, 48000), make(cutoff=4000.0), model, lambda step: None).clip
    assert (made.channels, made.frames) == (2, 48000)
    assert np.isfinite(made.read(0, 48000)).all()
    with pytest.raises(UsageError, match="vocoder = phase"):
        render(ArrayClip(x, 48000), make(cutoff=4000.0, vocoder="hifigan"), model, lambda step: None)
