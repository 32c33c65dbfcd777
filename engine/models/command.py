"""`python -m engine models ...`, behind `airband models`: list, convert, fetch."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.models import registry
from presets.errors import UsageError

if TYPE_CHECKING:
    from engine.models.audiosr.networks import Configuration

FAMILIES = ", ".join(f"{family}-" for family in registry.FAMILIES)


def main(argv: Sequence[str]) -> int:
    """Runs one of the subcommands; `list` when none is named."""
    parser = argparse.ArgumentParser("airband models", description="List the models and get their weights.")
    commands = parser.add_subparsers(dest="command")
    listing = commands.add_parser("list", help="every model, whether it is ready, and where its weights lie")
    listing.add_argument("--json", action="store_true", help="print JSON, for scripts")
    names = ", ".join(registry.REPOSITORIES)
    convert = commands.add_parser("convert", help="take what a render needs from an official checkpoint")
    convert.add_argument(
        "file", type=Path, help="pytorch_model.bin, safetensors under official names, or a trained model"
    )
    convert.add_argument(
        "--name", default="audiosr-basic", help=f"{names}, or a name of your own that begins with {FAMILIES}"
    )
    convert.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="2.7 or 1.3 GB")
    convert.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="config.json of a checkpoint of other sizes than published",
    )
    fetch = commands.add_parser("fetch", help="download an official checkpoint (6 GB) and convert it")
    fetch.add_argument("name", help=names)
    arguments = parser.parse_args(argv)
    if arguments.command == "convert":
        _convert(arguments.file, arguments.name, arguments.dtype, arguments.config)
    elif arguments.command == "fetch":
        _fetch(arguments.name)
    else:
        _list(getattr(arguments, "json", False))
    return 0


def _list(as_json: bool) -> None:
    models = registry.available()
    if as_json:
        print(json.dumps([asdict(model) for model in models], indent=2))
        return
    for model in models:
        size = f"  {model.nbytes / 1e9:.2f} GB" if model.nbytes else ""
        print(f"{model.name:16} {'ready' if model.ready else 'not ready':10}{model.where}{size}")
        if model.why:
            print(f"{'':16} {model.why}")


def _convert(source: Path, name: str, dtype: str, config: Path | None) -> None:
    import torch

    from engine.models.audiosr.checkpoint import convert, is_converted
    from engine.models.audiosr.networks import Configuration

    family = name.partition("-")[0]
    if family not in registry.FAMILIES or family == name:
        raise UsageError(f"--name {name!r}: the name of a model with weights begins with {FAMILIES}", "name")
    if family != "audiosr" or is_converted(source):
        _take(source, name)
        return
    configuration = Configuration() if config is None else _configuration(config)
    target = registry.converted(name)
    inventory = convert(source, target, configuration, getattr(torch, dtype))
    for unexpected in inventory.unexpected:
        print(f"unexpected: {unexpected}")
    print(
        f"{len(inventory.sources)} tensors converted, {inventory.unused} not needed by a render left out, "
        f"{len(inventory.unexpected)} unexpected"
    )
    digest = registry.header(name, target)["digest"]
    print(f"{name} is at {target} ({target.stat().st_size / 1e9:.2f} GB), digest {digest}")


def _configuration(path: Path) -> Configuration:
    """The configuration in an official config.json; UsageError where the file holds none."""
    from engine.models.audiosr.networks import Configuration

    try:
        return Configuration.from_official(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "config") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: no official configuration with the sections unet, vae and vocoder ({error})", "config"
        ) from None


def _take(source: Path, name: str) -> None:
    """Puts a model that `airband train` wrote among the models, under a name."""
    digest = registry.header(name, source)["digest"]
    target = registry.converted(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    print(f"{name} is at {target}, digest {digest}")


def _fetch(name: str) -> None:
    from engine.models.huggingface import fetch

    if name not in registry.REPOSITORIES:
        raise UsageError(f"cannot fetch {name!r}; give one of {', '.join(registry.REPOSITORIES)}", "name")
    checkpoint = fetch(
        registry.REPOSITORIES[name], registry.CHECKPOINT, lambda line: print(line, file=sys.stderr)
    )
    _convert(checkpoint, name, "float32", None)
