"""The `airband` command as a DAW finds it: an executable, here with an engine of its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def airband_command(tmp_path: Path) -> Iterator[Path]:
    """`airband` on a state folder of its own; its engine is ended afterwards."""
    command, state = tmp_path / "airband", tmp_path / "state"
    run = f"{sys.executable} -c 'from bridge.cli.app import main; main()'"
    command.write_text(f'#!/bin/sh\nexport PYTHONPATH={ROOT}\nexec {run} "$@" --state {state}\n')
    command.chmod(0o755)
    yield command
    subprocess.run([command, "stop", "--now"], capture_output=True, timeout=60, check=False)
