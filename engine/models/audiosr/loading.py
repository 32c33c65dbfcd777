"""Loads networks from a converted file: layer by layer, and where memory is short one network at a time.

AudioSR as published weighs 2.7 GB in float32 (encoder 0.4, U-Net 1.0, decoder 0.5, vocoder 0.8). Its networks
work one after the other, so each can take the place of the one before. Reading all of them takes 2.4 CPU s,
where a window takes minutes.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.models.audiosr.checkpoint import FAMILY
from engine.models.audiosr.networks import Configuration, Networks, lay_out_layer
from engine.models.audiosr.precision import HALVED, halved_if_faithful
from engine.models.audiosr.vocoders.vocoding import hears_input
from engine.models.weights_file import open_safetensors, read_header
from presets.errors import ModelError

IN_MEMORY_BYTES = 1.4e9
"""Networks that weigh more take turns in a worker on a processor, which must stay below 3 GB: a window of
10.24 s takes 1.3 GB while it is decoded, PyTorch 0.2."""

MAPPED_BYTES = 64 * 1024**2
"""How much of a file is read through one memory map, in whole layers: what was read counts as this process's
memory as long as the map is there."""


def load_networks(
    path: Path, device: str, half: torch.dtype | None, in_memory_bytes: float = math.inf
) -> Networks:
    """The networks of a converted file, laid out for the device.

    Args:
        path: a converted file.
        device: as torch names it.
        half: the 16-bit type of `precision.HALVED` and, where it stays faithful, of the vocoder; None keeps
            float32.
        in_memory_bytes: networks that weigh more in float32 take turns, see `Networks.take_turn`.

    Raises:
        ModelError: the file was not written by Airband, or is not whole.
    """
    header = read_header(path, FAMILY)
    file = ConvertedFile(path, header.get("digest", ""), device, half)
    with torch.device("meta"):
        networks = Networks(Configuration(**json.loads(header["configuration"])))
    state = networks.state_dict()
    file.check(state)
    networks.eval().requires_grad_(False)
    if half is None and 4 * sum(tensor.numel() for tensor in state.values()) > in_memory_bytes:
        networks.turns = turns = Turns(networks, file)
        file.read(networks, besides=turns.NETWORKS)
        turns.take("encoder")
        return networks
    file.read(networks)
    if half is not None and networks.has_vocoder and not hears_input(networks.vocoder):
        networks.vocoder = halved_if_faithful(networks.vocoder, half)
    return networks


class ConvertedFile:
    """A converted file that networks are read from, all at once or one after the other.

    Each layer is read through a memory map, cast, copied and laid out. The map is renewed now and then, so
    that little of the file is in memory beside the networks.

    Args:
        path, device, half: see `load_networks`.
        digest: of its tensors, as its header gives it.
    """

    def __init__(self, path: Path, digest: str, device: str, half: torch.dtype | None) -> None:
        self._path, self._digest, self._device, self._half = path, digest, device, half

    def check(self, state: dict[str, Tensor]) -> None:
        """Raises ModelError unless the file holds all of the tensors of `state`, in their shapes."""
        with self._opened() as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        wrong = [name for name, tensor in state.items() if shapes.get(name) != list(tensor.shape)]
        if wrong:
            raise ModelError(
                f"{self._path}: damaged: {len(wrong)} of {len(state)} tensors are missing or of another "
                f"shape, {wrong[0]} among them; convert or fetch the checkpoint again"
            )

    def read(
        self,
        networks: Networks,
        name: str = "",
        besides: tuple[str, ...] = (),
        keep: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Fills networks whose state `check` has accepted.

        Args:
            networks: all of them.
            name: the one to fill; all where it is "".
            besides: those to leave out.
            keep: takes a weight as it was read, and returns the tensor to use for it.

        Raises:
            ModelError: the file is gone, or holds other tensors by now.
        """
        layers = deque(
            (where, layer)
            for where, layer in networks.get_submodule(name).named_modules(prefix=name)
            if where.partition(".")[0] not in besides
        )
        while layers:
            mapped_bytes = 0
            with self._opened() as file:
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
                    if keep is not None:
                        for weight in layer.parameters(recurse=False):
                            weight.data = keep(weight.data)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with open_safetensors(self._path) as file:
            if (file.metadata() or {}).get("digest", "") != self._digest:
                raise ModelError(f"{self._path}: was replaced while it was in use; render again")
            yield file


class Turns:
    """Keeps one network in memory at a time; the weights of the rest stay in the file.

    Each network is one piece of memory, which goes back to the system. A heap on which weights of many sizes
    are allocated and freed would grow, by 0.3 GB from the first render by the vocoder to the second.

    Args:
        networks: with none of them filled.
        file: which was checked against them.
    """

    NETWORKS = ("encoder", "unet", "decoder", "vocoder")

    def __init__(self, networks: Networks, file: ConvertedFile) -> None:
        self._networks, self._file = networks, file
        self._in_memory = ""
        self._piece, self._taken = torch.empty(0), 0

    def take(self, name: str) -> None:
        """Brings one of NETWORKS into memory; ModelError where the file is gone or was replaced."""
        if name == self._in_memory:
            return
        if self._in_memory:
            self._networks.get_submodule(self._in_memory).to("meta")
        self._in_memory, self._taken = "", 0
        with torch.inference_mode(False):
            self._piece = torch.empty(0)  # freed before the next one is made
            self._piece = torch.empty(sum(map(_room, self._networks.get_submodule(name).parameters())))
            try:
                self._file.read(self._networks, name, keep=self._keep)
            except BaseException:  # half a network would stay beside the next one
                self._networks.get_submodule(name).to("meta")
                self._piece = torch.empty(0)
                raise
        self._in_memory = name

    def _keep(self, weight: Tensor) -> Tensor:
        """A copy of a weight in the piece, with the same strides."""
        kept = self._piece[self._taken :].as_strided(weight.shape, weight.stride())
        self._taken += _room(weight)
        return kept.copy_(weight)


def _room(weight: Tensor) -> int:
    """How many float32 a weight takes up, so that each begins at a multiple of 64 bytes, as allocated ones
    do."""
    return -(-weight.numel() // 16) * 16


def own_state(layer: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module's state that are not its children's, by name."""
    return {name: tensor for name, tensor in layer.state_dict().items() if "." not in name}
