"""A converted file becomes networks: layer by layer, and where memory is short two of them by turns.

AudioSR as published weighs 2.7 GB in float32. Its U-Net (1.0) and its vocoder (0.8) are never at work at the
same time, so that the one whose turn it is may take the other's place.
"""

from __future__ import annotations

import json
import math
import os
from collections import deque
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.models.audiosr.checkpoint import FAMILY
from engine.models.audiosr.networks import Configuration, Networks, lay_out_layer
from engine.models.audiosr.precision import HALVED, halved_if_faithful
from engine.models.audiosr.vocoders.vocoding import hears_input
from engine.models.weights_file import open_safetensors, read_header
from presets.errors import ModelError

IN_MEMORY_BYTES = 2 * 10**9
"""Networks that weigh more take turns in a worker on a processor: it is to stay below 3 GB, of which PyTorch
takes a tenth and a window more than that."""

MAPPED_BYTES = 64 * 1024**2
"""So much of a file is read through one memory map, or a layer: what was read counts as this process's memory
as long as the map is there."""


def load_networks(
    path: Path, device: str, half: torch.dtype | None, in_memory_bytes: float = math.inf
) -> Networks:
    """The networks of a converted file, laid out for the device.

    Args:
        path: a converted file.
        device: as torch names it.
        half: the type that `precision.HALVED` and, where it bears that, the vocoder are brought to; None
            keeps float32.
        in_memory_bytes: in float32, networks that weigh more take turns, see `Networks.take_turn`.

    Raises:
        ModelError: the file is none that Airband wrote, or is not whole.
    """
    file = ConvertedFile(path, device, half)
    with torch.device("meta"):
        networks = Networks(Configuration(**json.loads(read_header(path, FAMILY)["configuration"])))
    state = networks.state_dict()
    file.check(state)
    networks.eval().requires_grad_(False)
    if half is None and 4 * sum(tensor.numel() for tensor in state.values()) > in_memory_bytes:
        networks.turns = turns = Turns(networks, file)
        file.read(networks, besides=turns.NETWORKS)
        turns.take("unet")
        return networks
    file.read(networks)
    if half is not None and networks.has_vocoder and not hears_input(networks.vocoder):
        networks.vocoder = halved_if_faithful(networks.vocoder, half)
    return networks


class ConvertedFile:
    """A converted file that networks are read from, all at once or one after the other.

    Layer by layer: each is read through a memory map, cast, copied and laid out, and the map is made anew now
    and then, so that little of the file is in memory beside the networks.

    Args:
        path, device, half: see `load_networks`.

    Raises:
        ModelError: there is no such file.
    """

    def __init__(self, path: Path, device: str, half: torch.dtype | None) -> None:
        self._path, self._device, self._half = path, device, half
        self._identity = self._identified()

    def check(self, state: dict[str, Tensor]) -> None:
        """Raises ModelError unless the file holds all of the tensors of `state`, in their shapes."""
        with open_safetensors(self._path) as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        wrong = [name for name, tensor in state.items() if shapes.get(name) != list(tensor.shape)]
        if wrong:
            raise ModelError(
                f"{self._path}: damaged: {len(wrong)} of {len(state)} tensors are missing or of another "
                f"shape, {wrong[0]} among them; convert or fetch the checkpoint again"
            )

    def read(self, networks: Networks, name: str = "", besides: tuple[str, ...] = ()) -> None:
        """Fills networks that `check` was asked about.

        Args:
            networks: all of them.
            name: the one to fill; all where it is "".
            besides: those to leave out.

        Raises:
            ModelError: the file has changed since it was opened.
        """
        if self._identified() != self._identity:
            raise ModelError(f"{self._path}: was replaced while it was in use; render again")
        layers = deque(
            (where, layer)
            for where, layer in networks.get_submodule(name).named_modules(prefix=name)
            if where.partition(".")[0] not in besides
        )
        while layers:
            mapped_bytes = 0
            with open_safetensors(self._path) as file:
                while layers and mapped_bytes < MAPPED_BYTES:
                    where, layer = layers.popleft()
                    state = {}
                    for of_layer, expected in own_state(layer).items():
                        whole = f"{where}.{of_layer}".lstrip(".")
                        halved = self._half is not None and HALVED.match(whole)
                        dtype = self._half if halved else torch.float32
                        # What lay_out copies need not be copied here.
                        copies = expected.ndim < 3
                        state[of_layer] = file.get_tensor(whole).to(self._device, dtype, copy=copies)
                        mapped_bytes += 4 * expected.numel()
                    layer.load_state_dict(state, strict=False, assign=True)
                    del state
                    lay_out_layer(layer)

    def _identified(self) -> tuple[int, ...]:
        try:
            about = os.stat(self._path)
        except OSError as error:
            raise ModelError(f"{self._path}: cannot be read: {error.strerror}") from None
        return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


class Turns:
    """U-Net and vocoder of some networks: the weights of one are in memory, those of the other in the file.

    Args:
        networks: with neither filled.
        file: which was checked against them.
    """

    NETWORKS = ("unet", "vocoder")

    def __init__(self, networks: Networks, file: ConvertedFile) -> None:
        self._networks, self._file = networks, file
        self._in_memory = ""

    def take(self, name: str) -> None:
        """Has one of NETWORKS in memory; ModelError where the file has changed."""
        if name == self._in_memory:
            return
        if self._in_memory:
            self._networks.get_submodule(self._in_memory).to("meta")
        self._in_memory = ""
        with torch.inference_mode(False):
            self._file.read(self._networks, name)
        self._in_memory = name


def own_state(layer: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module's state that are not its children's, by name."""
    return {name: tensor for name, tensor in layer.state_dict().items() if "." not in name}
