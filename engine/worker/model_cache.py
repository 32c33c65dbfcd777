"""The models of one device, each loaded once and kept warm."""

from __future__ import annotations

import math
import platform
import sys
import time
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.wire.messages import Model
from engine.models import registry
from presets.errors import UsageError

if TYPE_CHECKING:  # see engine.models.registry
    from render.upscaler import Upscaler

LINUX_GPUS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu")
LISTED_S = 1.0
"""How long a list of models is used, in seconds: making one takes a tenth of a short clip's render."""


class ModelCache:
    """The models that a worker can render with.

    Args:
        device: `auto`, `cpu`, `cuda:N` or `mps`.
        compiles: whether AudioSR is compiled for it.

    Raises:
        UsageError: this machine does not have the device.
    """

    def __init__(self, device: str, compiles: bool = False) -> None:
        self.device, self.compiles = available(device), compiles
        self._loaded: dict[str, Upscaler] = {}
        self._listed: tuple[Model, ...] = ()
        self._listed_s = -math.inf

    @property
    def listed(self) -> tuple[Model, ...]:
        """Every model, ready or not; listed again after LISTED_S, as weights may have been fetched."""
        if time.monotonic() - self._listed_s > LISTED_S:
            self._listed = tuple(
                Model(listed.name, listed.ready, self.device, listed.digest, listed.why)
                for listed in registry.available()
            )
            self._listed_s = time.monotonic()
        return self._listed

    def load(self, name: str) -> Upscaler:
        """The model `name`, ready to render; ModelError if its weights are not valid.

        It is loaded again when the list shows other weights for it, since its file may have been replaced.
        """
        digest = next((model.digest for model in self.listed if model.name == name), "")
        if digest and name in self._loaded and self._loaded[name].digest != digest:
            del self._loaded[name]
        if name not in self._loaded:
            self._loaded[name] = registry.load_upscaler(name, self.device, self.compiles)
        return self._loaded[name]


def available(device: str) -> str:
    """`device` itself if this machine has it; for `auto`, its fastest device.

    Raises:
        UsageError: this machine does not have it.
    """
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return "cpu"
    import torch

    has = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    has += ["mps"] if torch.backends.mps.is_available() else []
    has += ["cpu"]
    if device == "auto":
        return has[0]
    if device not in has:
        raise UsageError(f"no device {device!r} here; there are {', '.join(has)}", "device")
    return device


def may_have_gpu() -> bool:
    """Whether to load torch, which is half of an engine's start, to look for a GPU.

    False only if the driver that torch needs is certainly missing: on Linux the device nodes of NVIDIA, AMD
        and
    WSL, on Windows CUDA's library, on a Mac one of Apple's own processors.
    """
    if sys.platform.startswith("linux"):
        return any(Path(node).exists() for node in LINUX_GPUS)
    if sys.platform == "win32":
        return find_library("nvcuda") is not None
    return sys.platform != "darwin" or platform.machine() == "arm64"
