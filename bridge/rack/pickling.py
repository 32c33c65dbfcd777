"""Makes the stages of a rack picklable, since Pedalboard's own objects are not."""

from __future__ import annotations

from typing import Any, NamedTuple

from bridge.rack.stages import Stage
from presets.chains import CONTAINERS, EFFECTS, Effect
from presets.errors import UsageError


class NativeState(NamedTuple):
    """A native effect: its class in Pedalboard, its parameters, and the effects it contains."""

    name: str
    values: dict[str, Any]
    children: list[Any]


def packed(stage: Any) -> Any:
    """A stage in a form that can be pickled: ours as it is, a native effect as its parameters.

    Raises:
        UsageError: the stage is a plugin that was loaded in this process.
    """
    name = type(stage).__name__
    if isinstance(stage, Stage):
        return stage
    if name in CONTAINERS:
        return NativeState(name, {}, [packed(child) for child in stage])
    if name not in EFFECTS:
        raise UsageError(
            f"{name} {stage.name!r} was loaded here and cannot be pickled; use External(path)", "stages"
        )
    values = {key: getattr(stage, key) for key in EFFECTS[name] if hasattr(stage, key)}
    return NativeState(name, {key: getattr(value, "name", value) for key, value in values.items()}, [])


def unpacked(stage: Any) -> Any:
    """The stage that `packed` was given, or an equal one."""
    if not isinstance(stage, NativeState):
        return stage
    from render.effects.native import native

    if stage.children or stage.name in CONTAINERS:
        import pedalboard

        return getattr(pedalboard, stage.name)([unpacked(child) for child in stage.children])
    return native(Effect(name=stage.name, params=stage.values))
