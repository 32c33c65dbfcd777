"""The models of one device, each loaded once and kept warm."""

from __future__ import annotations

from bridge.protocol import Model
from presets.errors import UsageError
from render.upscaler import Upscaler


class Shelf:
    """What a worker can render with.

    Args:
        device: `auto`, `cpu`, `cuda:N` or `mps`.

    Raises:
        UsageError: a device that this machine has not.
    """

    def __init__(self, device: str) -> None:
        self.device = available(device)
        self._loaded: dict[str, Upscaler] = {}

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model, ready or not."""
        from engine.models.draft import Extrapolation

        return (
            Model("null", True, self.device, "none"),
            Model("draft", True, self.device, Extrapolation.digest),
        )

    def load(self, name: str) -> Upscaler:
        """The model `name`, ready to render."""
        if name not in self._loaded:
            if name == "null":
                from engine.models.null import Null

                self._loaded[name] = Null()
            else:
                from engine.models import draft

                self._loaded[name] = draft.load(self.device)
        return self._loaded[name]


def available(device: str) -> str:
    """`device` itself if this machine has it, and for `auto` the fastest it has.

    Raises:
        UsageError: it has not.
    """
    import torch

    has = ["cpu"]
    if torch.backends.mps.is_available():
        has.insert(0, "mps")
    has[:0] = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if device == "auto":
        return has[0]
    if device not in has:
        raise UsageError(f"no device {device!r} here; there are {', '.join(has)}", "device")
    return device
