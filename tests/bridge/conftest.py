"""The command line as a user calls it, against the tests' engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.cli.app import main


@dataclass(frozen=True)
class Said:
    """The outcome of a command: its exit code and its output."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def airband(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`airband(*arguments)`: runs the command in this process, as its entry point does."""

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["airband", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def clips(tmp_path: Path, dull: NDArray[np.float32]) -> Path:
    """A folder of three short clips without highs: kick.wav, snare.flac and sub/hat.wav."""
    folder = tmp_path / "clips"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("kick.wav", "snare.flac", "sub/hat.wav")):
        soundfile.write(folder / name, dull[:, 10000 * number : 40000 + 10000 * number].T, 48000, "PCM_24")
    return folder
