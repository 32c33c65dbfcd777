"""The engine's own command line: its commands, and the errors for wrong ones."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from engine.__main__ import COMMANDS, main


def test_every_command_has_a_module_that_runs_it() -> None:
    for name, (module, _) in COMMANDS.items():
        assert callable(import_module(module).main), name


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


@pytest.mark.parametrize("argv", [["sreve"], ["bench", "nothing"]])
def test_an_unknown_command_is_a_usage_error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert f"unknown command {' '.join(argv)!r}" in capsys.readouterr().err


def test_a_group_alone_is_told_what_may_follow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("airband: train: one of its commands must follow\n")
    assert "train predictor" in said


def test_help_of_a_group_lists_its_commands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: airband train COMMAND ...")
    assert "train predictor" in said
    assert "bench" not in said


def test_ctrl_c_is_an_exit_code_and_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.serve.serve", interrupted)
    assert main(["serve", "--state", str(tmp_path)]) == 130


def test_a_place_without_permission_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/closed/weights.ckpt")

    monkeypatch.setattr("engine.serve.serve", refused)
    assert main(["serve", "--state", str(tmp_path)]) == 4
    assert capsys.readouterr().err == (
        "airband: /closed/weights.ckpt: Permission denied; choose another place\n"
    )


def test_errors_become_exit_codes(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    assert main(["serve", "--state", str(tmp_path), "--endpoint", "tcp://0.0.0.0:*"]) == 2
    assert "keys allow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--quota", "nan"),
        ("--quota", "-1"),
        ("--idle-exit", "inf"),
        ("--idle-exit", "soon"),
        ("--metrics", "99999"),
        ("--workers", "0"),
        ("--root", "no-such-folder"),
    ],
)
def test_an_amount_that_cannot_be_is_a_usage_error(
    flag: str, value: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--state", str(tmp_path), f"{flag}={value}"])
    assert value in capsys.readouterr().err


@pytest.mark.parametrize("name", ["draft.toml", "speech.toml", "runs/draft.toml"])
def test_a_configuration_that_ships_is_told_with_its_path(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "predictor", "--config", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"airband: {name}: no such file; the one that ships is ")
    assert Path(said.split("ships is ")[1].split(": copy")[0]).is_file()
    assert main(["train", "predictor", "--config", "gone.toml"]) == 2
    assert capsys.readouterr().err == "airband: gone.toml: no such file\n"


def test_a_configuration_that_is_no_text_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "noise.toml"
    path.write_bytes(b"\xff\xfe")
    assert main(["train", "predictor", "--config", str(path)]) == 2
    assert "noise.toml" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_an_output_that_nobody_reads_or_that_has_no_room_is_no_traceback() -> None:
    command = [sys.executable, "-m", "engine", "models", "list"]
    ours, theirs = os.pipe()
    os.close(ours)
    with open("/dev/full", "w") as full, open(theirs, "w") as unread:
        for output, code, said in ((unread, 1, ""), (full, 4, "no room on disk")):
            run = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
            assert (run.returncode, "Traceback" in run.stderr) == (code, False), run.stderr
            assert said in run.stderr
