"""What of a folder counts as a take of Airband Send that can be placed."""

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
    (folder / f"{name}.take.json").write_text(json.dumps({**about, "transport_frame": 88200, **fields}))


def test_only_what_came_back_and_has_a_place_counts(tmp_path: Path) -> None:
    sidecar(tmp_path, "a")
    sidecar(tmp_path, "b (raw)", state="failed")
    sidecar(tmp_path, "c", transport_frame=None)
    sidecar(tmp_path, "d", track="", transport_frame=0, knobs={"seed": 1})
    (tmp_path / "other.json").write_text("{}")
    assert list(delivered_takes(tmp_path)) == [
        Take(tmp_path / "a.wav", "a", "vox", 2.0),
        Take(tmp_path / "d.wav", "d", "", 0.0),
    ]


def test_a_damaged_sidecar_and_a_folder_that_is_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        list(delivered_takes(tmp_path / "none"))
    (tmp_path / "x.take.json").write_text('{"what": "something else"}')
    with pytest.raises(InputError, match=r"x\.take\.json"):
        list(delivered_takes(tmp_path))
