"""Options that `airband serve` refuses before it touches anything, naming what is allowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.serve_options import parsed


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--endpoint", "tcp://127.0.0.1:99999"], "65535"),
        (["--endpoint", "tcp://127.0.0.1"], "PORT"),
        (["--endpoint", ""], "ipc://PATH"),
        (["--endpoint", "ipc://"], "ipc://PATH"),
        (["--endpoint", "inproc://engine"], "ipc://PATH"),
        (["--endpoint", "ipc://@everybody"], "every user"),
        (["--device", "cpu", "--device", "tpu"], "cuda:N"),
        (["--device", ""], "cuda:N"),
        (["--state", ""], "variable unset"),
        (["--root", ""], "variable unset"),
        (["--root", "/no/such/folder"], "no such folder"),
        (["--root", "~nobody-of-that-name"], "no such folder"),
        (["--allow", "keys"], "tcp"),
        (["--quota", "nan"], "1e+09"),
        (["--metrics", "65536"], "65535"),
    ],
)
def test_what_cannot_be_is_named_with_what_is_allowed(
    options: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(options)
    assert ended.value.code == 2
    assert word in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_a_root_that_no_message_can_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(root)
    with pytest.raises(SystemExit):
        parsed(["--root", os.fsdecode(root)])
    assert "UTF-8" in capsys.readouterr().err


def test_an_ipc_path_is_where_the_engine_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parsed(["--endpoint", "ipc://e.sock"]).endpoint == f"ipc://{tmp_path}/e.sock"
    assert parsed(["--endpoint", "tcp://127.0.0.1:*"]).endpoint == "tcp://127.0.0.1:*"
