"""What a configuration says of the corpus: its clips, where they are packed, how they are drawn and split."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import msgspec

from engine.training.data import Corpus, pack
from engine.training.task import Schedule
from presets.errors import UsageError


class CorpusConfig(Schedule, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The part of a configuration that says what a run learns from.

    Attributes:
        corpus: folders, and manifests (.csv) with the columns `file` and `domain`; read once, into `pack`.
        pack: where the decoded corpus is kept; by default `pack.i16` in the run's folder.
        shares: how often a domain is drawn; by default in proportion to its length.
        held_out: share of the sources that is kept for validation where no manifest's column `split` says
            which, 0 to 1.
    """

    corpus: list[str] = msgspec.field(default_factory=list)
    pack: str = ""
    shares: dict[str, float] = msgspec.field(default_factory=dict)
    held_out: float = 0.04


def packed(config: CorpusConfig) -> Path:
    """The pack of a configuration, made when it is not there yet.

    Raises:
        UsageError: there is no pack, and no corpus is named.
        InputError: nothing in the corpus decodes.
    """
    path = Path(config.pack)
    if not Path(f"{path}.json").exists():
        if not config.corpus:
            raise UsageError("no corpus: name one with --data, or `corpus` in the configuration", "data")
        path.parent.mkdir(parents=True, exist_ok=True)
        pack([Path(root) for root in config.corpus], path)
    return path


def part_of(config: CorpusConfig, validation: bool) -> Corpus:
    """The training or the validation part of a configuration's corpus."""
    path = Path(config.pack)
    shares = config.shares or lengths(path)
    return Corpus(path, config.held_out, validation, shares)


def lengths(path: Path) -> dict[str, float]:
    """Minutes of each domain in a pack."""
    minutes: dict[str, float] = defaultdict(float)
    for clip in json.loads(Path(f"{path}.json").read_text()):
        minutes[clip["domain"]] += clip["frames"] / 48000 / 60
    return dict(minutes)
