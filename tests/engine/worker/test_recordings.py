"""Recordings that `like` names: opened only below the roots, and identified by their bytes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.client.request import with_like
from engine.state.spool import Spool
from engine.worker.recordings import check_like, open_recordings
from presets.errors import InputError, UsageError
from presets.schema import make
from render.files.recordings import MOST_FILES, recordings, recordings_digest
from render.files.sidecar import render_key


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """A folder with two recordings, and a text beside them."""
    folder = tmp_path / "takes"
    folder.mkdir()
    for number in (2, 1):
        samples = np.random.default_rng(number).standard_normal((4800, number)) * 0.1
        soundfile.write(folder / f"{number}.wav", samples, 48000)
    (folder / "notes.txt").write_text("two takes")
    return folder


def test_a_folder_stands_for_its_recordings_and_a_file_for_itself(takes: Path, tmp_path: Path) -> None:
    assert recordings(takes) == [takes / "1.wav", takes / "2.wav"]
    assert recordings(takes / "2.wav") == [takes / "2.wav"]
    with open_recordings(str(takes), Spool(tmp_path / "spool"), [tmp_path], lambda _: None, "job") as opened:
        assert [(name, clip.channels, clip.frames) for name, clip in opened] == [
            ("1.wav", 1, 4800),
            ("2.wav", 2, 4800),
        ]
    with open_recordings(None, Spool(tmp_path / "spool"), [], lambda _: None, "job") as none:
        assert list(none) == []


def test_a_recording_that_is_no_audio_is_the_fault_of_like(takes: Path, tmp_path: Path) -> None:
    (takes / "0.wav").write_bytes(b"RIFF....WAVE")
    spool = Spool(tmp_path / "spool")
    opened = open_recordings(str(takes), spool, [tmp_path], lambda _: None, "job")
    with pytest.raises(InputError) as told, opened:
        pass
    assert told.value.message.startswith("like: 0.wav is not audio")
    assert told.value.field == "like"


def test_no_more_than_some_are_opened(takes: Path) -> None:
    for number in range(MOST_FILES + 3):
        (takes / f"more{number}.flac").write_bytes(b"")
    assert len(recordings(takes)) == MOST_FILES


def test_what_is_not_there_or_outside_the_roots_is_refused(takes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        check_like(str(tmp_path / "nowhere.wav"), [tmp_path])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no recordings"):
        check_like(str(tmp_path / "empty"), [tmp_path])
    with pytest.raises(InputError, match="outside the folders"):
        check_like(str(takes), [tmp_path / "empty"])
    (tmp_path / "empty" / "link.wav").symlink_to(takes / "1.wav")
    with pytest.raises(InputError, match="outside the folders"):
        check_like(str(tmp_path / "empty"), [tmp_path / "empty"])


def test_a_result_is_known_by_the_recordings_bytes_not_by_their_path(takes: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.wav"
    copy.write_bytes((takes / "1.wav").read_bytes())
    one, same, other = (str(takes / "1.wav"), str(copy), str(takes / "2.wav"))
    assert recordings_digest(one) == recordings_digest(same) != recordings_digest(other)
    assert recordings_digest(None) == ""
    keys = [render_key("s", make(like=like), "draft", "w") for like in (None, one, same, other)]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_an_engine_elsewhere_cannot_open_the_callers_files(
    takes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(takes)
    assert with_like(make(like="1.wav"), local=True).like == str(takes / "1.wav")
    assert with_like(make(), local=False).like is None
    with pytest.raises(UsageError, match="runs elsewhere"):
        with_like(make(like="1.wav"), local=False)
