"""`airband plugins scan`: working plugins are described, failures reported, known ones not loaded again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.plugins import app, scan
from presets.errors import OutputError

ZAM = Path("/usr/lib/vst3/ZamCompX2.vst3")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin folder with a file that is not a plugin, and a real plugin if there is one."""
    plugins = tmp_path / "vst3"
    (plugins / "Broken.vst3").mkdir(parents=True)
    if ZAM.exists():
        shutil.copytree(ZAM, plugins / "vendor" / ZAM.name)
    monkeypatch.setenv("AIRBAND_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("AIRBAND_PLUGIN_FOLDERS", str(plugins))
    return plugins


def test_what_is_no_plugin_is_told_and_remembered(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "state" / "plugins.json"
    found = {Path(result.path).name: result for result in scan(cache)}
    assert "unsupported plugin format or scan failure" in found["Broken.vst3"].error
    known = json.loads(cache.read_text())
    known[0]["error"] = "as remembered"
    cache.write_text(json.dumps(known))
    assert "as remembered" in [result.error for result in scan(cache)]
    assert "as remembered" not in [result.error for result in scan(cache, refresh=True)]


def test_a_plugin_that_changed_is_loaded_again(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "plugins.json"
    list(scan(cache))
    (folder / "Broken.vst3" / "part").write_text("new")
    known = json.loads(cache.read_text())
    known[0]["error"] = "as remembered"
    cache.write_text(json.dumps(known))
    assert "as remembered" not in [result.error for result in scan(cache)]


def test_a_cache_that_does_not_parse_is_made_anew(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "plugins.json"
    cache.write_text("{")
    assert list(scan(cache))
    assert json.loads(cache.read_text())


@pytest.mark.skipif(not ZAM.exists(), reason="Debian's zam-plugins are not installed (apt-get install)")
def test_the_command_lists_name_channels_and_parameters(folder: Path, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["--state", str(tmp_path / "state"), "--parameters"])
    assert said.exit_code == 0, said.output
    assert "ok     ZamCompX2: stereo, 14 parameters" in said.output
    assert "ratio = 4.0 (1 to 20)" in said.output
    assert "FAILED plugin Broken" in said.output
    as_json = CliRunner().invoke(app, ["--state", str(tmp_path / "state"), "--json"])
    lines = [json.loads(line) for line in as_json.output.splitlines()]
    assert {line["name"] for line in lines} == {"", "ZamCompX2"}


@pytest.mark.usefixtures("folder")
def test_a_state_folder_that_cannot_be_made_is_told_before_any_plugin_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/state: cannot be made: Not a directory"):
        next(scan(tmp_path / "file" / "state" / "plugins.json"))
