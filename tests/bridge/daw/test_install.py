"""Installing for a host and uninstalling again leaves the host's folders unchanged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.daw import build
from bridge.daw.audacity.settings import switch, value

Run = Callable[..., subprocess.CompletedProcess[str]]
REAPER = [
    "Airband - Import takes of Airband Send as they come.lua",
    "Airband - Import takes of Airband Send.lua",
    "Airband - Restore item as new take.lua",
    "Airband - Restore item with options.lua",
    "airband.lua",
    "airband_command.lua",
    "airband_json.lua",
    "airband_takes.lua",
]
NOTE = "airband-command.txt"
AUDACITY = (
    b"PrefsVersion=1.1.1r1\r\n[Version]\r\nMajor=3\r\n[Module]\r\nmod-ogg=1\r\nmod-script-pipe=4\r\nmod-flac=1\r\n"
    b"[ModulePath]\r\nmod-script-pipe=/usr/lib/audacity/modules/mod-script-pipe.so\r\n"
)


def tree(folder: Path) -> dict[str, Any]:
    """Everything below a folder: its folders, its files' bytes and permissions."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with settings of several hosts in it."""
    home = tmp_path / "home"
    for folder in (".config/REAPER/Scripts/Cockos", ".config/ardour7", ".config/ardour8/scripts", ".clap"):
        (home / folder).mkdir(parents=True)
    (home / ".config/ardour8/scripts/mine.lua").write_text("-- mine")
    (home / ".config/audacity").mkdir()
    (home / ".config/audacity/audacity.cfg").write_bytes(AUDACITY)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("shutil.which", lambda name: f"/opt/{name}")
    return home


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder of plugins built elsewhere; without a VST3, which would be loaded."""
    for name in ("AirbandSend.lv2/manifest.ttl", "AirbandSend.lv2/send.so"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(0o755)
    (tmp_path / "bin" / "AirbandSend.clap").write_text("clap")
    return tmp_path / "bin"


@pytest.fixture
def daw(airband: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    return lambda *arguments: airband("daw", "install", *arguments, "--state", tmp_path / "state")


def test_plugins_go_to_their_folders_and_leave_them_again(
    user: Path, built: Path, daw: Callable[..., Any], tmp_path: Path
) -> None:
    before = tree(user)
    said = daw("plugin", "--from", built)
    assert said.code == 0, said
    assert (user / ".lv2/AirbandSend.lv2/manifest.ttl").read_text() == "AirbandSend.lv2/manifest.ttl"
    assert (user / ".lv2/AirbandSend.lv2/send.so").stat().st_mode & 0o777 == 0o755
    assert (user / ".clap/AirbandSend.clap").read_text() == "clap"
    assert Path((tmp_path / "state" / NOTE).read_text().strip()).name == "airband"
    for folder in (".lv2", ".vst3", ".clap"):
        assert f"{user / folder}: " in said.out.partition("where hosts look:")[2]
    assert daw("plugin", "--uninstall").code == 0
    assert tree(user) == before
    assert not (tmp_path / "state" / NOTE).exists()


@pytest.mark.parametrize("host", ["reaper", "ardour", "audacity"])
def test_uninstalling_leaves_the_tree_as_it_was_found(
    user: Path, daw: Callable[..., Any], tmp_path: Path, host: str
) -> None:
    before = tree(user)
    said = daw(host)
    assert said.code == 0, said
    installed = tree(user)
    assert installed != before
    again = daw(host)
    assert again.code == 0
    assert "everything is installed already" in again.out
    assert tree(user) == installed
    assert daw(host, "--uninstall").code == 0
    assert tree(user) == before
    assert not (tmp_path / "state" / "daw").exists()
    nothing = daw(host, "--uninstall")
    assert nothing.code == 3
    assert "was not installed in" in nothing.err


def test_reaper_gets_its_actions_and_the_newest_ardour_its_own(user: Path, daw: Callable[..., Any]) -> None:
    daw("reaper")
    scripts = user / ".config/REAPER/Scripts/Airband"
    assert sorted(path.name for path in scripts.iterdir()) == sorted([*REAPER, NOTE])
    assert Path((scripts / NOTE).read_text().strip()).name == "airband"
    daw("ardour")
    names = {path.name for path in (user / ".config/ardour8/scripts").iterdir()}
    assert names == {"mine.lua", "airband_restore.lua", "airband_takes.lua", NOTE}


def test_into_names_another_folder(user: Path, daw: Callable[..., Any], tmp_path: Path) -> None:
    before = tree(user)
    portable = tmp_path / "portable"
    assert daw("reaper", "--into", portable).code == 0
    assert (portable / "Scripts" / "Airband" / "airband.lua").is_file()
    assert tree(user) == before
    assert daw("reaper", "--uninstall").code == 3
    assert daw("reaper", "--into", portable, "--uninstall").code == 0
    assert not portable.exists()


def test_what_the_user_changed_or_added_is_kept_and_named(user: Path, daw: Callable[..., Any]) -> None:
    daw("reaper")
    scripts = user / ".config/REAPER/Scripts/Airband"
    (scripts / "airband.lua").write_text("-- better")
    (scripts / "own.lua").write_text("-- own")
    assert daw("reaper").code == 4
    said = daw("reaper", "--uninstall")
    assert said.code == 0
    assert f"{scripts / 'airband.lua'}: kept, it was changed" in said.out
    assert sorted(path.name for path in scripts.iterdir()) == ["airband.lua", "own.lua"]


def test_a_file_of_another_origin_is_not_replaced_and_nothing_is_installed_beside_it(
    user: Path, daw: Callable[..., Any]
) -> None:
    scripts = user / ".config/REAPER/Scripts/Airband"
    scripts.mkdir()
    (scripts / "airband.lua").write_text("-- another's")
    before = tree(user)
    said = daw("reaper")
    assert said.code == 4
    assert "move it away" in said.err
    assert tree(user) == before


def test_a_new_version_replaces_the_old_one_and_drops_what_it_no_longer_has(
    user: Path, daw: Callable[..., Any], built: Path
) -> None:
    before = tree(user)
    daw("plugin", "--from", built)
    (built / "AirbandSend.lv2/send.so").write_text("newer")
    (built / "AirbandSend.clap").unlink()
    assert daw("plugin", "--from", built).code == 0
    assert (user / ".lv2/AirbandSend.lv2/send.so").read_text() == "newer"
    assert not (user / ".clap/AirbandSend.clap").exists()
    assert daw("plugin", "--uninstall").code == 0
    assert tree(user) == before


def test_a_host_that_was_never_started_says_so(
    user: Path, daw: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for host in ("reaper", "ardour", "audacity"):
        said = daw(host)
        assert said.code == 3
        assert "start it once, or give the folder with --into" in said.err
    assert daw("logic").code == 2


def test_a_machine_that_cannot_build_is_told_what_to_install(
    user: Path, daw: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "g++"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    (tools / "pkg-config").write_text('#!/bin/sh\n[ "$2" != libsodium ]\n')  # knows all libraries except one
    (tools / "pkg-config").chmod(0o755)
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(build, "DPF", tmp_path / "none")
    before = tree(user)
    said = daw("plugin")
    assert said.code == 3
    assert "sudo apt-get install patch libsodium-dev dpf-source`" in said.err
    assert tree(user) == before


def test_from_takes_plugins_or_the_framework_and_nothing_else(
    user: Path, daw: Callable[..., Any], tmp_path: Path
) -> None:
    said = daw("plugin", "--from", tmp_path)
    assert said.code == 3
    assert "neither built plugins" in said.err
    assert daw("reaper", "--from", tmp_path).code == 2


@pytest.mark.plugin
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not build.DPF.is_dir(), reason="needs Debian's dpf-source and what it is built with")
def test_plugins_are_built_tried_out_and_installed_by_one_command(
    daw: Callable[..., Any], tmp_path: Path
) -> None:
    """And once more takes what is there."""
    home = tmp_path / "home"
    said = daw("plugin", "--into", home)
    assert said.code == 0, said
    for name in ("AirbandSend", "AirbandSendMono", "AirbandRender", "AirbandRenderMono"):
        assert f"{name}.vst3: loads" in said.out
        assert (home / ".clap" / f"{name}.clap").is_file()
        assert (home / ".lv2" / f"{name}.lv2" / f"{name}.ttl").is_file()
    assert "speech" in (home / ".lv2/AirbandSend.lv2/AirbandSend.ttl").read_text()
    installed = tree(home)
    assert "everything is installed already" in daw("plugin", "--into", home).out
    assert tree(home) == installed
    assert daw("plugin", "--into", home, "--uninstall").code == 0
    assert not home.exists()


class TestAudacity:
    def test_only_the_value_of_the_module_changes(self, user: Path) -> None:
        settings = user / ".config/audacity/audacity.cfg"
        switch(settings, "1")
        assert value(settings) == "1"
        assert settings.read_bytes() == AUDACITY.replace(b"mod-script-pipe=4", b"mod-script-pipe=1")

    def test_a_setting_changed_since_is_kept(self, user: Path, daw: Callable[..., Any]) -> None:
        settings = user / ".config/audacity/audacity.cfg"
        daw("audacity")
        settings.write_bytes(b"New=1\r\n" + settings.read_bytes().replace(b"pipe=1", b"pipe=0"))
        assert daw("audacity", "--uninstall").code == 0
        assert value(settings) == "0"

    def test_audacity_that_has_not_met_the_module_is_started_first(
        self, user: Path, daw: Callable[..., Any]
    ) -> None:
        settings = user / ".config/audacity/audacity.cfg"
        settings.write_bytes(AUDACITY.replace(b"mod-script-pipe=4\r\n", b""))
        said = daw("audacity")
        assert said.code == 3
        assert "has not found mod-script-pipe" in said.err
        settings.unlink()
        assert "start Audacity once" in daw("audacity").err


@pytest.mark.slow
def test_scripts_and_weights_are_in_the_wheel(tmp_path: Path) -> None:
    """Builds it, without the network: the build backend must be installed."""
    pytest.importorskip("hatchling")
    root = Path(__file__).parents[3]
    import zipfile

    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=root,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 60e6
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"bridge/daw/reaper/{name}" for name in REAPER} <= names
    assert "bridge/daw/ardour/airband_restore.lua" in names
    assert "engine/checkpoints/audiosr-mini.safetensors" in names
    assert not [name for name in names if name.startswith("bridge/daw/plugin/bin/")]
