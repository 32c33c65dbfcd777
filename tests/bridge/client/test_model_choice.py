from __future__ import annotations

import pytest

from bridge.client.model_choice import choose
from bridge.wire.messages import Model
from presets.errors import ModelError, UsageError

DRAFT = Model("draft", ready=True, device="cpu", digest="d")
NULL = Model("null", ready=True, device="cpu")
ON_GPU = Model("audiosr-basic", ready=True, device="cuda:0", digest="a")
ON_CPU = Model("audiosr-basic", ready=True, device="cpu", digest="a")
SMALL = Model("audiosr-mini", ready=True, device="cuda:0", digest="m")
MISSING = Model("audiosr-basic", ready=False, why="no weights; `airband models` says how to get them")


def test_auto_takes_audiosr_on_a_gpu() -> None:
    choice = choose("auto", [NULL, DRAFT, ON_GPU])
    assert (choice.model, choice.reason) == (ON_GPU, "its weights and a GPU (cuda:0) are available")


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ([NULL, DRAFT], "no official AudioSR weights installed"),
        ([NULL, DRAFT, SMALL], "no official AudioSR weights installed"),
        ([NULL, DRAFT, MISSING], "no official AudioSR weights installed"),
        ([ON_CPU, DRAFT], "no GPU for AudioSR"),
    ],
)
def test_auto_falls_back_to_draft_and_says_why(models: list[Model], reason: str) -> None:
    assert choose("auto", models) == (DRAFT, reason)


def test_a_model_that_is_asked_for_is_taken_wherever_it_runs() -> None:
    assert choose("audiosr-basic", [ON_CPU, DRAFT]) == (ON_CPU, "asked for")


def test_an_unknown_model_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown model 'audiosr'; this engine has draft, null"):
        choose("audiosr", [NULL, DRAFT])


def test_a_model_that_is_not_ready_says_what_is_missing() -> None:
    with pytest.raises(ModelError, match="audiosr-basic is not ready: no weights"):
        choose("audiosr-basic", [MISSING, DRAFT])


def test_an_engine_without_its_embedded_model_is_incomplete() -> None:
    with pytest.raises(ModelError, match="incomplete"):
        choose("auto", [NULL])
