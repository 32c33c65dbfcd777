"""`airband farm bundle DIR`: writes a manifest as a job for render farms without Ray.

The folder holds an Open Job Description bundle (https://github.com/OpenJobDescription; AWS Deadline Cloud and
OpenJD's own runner accept it), a Slurm batch script and an OpenCue submission. All three run the same
command, `airband render --manifest ... --shard i/n`, once for each part of the batch.
"""

from __future__ import annotations

import argparse
import os
import shlex
import string
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

import presets
from bridge.batch.manifest.rows import plan_rows, read
from bridge.client.request import label
from presets.errors import OutputError, UsageError
from presets.printable import is_utf8, printable
from render.files.parts import write_whole

MOST_SHARDS = 1024
"""The most tasks per step that Open Job Description allows by default."""


def main(argv: Sequence[str]) -> int:
    """Writes the bundle; returns 0."""
    arguments = _parser().parse_args(argv)
    if not 1 <= arguments.shards <= MOST_SHARDS:
        raise UsageError(f"shards = {arguments.shards}; allowed: 1 to {MOST_SHARDS}", "shards")
    if "{" in arguments.out and not os.path.isdir(arguments.out):
        reason = "a bundle needs the folder of results; put templates into the manifest's column `out`"
        raise UsageError(f"out = {arguments.out!r}: {reason}", "out")
    preset, loaded = arguments.preset, presets.load(arguments.preset)
    beside: list[str] = []
    if preset.endswith(".toml"):  # make it absolute, as tasks run in other folders
        preset = os.path.abspath(os.path.expanduser(preset))
        beside.append(preset)
    rows = read(arguments.manifest, loaded, label(preset), {})
    pairs, refused = plan_rows(rows, arguments.out)
    for item, error in refused:
        print(printable(f"refused: {item.source}: {error.message}"))
    sources = {os.path.abspath(item.source) for item, _ in pairs}
    sources.update(beside, *(row.beside for _, row in pairs))
    manifest, out = (os.path.abspath(path) for path in (arguments.manifest, arguments.out))
    for path in (manifest, out, *sorted(sources)):
        if not is_utf8(path):
            raise UsageError(f"{printable(path)}: is not UTF-8, as a bundle must be; rename it", "manifest")
    shards = min(arguments.shards, max(1, len(pairs)))
    files = {
        "template.yaml": _yaml(template(preset, shards)),
        "parameter_values.yaml": _yaml(_values({"Manifest": manifest, "Out": out})),
        "asset_references.yaml": _yaml(_assets([manifest, *sorted(sources)], out)),
        "slurm.sh": _filled("slurm.sh", manifest, out, preset, shards),
        "opencue.py": _filled("opencue.py", manifest, out, preset, shards),
    }
    folder: Path = arguments.bundle
    for name in files:
        if not arguments.force and os.path.lexists(folder / name):
            raise OutputError(f"{folder / name}: exists; --force replaces it", str(folder))
    for name, text in files.items():
        write_whole(folder / name, text.encode())
    print(f"{len(pairs)} renders in {shards} shards: {folder}/{{{','.join(files)}}}")
    values = " ".join(
        f"-p {shlex.quote(f'{name}={value}')}" for name, value in (("Manifest", manifest), ("Out", out))
    )
    job = shlex.quote(f"{folder}/template.yaml")
    print(f"to run it here with OpenJD's own runner: openjd run {job} --step Render {values}")
    return 0


def template(preset: str, shards: int) -> dict[str, Any]:
    """The job template by the specification's revision 2023-09, as plain values.

    Manifest and output folder are parameters set at submission, since a template must not hold absolute
    paths.

    Args:
        preset: for rows that name none.
        shards: number of tasks of its only step.
    """
    own = "{{Session.WorkingDirectory}}/airband"
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": f"Airband {label(preset)}",
        "parameterDefinitions": [
            {"name": "Manifest", "type": "PATH", "objectType": "FILE", "dataFlow": "IN"},
            {"name": "Out", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT"},
            {"name": "Preset", "type": "STRING", "default": preset},
            {"name": "Shards", "type": "INT", "minValue": 1, "maxValue": MOST_SHARDS, "default": shards},
        ],
        "steps": [
            {
                "name": "Render",
                "parameterSpace": {
                    "taskParameterDefinitions": [
                        {"name": "Shard", "type": "INT", "range": "1-{{Param.Shards}}"}
                    ]
                },
                "stepEnvironments": [
                    {
                        "name": "Engine",
                        "description": "The engine that the first task starts ends with the session.",
                        "script": {
                            "actions": {
                                "onEnter": {"command": "airband", "args": ["--version"]},
                                "onExit": {
                                    "command": "airband",
                                    "args": ["stop", "--now", "--state", own],
                                    "timeout": 120,
                                },
                            }
                        },
                    }
                ],
                "script": {
                    "actions": {
                        "onRun": {
                            "command": "airband",
                            "args": [
                                "render",
                                *("--manifest", "{{Param.Manifest}}", "-o", "{{Param.Out}}"),
                                *("-p", "{{Param.Preset}}"),
                                *("--shard", "{{Task.Param.Shard}}/{{Param.Shards}}"),
                                *("--results", "{{Param.Out}}/results-{{Task.Param.Shard}}.jsonl"),
                                *("--state", own),
                            ],
                        }
                    }
                },
            }
        ],
    }


def _values(values: dict[str, str]) -> dict[str, Any]:
    """The job's parameters, as in a Deadline Cloud bundle."""
    return {"parameterValues": [{"name": name, "value": value} for name, value in values.items()]}


def _assets(inputs: list[str], out: str) -> dict[str, Any]:
    """The files that a farm without a shared disk must transfer (Deadline Cloud's job attachments)."""
    return {
        "assetReferences": {
            "inputs": {
                "filenames": [path for path in inputs if not os.path.isdir(path)],
                "directories": [path for path in inputs if os.path.isdir(path)],
            },
            "outputs": {"directories": [out]},
            "referencedPaths": [],
        }
    }


def _filled(name: str, manifest: str, out: str, preset: str, shards: int) -> str:
    """A submission script of this folder with its `$` placeholders filled, quoted for its language."""
    quoted = repr if name.endswith(".py") else shlex.quote
    text = (resources.files("engine.farm") / "submissions" / f"{name}.in").read_text(encoding="utf-8")
    return string.Template(text).safe_substitute(
        manifest=quoted(manifest), out=quoted(out), preset=quoted(preset), shards=shards
    )


def _yaml(values: dict[str, Any]) -> str:
    return msgspec.yaml.encode(values).decode()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="airband farm bundle",
        description="Write a manifest as an Open Job Description bundle, a Slurm script and an OpenCue "
        "submission. All machines must see the files by the same paths and have Airband installed.",
    )
    parser.add_argument("bundle", type=Path, metavar="DIR", help="the folder to write")
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE", help=".csv, .jsonl or .yaml")
    parser.add_argument("-o", "--out", required=True, help="the folder of results")
    parser.add_argument("-p", "--preset", default="music", metavar="NAME", help="for rows that name none")
    parser.add_argument("--shards", type=int, default=8, metavar="N", help="parts of the batch (default 8)")
    parser.add_argument("--force", action="store_true", help="replace files of an earlier bundle")
    return parser
