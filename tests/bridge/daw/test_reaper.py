"""The REAPER scripts under busted, against a fake of REAPER's API that really runs the `airband` command.

A fake proves our logic, not REAPER's: these scripts have not been run in REAPER itself.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SCRIPTS = ROOT / "bridge" / "daw" / "reaper"

pytestmark = pytest.mark.skipif(
    shutil.which("busted") is None or shutil.which("lua5.4") is None,
    reason="needs Debian's lua5.4 and lua-busted",
)


@pytest.mark.timeout(900)
def test_reaper_actions(tmp_path: Path, airband_command: Path) -> None:
    ramp = (np.arange(3 * 48000) / 2**18).astype(np.float32)
    for name in ("clip.wav", "it's; a clip.wav"):
        sf.write(tmp_path / name, ramp, 48000, subtype="FLOAT")
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 600 * 48000).astype(np.float32)
    sf.write(tmp_path / "long.wav", noise, 48000, subtype="PCM_16")
    run = subprocess.run(
        ["busted", "--lua=lua5.4", str(HERE / "reaper" / "restore_spec.lua")],
        env={
            **os.environ,
            "AIRBAND_COMMAND": str(airband_command),
            "SCRIPTS": str(SCRIPTS),
            "FOLDER": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "23 successes / 0 failures / 0 errors" in run.stdout


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.lua")), ids=lambda path: path.stem)
def test_scripts_parse(script: Path) -> None:
    subprocess.run(["luac5.4", "-p", str(script)], check=True, timeout=10)
