"""The formats' own validators on the native plugins: Steinberg's for VST3, and lv2_validate.

The first is built from Debian 13's source package vst3sdk (`cmake --build . --target validator`) and named by
AIRBAND_VST3_VALIDATOR; the second comes with apt-get install lv2-dev sordi.
pytest -m plugin tests/bridge/daw/plugin/test_validators.py
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PLUGINS = ["AirbandSend", "AirbandSendMono", "AirbandRender", "AirbandRenderMono"]
VENDORS = ("http://moddevices.com/ns/", "http://kxstudio.sf.net/ns/")
VALIDATOR = os.environ.get("AIRBAND_VST3_VALIDATOR", "")


@pytest.mark.skipif(not VALIDATOR, reason="AIRBAND_VST3_VALIDATOR names no validator")
@pytest.mark.parametrize("name", PLUGINS)
def test_steinbergs_validator_finds_no_fault(built: Path, name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "AIRBAND_START": "0", "HOME": str(tmp_path)}
    run = subprocess.run(
        [VALIDATOR, built / f"{name}.vst3"],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    told = re.search(r"Result: (\d+) tests passed, (\d+) tests failed", run.stdout)
    assert told is not None, run.stdout[-2000:]
    failures = [line for line in run.stdout.splitlines() if line.startswith("ERROR")]
    assert int(told[2]) == 0, failures
    assert int(told[1]) >= 40
    assert run.returncode == 0


@pytest.mark.skipif(
    shutil.which("lv2_validate") is None, reason="needs lv2_validate: apt-get install lv2-dev sordi"
)
@pytest.mark.parametrize("name", PLUGINS)
def test_lv2_describes_itself_in_the_formats_own_terms(built: Path, name: str) -> None:
    """The validator complains only about other vendors' terms, which DPF writes."""
    files = sorted((built / f"{name}.lv2").glob("*.ttl"))
    assert files
    run = subprocess.run(["lv2_validate", *files], capture_output=True, text=True, check=False)
    told = run.stdout + run.stderr
    assert re.search(r"Found \d+ errors among \d+ files", told), told[-2000:]
    complaints = re.split(r"^error: ", told, flags=re.MULTILINE)[1:]
    assert [text for text in complaints if not any(vendor in text for vendor in VENDORS)] == []
