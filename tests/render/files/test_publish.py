from __future__ import annotations

import errno
import json
import os
import random
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from engine.worker.held_paths import HeldFolder
from presets.errors import OutputError
from presets.report import RenderReport
from presets.schema import Preset, make
from render.clip import ArrayClip
from render.files.encode import Encoding, encode, file_digest
from render.files.parts import _swept_s, part_beside, put_in_place
from render.files.publish import check_destination, deliver, publish
from render.files.sidecar import StemRecord, find_done, find_result, render_key, sidecar_path

SAMPLES = (0.3 * np.random.default_rng(5).uniform(-1, 1, (2, 30000))).astype(np.float32)
CLIP = ArrayClip(SAMPLES, 48000)


@pytest.fixture
def record(report: RenderReport) -> StemRecord:
    """The record of a rendered kick."""
    return StemRecord("kick.wav", "music", make(seed=7), report)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def test_a_stem_appears_with_its_sidecar_and_nothing_else(tmp_path: Path, record: StemRecord) -> None:
    out = tmp_path / "new" / "folder" / "kick.wav"
    said = deliver(CLIP, out, record)
    assert np.array_equal(soundfile.read(out, dtype="float32")[0].T, SAMPLES)
    assert sorted(path.name for path in out.parent.iterdir()) == ["kick.wav", "kick.wav.airband.json"]
    assert json.loads(sidecar_path(out).read_text()) == said
    assert said["output"]["digest"] == file_digest(out)
    assert said["model"] == {"name": "draft", "digest": "b" * 64, "why": "no GPU"}
    assert (said["preset"]["name"], said["preset"]["seed"], said["render"]["cutoff_hz"]) == (
        "music",
        7,
        4000.0,
    )
    assert said["versions"]["airband"] == said["airband"]


def test_what_is_done_is_known_again_and_only_that(tmp_path: Path, record: StemRecord) -> None:
    out = tmp_path / "kick.wav"
    assert not find_done(out, record.key)
    deliver(CLIP, out, record)
    assert find_done(out, record.key)
    for other in (
        replace(record, report=msgspec.structs.replace(record.report, source_digest="c" * 64)),
        replace(record, preset=make(seed=8)),
        replace(record, report=msgspec.structs.replace(record.report, model="null")),
        replace(record, report=msgspec.structs.replace(record.report, weights_digest="d" * 64)),
    ):
        assert not find_done(out, other.key)
    with out.open("r+b") as file:
        file.seek(5000)
        file.write(b"\x55")
    assert not find_done(out, record.key)


def test_a_source_is_hashed_only_where_there_is_a_stem_to_hold_it_against(
    tmp_path: Path, record: StemRecord
) -> None:
    out, asked = tmp_path / "kick.wav", []

    def digest() -> str:
        asked.append(out)
        return record.report.source_digest

    facts = (digest, record.preset, record.report.model, record.report.weights_digest)
    out.write_bytes(b"somebody else's")
    assert find_result(out, *facts) is None
    assert not asked
    deliver(CLIP, out, record, force=True)
    done = find_result(out, *facts)
    assert done is not None
    assert (done.digest, done.nbytes) == (file_digest(out), out.stat().st_size)
    assert find_result(out, digest, make(seed=8), *facts[2:]) is None
    assert len(asked) == 2


def test_the_key_sees_knobs_but_not_words() -> None:
    key = render_key("a" * 64, Preset(model="auto"), "draft", "b" * 64)
    assert key == render_key("a" * 64, Preset(model="draft", description="for Ann"), "draft", "b" * 64)
    assert key != render_key("a" * 64, make(delivery={"clip": True}), "draft", "b" * 64)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 3}', '{"key": "x", "output": 4}', "\x00\xff"])
def test_a_damaged_sidecar_is_not_a_done_one(tmp_path: Path, text: str, record: StemRecord) -> None:
    deliver(CLIP, tmp_path / "kick.wav", record)
    sidecar_path(tmp_path / "kick.wav").write_text(text)
    assert not find_done(tmp_path / "kick.wav", record.key)


def test_an_existing_file_is_refused_without_force_and_replaced_with_it(
    tmp_path: Path, record: StemRecord
) -> None:
    out = tmp_path / "kick.wav"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists and is not the result of this very render; force=True"):
        deliver(CLIP, out, record)
    assert out.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["kick.wav"]
    deliver(CLIP, out, record, force=True)
    assert find_done(out, record.key)


def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: StemRecord
) -> None:
    out = tmp_path / "kick.wav"
    monkeypatch.setattr("render.files.publish.check_destination", lambda *_, **__: None)
    with part_beside(out) as part:
        encoded = encode(CLIP, part, Encoding("wav", 32), Preset())
        out.write_bytes(b"precious")
        with pytest.raises(OutputError, match="appeared while it was being rendered"):
            publish(part, out, encoded, record)
    assert out.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["kick.wav"]


@pytest.mark.parametrize("via", ["itself", "hard link", "symbolic link", "another spelling"])
def test_the_source_is_never_overwritten(tmp_path: Path, via: str, record: StemRecord) -> None:
    source = tmp_path / "kick.wav"
    soundfile.write(source, SAMPLES.T, 48000)
    out = tmp_path / ("kick.wav" if via == "itself" else "out.wav")
    if via == "hard link":
        os.link(source, out)
    elif via == "symbolic link":
        out.symlink_to(source)
    elif via == "another spelling":
        (tmp_path / "sub").mkdir()
        out = tmp_path / "sub" / ".." / "kick.wav"
    before = source.read_bytes()
    for force in (False, True):
        with pytest.raises(OutputError, match="is the source itself"):
            deliver(CLIP, out, record, source=source, force=force)
    assert source.read_bytes() == before
    assert hidden(tmp_path) == []


def test_a_folder_is_no_destination_even_by_force(tmp_path: Path) -> None:
    (tmp_path / "kick.wav").mkdir()
    with pytest.raises(OutputError, match="exists and is not a file"):
        check_destination(tmp_path / "kick.wav", force=True)


@pytest.mark.parametrize("force", [False, True])
def test_a_strangers_file_in_the_sidecars_place_goes_by_force_alone(
    tmp_path: Path, record: StemRecord, force: bool
) -> None:
    out, side = tmp_path / "kick.wav", tmp_path / "kick.wav.airband.json"
    for notes in ("my notes", '{"my": "notes"}'):
        side.write_text(notes)
        if force:
            deliver(CLIP, out, record, force=True)
            assert find_done(out, record.key)
            continue
        with pytest.raises(OutputError, match=r"kick\.wav\.airband\.json: exists and is not a sidecar"):
            check_destination(out)
        assert side.read_text() == notes


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_in_the_sidecars_place_is_refused_by_its_name(tmp_path: Path, kind: str) -> None:
    side = tmp_path / "kick.wav.airband.json"
    os.mkfifo(side) if kind == "pipe" else side.mkdir()
    with pytest.raises(OutputError, match=r"kick\.wav\.airband\.json: exists and is not a file"):
        check_destination(tmp_path / "kick.wav", force=True)


def test_a_sidecar_whose_stem_is_gone_is_in_nobodys_way(tmp_path: Path, record: StemRecord) -> None:
    deliver(CLIP, tmp_path / "kick.wav", record)
    (tmp_path / "kick.wav").unlink()
    check_destination(tmp_path / "kick.wav")


def test_a_render_that_fails_leaves_nothing(tmp_path: Path, record: StemRecord) -> None:
    loud = ArrayClip(SAMPLES * 5, 48000)
    with pytest.raises(OutputError, match="dBFS"):
        deliver(loud, tmp_path / "kick.wav", replace(record, preset=make(bit_depth=16)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file/kick.wav", "a" * 300 + ".wav", "nul\0.wav"])
def test_a_destination_that_cannot_be_is_one_error(tmp_path: Path, name: str, record: StemRecord) -> None:
    (tmp_path / "file").write_bytes(b"not a folder")
    with pytest.raises(OutputError):
        deliver(CLIP, tmp_path / name, record)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that may be listed but not written; a test that runs as root becomes the user nobody."""
    is_root = os.geteuid() == 0
    with TemporaryDirectory() as name:
        os.chmod(name, 0o555)
        if is_root:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if is_root:
                os.seteuid(0)
            os.chmod(name, 0o755)


@pytest.mark.parametrize("below", ["", "new/folder"])
def test_no_permission_says_so_before_the_work(closed: Path, below: str, record: StemRecord) -> None:
    out = closed / below / "kick.wav"
    with pytest.raises(OutputError, match=r"kick\.wav: no permission to write there"):
        check_destination(out)
    with pytest.raises(OutputError, match=r"kick\.wav: no permission to write there"):
        deliver(CLIP, out, record)


@pytest.fixture
def killed_writer(tmp_path: Path, record: StemRecord, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The pid of a process that was killed while it held a part file beside tmp_path/kick.wav."""
    monkeypatch.setattr("render.files.parts.SWEEP_S", 0.0)
    code = (
        "import sys, time; from pathlib import Path; from render.files.parts import part_beside\n"
        "with part_beside(Path(sys.argv[1])) as part: print(part, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "kick.wav")], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert len(hidden(tmp_path)) == 1
        deliver(CLIP, tmp_path / "snare.wav", record)
        assert len(hidden(tmp_path)) == 1
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        yield writer.pid


def test_what_a_killed_process_left_is_swept_by_the_next_in_its_folder(
    tmp_path: Path, killed_writer: int, record: StemRecord
) -> None:
    assert str(killed_writer) in hidden(tmp_path)[0]
    elsewhere = tmp_path / hidden(tmp_path)[0].replace(socket.gethostname(), "elsewhere")
    elsewhere.touch()
    deliver(CLIP, tmp_path / "tom.wav", record)
    assert hidden(tmp_path) == [elsewhere.name]


def test_what_a_process_of_another_container_writes_is_not_swept(tmp_path: Path) -> None:
    """Its pid may not exist here, though the host name is the same."""
    fcntl = pytest.importorskip("fcntl")
    alive = tmp_path / f".airband-{'a' * 12}-{socket.gethostname()}-999999999-0.part"
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _swept_s.clear()
        with part_beside(tmp_path / "kick.wav"):
            assert alive.exists()
    _swept_s.clear()
    with part_beside(tmp_path / "kick.wav"):
        assert not alive.exists()


def test_what_cannot_be_swept_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / f".airband-{'a' * 12}-{socket.gethostname()}-999999999-0.part").mkdir()
    with part_beside(tmp_path / "kick.wav") as part:
        part.write_bytes(b"whole")


def test_stems_reach_drop_boxes_file_servers_and_sticks(
    tmp_path: Path, record: StemRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders that may not be listed, servers that sync none, disks without modes, attributes and links."""
    sync = os.fsync

    def sync_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    _swept_s.clear()
    monkeypatch.setattr("os.fsync", sync_files)
    for name in ("listdir", "chmod", "link"):
        monkeypatch.setattr(f"os.{name}", refused)
    monkeypatch.setattr("os.listxattr", unsupported, raising=False)
    monkeypatch.setattr("shutil.disk_usage", lambda _: (0, 0, 0))
    out = tmp_path / "new" / "kick.wav"
    deliver(CLIP, out, record, umask=0o022)
    assert soundfile.info(out).frames == SAMPLES.shape[1]
    with part_beside(out) as part:
        part.write_bytes(b"edited")
        put_in_place(part, out)
    assert out.read_bytes() == b"edited"


def test_a_folder_is_looked_through_once_for_stems_that_follow_each_other(
    tmp_path: Path, record: StemRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render.files.parts.SWEEP_S", 3600.0)
    looked: list[Path] = []
    listed = os.listdir

    def look(folder: Path) -> list[str]:
        looked.append(folder)
        return listed(folder)

    monkeypatch.setattr(os, "listdir", look)
    for name in ("kick.wav", "snare.wav", "tom.wav"):
        deliver(CLIP, tmp_path / name, record)
    assert looked == [tmp_path]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / "now").unlink(missing_ok=True)
        (tmp_path / "now").symlink_to(name)
        deliver(CLIP, tmp_path / "now" / "kick.wav", record)
    assert looked[1:] == [tmp_path / "now"] * 2, "another folder each time"


def test_killed_at_any_moment_a_stem_is_whole_or_absent(tmp_path: Path, report: RenderReport) -> None:
    """Publication in a loop, killed at random: whatever is visible is complete and has its own sidecar."""
    code = """
import sys
from pathlib import Path
import msgspec
import numpy as np
from presets.report import RenderReport
from presets.schema import make
from render.clip import ArrayClip
from render.files.publish import deliver
from render.files.sidecar import StemRecord
report = msgspec.json.decode(sys.argv[2], type=RenderReport)
for seed in range(10**6):
    clip = ArrayClip(np.full((2, 5000 + seed), 0.25, np.float32), 48000)
    record = StemRecord("a", "music", make(seed=seed), report)
    deliver(clip, Path(sys.argv[1]) / f"{seed}.wav", record)
    print(seed, flush=True)
"""
    packed = msgspec.json.encode(report).decode()
    for wait_s in (0.0, 0.003, 0.011):
        folder = tmp_path / str(wait_s)
        with subprocess.Popen(
            [sys.executable, "-c", code, str(folder), packed], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(wait_s)
            writer.kill()
        stems = list(folder.glob("*.wav"))
        assert stems
        for stem in stems:
            said: dict[str, Any] = json.loads(sidecar_path(stem).read_text())
            assert find_done(stem, said["key"])
            assert soundfile.info(stem).frames == 5000 + int(stem.stem)


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)]
)
@pytest.mark.parametrize("told", [False, True], ids=["own", "the client's"])
def test_what_is_made_obeys_the_umask_of_whom_it_is_made_for(
    tmp_path: Path, record: StemRecord, umask: int, file: int, folder: int, told: bool
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    before = os.umask(0o077 if told else umask)
    try:
        deliver(CLIP, shared / "new" / "kick.wav", record, umask=umask if told else None)
    finally:
        os.umask(before)
    assert (shared / "new").stat().st_mode & 0o7777 == folder | 0o2000
    for name in ("kick.wav", "kick.wav.airband.json"):
        assert (shared / "new" / name).stat().st_mode & 0o7777 == file


def test_a_folders_default_access_list_stands_in_the_umasks_place(tmp_path: Path, record: StemRecord) -> None:
    user, owning_group, group, mask, others = (1, 7, -1), (4, 5, -1), (8, 7, 12345), (16, 7, -1), (32, 5, -1)
    entries = b"".join(struct.pack("<HHi", *entry) for entry in (user, owning_group, group, mask, others))
    try:
        os.setxattr(tmp_path, "system.posix_acl_default", struct.pack("<I", 2) + entries)
    except (OSError, AttributeError):
        pytest.skip("no access lists here")
    deliver(CLIP, tmp_path / "new" / "kick.wav", record, umask=0o022)
    assert (tmp_path / "new").stat().st_mode & 0o070 == 0o070, "the group's mask allows writing"
    for name in ("kick.wav", "kick.wav.airband.json"):
        assert (tmp_path / "new" / name).stat().st_mode & 0o070 == 0o060
    with closing(HeldFolder(tmp_path / "held")) as held, held.opened(0o022, make=True):
        assert (tmp_path / "held").stat().st_mode & 0o070 == 0o070


def test_a_name_without_room_for_its_ending_has_a_shorter_sidecar_that_is_found_again(
    tmp_path: Path, record: StemRecord
) -> None:
    longest, twin = (tmp_path / ("é" * 125 + f"{last}.wav") for last in "ab")
    for out in (longest, twin):
        said = deliver(CLIP, out, record)
        assert find_done(out, said["key"])
    assert sidecar_path(longest) != sidecar_path(twin)
    assert {path.name[:50] for path in tmp_path.iterdir()} == {"é" * 50}
    with pytest.raises(OutputError, match="File name too long"):
        deliver(CLIP, tmp_path / f"{'x' * 252}.wav", record)
    assert len(list(tmp_path.iterdir())) == 4
    for folder in (tmp_path, tmp_path / "not" / "there"):
        with pytest.raises(OutputError, match="a name there may have up to 255 bytes, choose a shorter one"):
            check_destination(folder / f"{'x' * 252}.wav")


def test_a_name_that_is_no_text_is_written_like_any_other(tmp_path: Path, record: StemRecord) -> None:
    out = tmp_path / os.fsdecode(b"caf\xe9.flac")
    said = deliver(CLIP, out, record)
    assert find_done(out, said["key"])
    assert sorted(map(os.fsencode, os.listdir(tmp_path))) == [b"caf\xe9.flac", b"caf\xe9.flac.airband.json"]


@pytest.mark.skipif(os.name != "posix", reason="locks a folder")
@pytest.mark.parametrize("force", [True, False])
def test_two_who_write_one_stem_leave_it_with_its_own_sidecar(
    tmp_path: Path, record: StemRecord, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    real, chance = os.replace, random.Random(1)

    def slow(source: Path, target: Path) -> None:
        time.sleep(0.02 * chance.random())
        real(source, target)

    monkeypatch.setattr(os, "replace", slow)
    clips = [ArrayClip(share * SAMPLES, 48000) for share in (0.5, 0.25)]
    for take in range(12):
        out = tmp_path / f"{take}.wav"
        with ThreadPoolExecutor() as pool:
            made = [pool.submit(deliver, clip, out, record, force=force) for clip in clips]
        refused = [error for error in (each.exception() for each in made) if error is not None]
        assert len(refused) == (0 if force else 1)
        assert all(isinstance(error, OutputError) for error in refused)
        assert json.loads(sidecar_path(out).read_text())["output"]["digest"] == file_digest(out)


def test_a_file_that_is_replaced_hands_on_what_it_was(tmp_path: Path) -> None:
    out = tmp_path / "kick.wav"
    out.write_bytes(b"before")
    out.chmod(0o640)
    other = next(group for group in (*os.getgroups(), 20) if group != os.getgid())
    try:
        os.chown(out, -1, other)
    except PermissionError:
        other = os.getgid()
    try:
        os.setxattr(out, "user.xdg.tags", b"drums")
    except (OSError, AttributeError):
        pytest.skip("this file system has no extended attributes")
    with part_beside(out) as part:
        part.write_bytes(b"after")
        put_in_place(part, out)
    about = out.stat()
    assert (out.read_bytes(), about.st_mode & 0o777, about.st_gid) == (b"after", 0o640, other)
    assert os.getxattr(out, "user.xdg.tags") == b"drums"
