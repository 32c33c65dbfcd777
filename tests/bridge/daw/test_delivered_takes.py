"""Which files in a folder count as placeable takes of Airband Send."""

import json
from pathlib import Path

import pytest

from bridge.daw.takes import Take, delivered_takes
from presets.errors import InputError


def sidecar(folder: Path, name: str, **fields: object) -> None:
    about = {
        "what": "airband-take",
        "state": "delivered",
        "file": f"{name}.wav",
        "track": "vox",
        "rate": 44100,
    }
    (folder / f"{name}.wav").touch()
    (folder / f"{name}.take.json").write_text(json.dumps({**about, "transport_frame": 88200, **fields}))


def test_only_what_came_back_and_has_a_place_counts(tmp_path: Path) -> None:
    sidecar(tmp_path, "a")
    sidecar(tmp_path, "b (raw)", state="failed")
    sidecar(tmp_path, "c", transport_frame=None)
    sidecar(tmp_path, "d", track="", transport_frame=0, knobs={"seed": 1})
    sidecar(tmp_path, "e")
    (tmp_path / "e.wav").unlink()
    (tmp_path / "other.json").write_text("{}")
    takes = [Take(tmp_path / "a.wav", "a", "vox", 2.0), Take(tmp_path / "d.wav", "d", "", 0.0)]
    assert delivered_takes(tmp_path) == (takes, [])


def test_damaged_sidecars_are_named_and_hold_no_other_take_up(tmp_path: Path) -> None:
    (tmp_path / "a.take.json").write_text('{"what": "something else"}')
    sidecar(tmp_path, "b", rate=0)
    sidecar(tmp_path, "c", file="../c.wav")
    sidecar(tmp_path, "d")
    takes, damaged = delivered_takes(tmp_path)
    assert [take.name for take in takes] == ["d"]
    assert [Path(line.partition(": ")[0]).name[0] for line in damaged] == ["a", "b", "c"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        delivered_takes(tmp_path / "none")
