"""The trainer of draft's predictor: `airband train predictor --config FILE.toml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from engine.training.command import parser_of, train
from engine.training.corpus_config import CorpusConfig, part_of
from engine.training.draft.examples import COPIES, Batch, Examples, collated, examine
from engine.training.draft.losses import Weights, losses
from engine.training.draft.network import build, load, save
from engine.training.simulate import Variation
from engine.training.task import Task, device_of
from presets.errors import ModelError, UsageError
from render.upscaler import CELL_FRAMES

VALIDATION_SEED = 1_000_003


class Config(CorpusConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration of `train predictor`: what it has beside CorpusConfig.

    Attributes:
        network: the network's sizes, see `engine.models.draft.predictor`.
        variation: how clips are varied, by domain, see `Variation`.
        mixed: share of clips with another one mixed in.
        cells: length of a window, in cells of 0.64 s.
        weights: of the parts of the loss.
        origin: the file of a trained predictor, of the same sizes, whose weights training starts from.
    """

    network: dict[str, int] = msgspec.field(default_factory=dict)
    variation: dict[str, Variation] = msgspec.field(default_factory=dict)
    mixed: float = 0.2
    cells: int = 6
    weights: Weights = Weights()
    origin: str = ""


class Predictor(Task):
    """What the loop needs to train a predictor.

    Args:
        config: what to do; its corpus is packed.
    """

    averaged = ("predictor",)
    examples_an_item = COPIES

    def __init__(self, config: Config) -> None:
        torch.manual_seed(config.seed)
        self.schedule = self.config = config
        network = build(config.network)
        if config.origin:
            _start_from(Path(config.origin), network)
        self.networks = nn.ModuleDict({"predictor": network})
        self._parts: dict[bool, Examples] = {}

    def examples(self, validation: bool) -> Dataset[Batch]:
        """Varied clips of the corpus, cut off at several frequencies each."""
        config = self.config
        if validation not in self._parts:
            self._parts[validation] = Examples(
                part_of(config, validation),
                VALIDATION_SEED if validation else config.seed,
                config.cells * CELL_FRAMES,
                config.variation,
                config.mixed,
            )
        return self._parts[validation]

    def collate(self, items: Sequence[Any]) -> Batch | dict[str, Tensor]:
        """A batch of several clips. On a CPU, the process that read them also makes the examples of them."""
        batch = collated(items)
        return examine(batch) if device_of(self.config).type == "cpu" else batch

    def losses(
        self, networks: Mapping[str, nn.Module], batch: Batch | dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """See `losses.Losses`."""
        if isinstance(batch, Batch):
            batch = examine(batch)
        with self.cast():
            outputs, contours = networks["predictor"](batch["frames"], batch["window"])
        found = losses(
            outputs.float(),
            contours.float(),
            batch["level"],
            batch["texture"],
            batch["weight"],
            self.config.weights,
        )
        return {name: getattr(found, name) for name in found.__slots__}

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Writes `predictor.safetensors`."""
        save(networks["predictor"], self.config.network, folder / "predictor.safetensors")


def _start_from(origin: Path, network: nn.Module) -> None:
    """Gives a network the weights of a predictor's file."""
    try:
        network.load_state_dict(load(origin.read_bytes(), str(origin)).state_dict())
    except OSError as error:
        raise UsageError(f"{origin}: cannot be read: {error.strerror}", "from") from None
    except ModelError:
        raise UsageError(
            f"{origin} is not a predictor; a run's is its predictor.safetensors", "from"
        ) from None
    except RuntimeError:
        raise UsageError(
            f"{origin} holds a predictor of other sizes than `network` in the configuration; make them equal",
            "from",
        ) from None


def main(argv: Sequence[str]) -> int:
    """`train predictor`: packs the corpus if that is not done yet, then trains or goes on training."""
    parser = parser_of("predictor", "Train the predictor of draft.", "the file of a trained predictor")
    return train(parser.parse_args(argv), Config, Predictor)
