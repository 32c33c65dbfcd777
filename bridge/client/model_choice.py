"""Which model a render uses, and why: the requested one, or with `auto` the best that is ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bridge.wire.messages import Model
from presets.errors import ModelError, UsageError

BEST = "audiosr-basic"
EMBEDDED = "draft"


class Choice(NamedTuple):
    """A model, and in a few words why it was chosen."""

    model: Model
    reason: str


def choose(asked: str, models: Sequence[Model]) -> Choice:
    """The model for a render.

    AudioSR on a CPU needs tens of seconds per second of audio, so `auto` uses it only on a GPU.

    Args:
        asked: a model's name, or `auto`.
        models: the engine's models.

    Raises:
        UsageError: there is no such model; the message lists the engine's models.
        ModelError: the model is not ready; the message says what is missing.
    """
    by_name = {model.name: model for model in models}
    if asked != "auto":
        model = by_name.get(asked)
        if model is None:
            raise UsageError(
                f"unknown model {asked!r}; this engine has {', '.join(sorted(by_name))}", "model"
            )
        return Choice(_ready(model), "asked for")
    best = by_name.get(BEST)
    if best is not None and best.ready and best.device not in ("", "cpu"):
        return Choice(best, f"its weights and a GPU ({best.device}) are available")
    if EMBEDDED not in by_name:
        raise ModelError(f"this engine has no model {EMBEDDED!r}; its installation is incomplete", "model")
    lacking = (
        "no GPU for AudioSR" if best is not None and best.ready else "no official AudioSR weights installed"
    )
    return Choice(_ready(by_name[EMBEDDED]), lacking)


def _ready(model: Model) -> Model:
    if not model.ready:
        raise ModelError(f"model {model.name} is not ready: {model.why}", "model")
    return model
