"""The bundle for a bug report: what it contains, and what it must never contain."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from bridge.bundle import write_bundle
from bridge.diagnosis import Finding
from bridge.wire.curve_keys import allow, own_keys
from bridge.wire.home import find_home, prepare, this_process, write_connection
from engine.state.spool import Spool
from presets.errors import OutputError


def test_a_bundle_tells_of_the_engine_and_holds_no_audio_and_no_keys(tmp_path: Path) -> None:
    home = find_home(tmp_path / "state")
    prepare(home)
    keys, server = own_keys(home.state), own_keys(home.state, "engine")
    allow(home.allow_list, server.public)
    write_connection(home, this_process("tcp://127.0.0.1:1", 1, server.public, keys))
    Spool(home.state / "spool").stem("01ARZ3NDEKTSV4RRFFQ69G5FAV").write_bytes(b"the take of the year")
    home.log.write_text("engine stopped\n")
    held = write_bundle(home, tmp_path / "report.zip", [Finding("python", "good", "3.12")])
    with zipfile.ZipFile(tmp_path / "report.zip") as bundle:
        members = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert sorted(members) == sorted(held)
    assert json.loads(members["findings.json"])[0]["what"] == "python"
    assert json.loads(members["spool.json"])["stems"] == {"files": 1, "bytes": 20}
    assert json.loads(members["engine.json"])["endpoint"] == "tcp://127.0.0.1:1"
    assert "engine stopped" in members["engine.log"]
    everything = "".join(members.values())
    for secret in (keys.public, keys.secret, server.public, server.secret, "the take of the year"):
        assert secret not in everything
    with pytest.raises(OutputError, match="exists"):
        write_bundle(home, tmp_path / "report.zip", [])
