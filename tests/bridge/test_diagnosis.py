from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge import diagnosis
from bridge.diagnosis import Finding, examine
from bridge.wire.home import Connection, Home, claim, find_home, prepare, write_connection
from bridge.wire.messages import VERSION as PROTOCOL
from presets.version import VERSION


def found(state: Path, what: str) -> Finding:
    """The first finding of this name; later checks are not run."""
    return next(finding for finding in examine(find_home(state)) if finding.what == what)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Skips the import of every package, which takes seconds."""
    monkeypatch.setenv("AIRBAND_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(diagnosis, "NATIVE", ("numpy", "msgspec"))


def test_a_good_installation_with_a_running_engine(engine: Any, airband: Callable[..., Any]) -> None:
    said = airband("doctor", "--state", engine.home.state, "--json")
    assert said.code == 0, said.out
    findings = {finding["what"]: finding for finding in said.events}
    assert f"{VERSION}, process {engine.process.pid}" in findings["engine"]["detail"]
    assert findings["model draft"]["detail"] == "ready on cpu"
    assert "ok     libsndfile" in airband("doctor", "--state", engine.home.state).out


def test_packages_and_devices_are_really_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "NATIVE", ("soundfile", "torch"))
    findings = {finding.what: finding.detail for finding in examine(find_home(tmp_path))}
    assert "torch 2." in findings["packages"]
    assert findings["devices"].startswith("cpu")


def test_a_package_that_does_not_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "soxr.py").write_text("raise ImportError('libsoxr.so: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(diagnosis, "NATIVE", ("soxr", "msgspec"))
    broken = found(tmp_path / "state", "soxr")
    assert (broken.level, broken.detail) == ("broken", "ImportError: libsoxr.so: cannot open")
    assert "pipx install airband" in broken.advice


def test_a_package_that_ends_python_is_one_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "soxr.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(diagnosis, "NATIVE", ("soxr",))
    said = found(tmp_path / "state", "packages")
    assert said.level == "broken"
    assert "import importlib" not in said.detail


def test_packages_load_for_a_user_whose_folder_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr(diagnosis, "NATIVE", ("torch",))
    assert found(tmp_path / "state", "packages").level == "good"


def test_a_package_of_another_that_hides_ours_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("")
    monkeypatch.delitem(sys.modules, "engine", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert found(tmp_path / "state", "airband").level == "broken"


def test_no_ffmpeg_is_worth_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    note = found(tmp_path, "ffmpeg")
    assert (note.level, note.detail) == ("note", "ffmpeg is not on PATH")


def test_a_damaged_preset_of_the_user_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "presets"
    folder.mkdir(parents=True)
    (folder / "tape.toml").write_text("seed = -1")
    broken = found(tmp_path, "preset")
    assert broken.level == "broken"
    assert "seed = -1" in broken.detail
    assert str(folder / "tape.toml") in broken.advice


def test_a_state_folder_that_cannot_be_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert found(tmp_path / "file" / "state", "state folder").level == "broken"


def test_a_full_disk_is_worth_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "ROOM_BYTES", 2**60)
    assert "several GB" in found(tmp_path, "state folder").advice


def test_a_damaged_database_is_broken_and_a_sound_one_counted(tmp_path: Path) -> None:
    assert found(tmp_path, "jobs").detail == "none yet"
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as jobs, jobs:
        jobs.execute("CREATE TABLE jobs (job TEXT)")
        jobs.executemany("INSERT INTO jobs VALUES (?)", [("x" * 500,)] * 200)
    assert found(tmp_path, "jobs").detail.startswith("200 in ")
    with (tmp_path / "jobs.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    assert found(tmp_path, "jobs").level == "broken"


def stale(state: Path, **changes: Any) -> Home:
    home = find_home(state)
    prepare(home)
    said = {
        "endpoint": "ipc:///nowhere",
        "pid": 2**22 + 1,
        "started_s": 0.0,
        "engine": VERSION,
        "protocol": PROTOCOL,
    }
    write_connection(home, Connection(**{**said, **changes}))
    return home


def test_a_stale_connection_file_is_harmless(tmp_path: Path) -> None:
    stale(tmp_path / "state").connection.write_bytes(b"")  # as a power failure may leave it
    note = found(tmp_path / "state", "engine")
    assert note.level == "note"
    assert "left from one that was killed" in note.detail


def test_models_are_listed_without_an_engine(tmp_path: Path) -> None:
    assert found(tmp_path / "state", "model draft").detail == "ready"
    assert found(tmp_path / "state", "engine").detail.startswith("none is running")


def test_a_connection_file_open_to_others_is_broken(tmp_path: Path) -> None:
    home = find_home(tmp_path / "state")
    prepare(home)
    lock = claim(home)
    try:
        stale(tmp_path / "state").connection.chmod(0o666)
        broken = found(tmp_path / "state", "engine")
    finally:
        lock.release()
    assert (broken.level, broken.advice.split()[0]) == ("broken", "remove")


def test_an_engine_of_another_version_is_broken(tmp_path: Path) -> None:
    home = find_home(tmp_path / "state")
    prepare(home)
    lock = claim(home)
    stale(tmp_path / "state", pid=os.getpid(), engine="0.0.9", protocol=99)
    try:
        broken = found(tmp_path / "state", "engine")
    finally:
        lock.release()
    assert broken.level == "broken"
    assert "0.0.9" in broken.detail
    assert "`airband stop`" in broken.advice


def test_broken_means_exit_code_1(tmp_path: Path, airband: Callable[..., Any]) -> None:
    (tmp_path / "file").write_text("")
    said = airband("doctor", "--state", tmp_path / "file" / "state")
    assert said.code == 1
    assert "BROKEN state folder" in said.out
    assert "-> give Airband a folder" in said.out
    assert airband("doctor", "--state", tmp_path / "none").code == 0
