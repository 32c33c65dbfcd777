"""The trainer of draft's predictor: `python -m engine train predictor --config FILE.toml`.

A run is a function of its configuration. It keeps a checkpoint (network, its running mean, optimizer, step)
in the run's folder and goes on from it when started again, also after kill -9, with the losses it would have
had.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from engine.models.draft.predictor import build, save
from engine.training.data import Corpus, pack
from engine.training.predictor_examples import COPIES, Examples, collated
from engine.training.predictor_losses import Losses, Weights, losses
from engine.training.simulate import Variation
from presets.errors import UsageError
from render.upscaler import CELL_FRAMES

VALIDATION_SEED = 1_000_003


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run.

    Attributes:
        kind: dnn, resunet or convnext.
        network: its sizes, see `engine.models.draft.predictor`.
        corpus: folders and manifests; read once, into `pack`.
        pack: where the decoded corpus is kept.
        shares: how often a domain is drawn.
        variation: how clips are varied, by domain, see `Variation`.
        empty_above_hz: from where up a domain's empty band is taken at its word.
        mixed: share of clips with another one mixed in.
        held_out: share of sources kept for validation.
        cells: length of a window, in cells of 0.64 s.
        batch, steps, warmup_steps: examples a step, steps in all, steps to the full rate.
        decay_share: the last share of the steps, over which the rate falls to nothing.
        rate, weight_decay, mean_decay: of AdamW, and of the running mean of the weights that is kept.
        weights: what the parts of the loss count.
        precision: bf16 (5 times as fast where the processor has it) or fp32.
        checkpoint_steps, validation_steps, validation_examples: how often, and on how many.
        threads, workers: of the network; processes that prepare examples (0: none).
    """

    kind: str
    network: dict[str, int] = {}
    corpus: list[str]
    pack: str
    shares: dict[str, float]
    variation: dict[str, Variation] = {}
    empty_above_hz: dict[str, float] = {}
    mixed: float = 0.2
    held_out: float = 0.04
    seed: int = 0
    cells: int = 10
    batch: int = 16
    steps: int
    warmup_steps: int = 200
    decay_share: float = 0.3
    rate: float = 1e-3
    weight_decay: float = 0.02
    mean_decay: float = 0.999
    weights: Weights = Weights()
    precision: str = "bf16"
    checkpoint_steps: int = 200
    validation_steps: int = 500
    validation_examples: int = 96
    threads: int = 2
    workers: int = 1


def rate_at(step: int, config: Config) -> float:
    """The learning rate of a step: a ramp, a plateau, and a straight line down to zero."""
    rising = (step + 1) / config.warmup_steps
    falling = (config.steps - step) / max(config.decay_share * config.steps, 1.0)
    return config.rate * min(1.0, rising, falling)


class Run:
    """A training run in a folder.

    Args:
        config: what to do.
        folder: where checkpoint, log and the trained predictor go; made when missing.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config, self.folder = config, folder
        torch.manual_seed(config.seed)
        self.network = build(config.kind, config.network)
        self.mean = build(config.kind, config.network)
        self.mean.load_state_dict(self.network.state_dict())
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.rate,
            betas=(0.9, 0.98),
        )
        self.step = 0
        self.resume()

    def resume(self) -> None:
        """Goes to where the folder's checkpoint is, if there is one."""
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["mean"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]

    def checkpoint(self) -> None:
        """Writes the predictor as it is and the checkpoint, which stands whole or not at all."""
        save(self.mean, self.config.kind, self.config.network, self.folder / "predictor.safetensors")
        part = self.folder / "checkpoint.part"
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        torch.save(state, part)
        os.replace(part, self.folder / "checkpoint.pt")

    def train(self, stop: int | None = None) -> None:
        """Trains up to `stop` steps (or all) and checks on held-out clips now and then."""
        stop = self.config.steps if stop is None else stop
        began = time.monotonic()
        for batch in self._batches(self.step, stop):
            found = self._descend(batch)
            self.step += 1
            self._log("train", found, time.monotonic() - began)
            if self.step % self.config.validation_steps == 0 or self.step == stop:
                self._log("held-out", self.validate(), time.monotonic() - began)
            if self.step % self.config.checkpoint_steps == 0 or self.step == stop:
                self.checkpoint()

    def validate(self) -> Losses:
        """The mean network's losses on a fixed set of held-out examples."""
        config = self.config
        corpus = Corpus(Path(config.pack), config.held_out, True, config.shares)
        examples = self._examples(corpus, VALIDATION_SEED)
        chosen = Subset(examples, range(config.validation_examples // COPIES))
        loader = DataLoader(chosen, batch_size=config.batch // COPIES, collate_fn=collated)
        self.mean.eval()
        with torch.no_grad():
            found = [self._losses(self.mean, batch) for batch in loader]
        count = len(found)
        return Losses(*(torch.stack([getattr(f, n) for f in found]).sum() / count for n in Losses.__slots__))

    def _descend(self, batch: dict[str, Tensor]) -> Losses:
        rate = rate_at(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        found = self._losses(self.network, batch)
        torch.autograd.backward(found.total)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        decay = min(self.config.mean_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        return found

    def _losses(self, network: nn.Module, batch: dict[str, Tensor]) -> Losses:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.precision == "bf16"):
            outputs = network(batch["frames"].float(), batch["window"])
        return losses(
            outputs.float(),
            batch["level"].float(),
            batch["texture"].float(),
            batch["weight"].float(),
            self.config.weights,
        )

    def _examples(self, corpus: Corpus, seed: int) -> Examples:
        config = self.config
        frames = config.cells * CELL_FRAMES
        return Examples(corpus, seed, frames, config.variation, config.empty_above_hz, config.mixed)

    def _batches(self, start: int, stop: int) -> Iterator[dict[str, Tensor]]:
        config = self.config
        corpus = Corpus(Path(config.pack), config.held_out, False, config.shares)
        clips = config.batch // COPIES
        order = range(start * clips, stop * clips)
        yield from DataLoader(
            self._examples(corpus, config.seed),
            batch_size=clips,
            sampler=order,
            collate_fn=collated,
            num_workers=config.workers,
            prefetch_factor=4 if config.workers else None,
        )

    def _log(self, part: str, found: Losses, seconds: float) -> None:
        path = self.folder / "log.csv"
        fresh = not path.exists()
        values = [float(getattr(found, name).detach()) for name in Losses.__slots__]
        if not math.isfinite(values[0]):
            raise UsageError(f"the loss of step {self.step} is {values[0]}; lower `rate`", "rate")
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["part", "step", "seconds", *Losses.__slots__])
            writer.writerow([part, self.step, f"{seconds:.1f}", *(f"{value:.6f}" for value in values)])


def main(argv: Sequence[str]) -> int:
    """`train predictor`: packs the corpus when that was not done, then trains or goes on training."""
    parser = argparse.ArgumentParser(prog="airband train predictor", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the run's configuration, TOML")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder: checkpoint, log, weights")
    arguments = parser.parse_args(argv)
    try:
        config = msgspec.toml.decode(arguments.config.read_bytes(), type=Config)
    except OSError as error:
        raise UsageError(f"{arguments.config}: cannot be read: {error.strerror}", "config") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{arguments.config}: {error}", "config") from None
    torch.set_num_threads(config.threads)
    if not Path(f"{config.pack}.json").exists():
        pack([Path(root) for root in config.corpus], Path(config.pack))
    Run(config, arguments.out).train()
    return 0
