"""Fine-tuning by low-rank changes of the attention's matrices (Hu et al. 2021, LoRA): W + B A, W frozen.

Of a U-Net of 258 M parameters only 1 or 2 M are then trained, and the optimizer's memory shrinks with them.
The changes are merged before a model is written, so a render knows nothing of them.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.models.audiosr.blocks import SelfAttention


class LowRank(nn.Module):
    """W -> W + B A; zero at first.

    Args:
        outputs, inputs: shape of W.
        rank: columns of B and rows of A.
    """

    def __init__(self, outputs: int, inputs: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, inputs) / rank)
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """weight: (outputs, inputs)."""
        return weight + self.b @ self.a


def add_changes(network: nn.Module, rank: int) -> None:
    """Freezes a network and gives every matrix of its self-attentions a low-rank change to train."""
    network.requires_grad_(False)
    for attention in [module for module in network.modules() if isinstance(module, SelfAttention)]:
        for layer in (attention.to_q, attention.to_k, attention.to_v, attention.to_out[0]):
            outputs, inputs = layer.weight.shape  # type: ignore[misc]
            parametrize.register_parametrization(layer, "weight", LowRank(outputs, inputs, rank))


def merged(network: nn.Module) -> nn.Module:
    """A copy of a network in which low-rank changes have become part of the matrices."""
    whole = copy.deepcopy(network)
    for module in [module for module in whole.modules() if parametrize.is_parametrized(module)]:
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return whole
