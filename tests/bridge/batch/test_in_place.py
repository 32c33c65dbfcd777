"""`airband edit` as a DAW's external sample editor: what the host knows of the file stays true."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge.batch.backups import Backups
from bridge.wire.home import find_home
from presets.errors import InputError, OutputError

Airband = Callable[..., Any]


@pytest.fixture
def edit(airband: Airband, engine: Any) -> Airband:
    return lambda *arguments: airband("edit", *arguments, "--state", engine.home.state)


def sample(
    path: Path, dull: NDArray[np.float32], subtype: str, rate: int = 48000, frames: int = 30001
) -> Path:
    """Noise that ends at 4 kHz, or at a twelfth of another rate."""
    form = "RF64" if path.suffix == ".rf64" else None
    soundfile.write(path, dull[:, :frames].T, rate, subtype, format=form)
    return path


def test_a_glob_names_files_as_in_other_commands(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Stems [v2]").mkdir()
    for name in ("t[1].wav", "t2.wav"):
        sample(tmp_path / "Stems [v2]" / name, dull, "PCM_16")
    said = edit("Stems [v2]/*.wav")
    assert (said.code, said.out.count("generated above")) == (0, 2)
    said = edit("--undo", "Stems [v2]/t[1].wav", "Stems [v2]/none*.wav")
    assert said.out.count("restored") == 1
    assert "none*.wav: has no edit" in said.err


@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [
        ("a.wav", "PCM_16", 44100),
        ("a.wav", "PCM_24", 48000),
        ("a.wav", "FLOAT", 96000),
        ("a.flac", "PCM_16", 48000),
        ("a.flac", "PCM_24", 88200),
        ("a.aiff", "PCM_24", 44100),
        ("a.rf64", "PCM_24", 48000),
    ],
)
def test_what_the_host_knows_stays_and_undo_restores_the_bytes(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path, name: str, subtype: str, rate: int
) -> None:
    path = sample(tmp_path / name, dull, subtype, rate)
    path.chmod(0o640)
    before, about, source = path.read_bytes(), soundfile.info(path), soundfile.read(path)[0]
    said = edit(path)
    assert said.code == 0, said
    assert "generated above" in said.out
    now = soundfile.info(path)
    for fact in ("frames", "samplerate", "channels", "format", "subtype"):
        assert getattr(now, fact) == getattr(about, fact)
    assert path.stat().st_mode & 0o777 == 0o640
    made = soundfile.read(path)[0]
    window = np.hanning(len(source))
    spectrum, original = (np.abs(np.fft.rfft(signal[:, 0] * window)) for signal in (made - source, source))
    edge = int(len(source) / 12)
    assert np.sum(spectrum[: int(0.85 * edge)] ** 2) < 1e-7 * np.sum(original**2)
    assert np.sum(spectrum[edge:] ** 2) > 1e3 * np.sum(original[edge + edge // 4 :] ** 2)
    assert [entry.name for entry in tmp_path.iterdir() if name in entry.name] == [name]
    undone = edit("--undo", path)
    assert undone.code == 0, undone
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o640


def test_several_edits_are_undone_one_by_one(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path, engine: Any
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_24")
    levels = [path.read_bytes()]
    kept = engine.home.state / "edits"
    kept.mkdir(exist_ok=True)
    (kept / "lock").touch()
    others = set(kept.iterdir())
    for cutoff in (5000, 6000, 7000):
        assert edit(path, "--cutoff", cutoff).code == 0
        levels.append(path.read_bytes())
    assert len(set(levels)) == 4
    for earlier in reversed(levels[:-1]):
        assert edit("--undo", path).code == 0
        assert path.read_bytes() == earlier
    nothing = edit("--undo", path)
    assert nothing.code == 3
    assert "no edit that could be undone" in nothing.err
    assert set(kept.iterdir()) == others


def test_the_same_edit_once_more_does_nothing(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_24")
    assert "1 rendered in" in edit(path, "--cutoff", 5000).out
    once = path.read_bytes()
    again = edit(path, "--cutoff", 5000)
    assert again.code == 0
    assert "left as it is: this same edit already made it" in again.out
    assert "0 rendered, 1 left as found in" in again.out
    assert path.read_bytes() == once
    assert edit("--undo", path).code == 0
    assert edit("--undo", path).code == 3
    assert "1 rendered in" in edit(path, "--cutoff", 5000).out


def test_undo_refuses_a_file_that_was_changed_since_unless_forced(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_16")
    before = path.read_bytes()
    edit(path)
    sample(path, dull[::-1], "PCM_16")
    changed = path.read_bytes()
    refused = edit("--undo", path)
    assert refused.code == 4
    assert "was changed after airband edited it; --force" in refused.err
    assert path.read_bytes() == changed
    assert edit("--undo", "--force", path).code == 0
    assert path.read_bytes() == before


def test_a_deleted_file_comes_back_only_by_force(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_16")
    before = path.read_bytes()
    edit(path)
    path.unlink()
    assert edit("--undo", path).code == 4
    assert edit("--undo", "--force", path).code == 0
    assert path.read_bytes() == before


def test_a_link_stays_a_link(edit: Airband, dull: NDArray[np.float32], tmp_path: Path) -> None:
    target = sample(tmp_path / "a.wav", dull, "PCM_16")
    before = target.read_bytes()
    link = tmp_path / "link.wav"
    link.symlink_to(target)
    assert edit(link).code == 0
    assert link.is_symlink()
    assert target.read_bytes() != before
    assert edit("--undo", link).code == 0
    assert target.read_bytes() == before


def test_rate_is_changed_when_it_is_asked_for(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_24", 16000)
    assert edit(path, "--rate", 48000).code == 0
    about = soundfile.info(path)
    assert (about.samplerate, about.frames, about.subtype) == (48000, 90003, "PCM_24")


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000, 192000])
def test_a_rate_that_results_cannot_have_leaves_the_file_and_says_so(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path, rate: int
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_16", rate)
    before = path.read_bytes()
    said = edit(path)
    assert said.code == 0
    assert f"left as it is: results have 44100, 48000, 88200, 96000 Hz, this file {rate}; --rate" in said.out
    assert path.read_bytes() == before
    assert edit("--undo", path).code == 3


@pytest.mark.parametrize("flags", [(), ("--stem", "high"), ("--stem", "low", "--rate", 96000)])
def test_a_file_in_which_nothing_is_missing_is_not_touched(
    edit: Airband, tmp_path: Path, flags: tuple[object, ...]
) -> None:
    path = tmp_path / "full.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((30000, 2)), 48000, "PCM_16")
    before, changed_ns = path.read_bytes(), path.stat().st_mtime_ns
    said = edit(path, *flags)
    assert said.code == 0
    assert "left as it is: " in said.out
    assert "0 rendered, 1 left as found in" in said.out
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, changed_ns)


@pytest.mark.parametrize("flags", [("--format", "flac"), ("--bit-depth", 24), ("--start", 1), ("--force",)])
def test_what_the_host_would_notice_is_refused(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path, flags: tuple[object, ...]
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_16")
    before = path.read_bytes()
    said = edit(path, *flags)
    assert said.code == 2
    assert str(flags[0]) in said.err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.ogg", "VORBIS"), ("a.wav", "PCM_32"), ("a.wav", "PCM_U8"), ("a.wav", "ULAW")]
)
def test_what_cannot_be_written_as_it_was_read_is_refused_and_the_others_go_on(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path, name: str, subtype: str
) -> None:
    path = sample(tmp_path / name, dull, subtype)
    good = sample(tmp_path / "good.wav", dull, "PCM_16")
    before = path.read_bytes()
    said = edit(path, good, tmp_path / "missing.wav")
    assert said.code == 3
    assert "cannot be edited in place" in said.out
    assert "1 rendered, 2 failed" in said.out
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["take.raw", "TAKE.RAW", "rf64.wav"])
def test_a_file_is_edited_by_its_content_whatever_its_name_or_missing_size(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path, name: str
) -> None:
    path = sample(tmp_path / ("a.rf64" if name == "rf64.wav" else "a.wav"), dull, "PCM_16").rename(
        tmp_path / name
    )
    path.write_bytes(path.read_bytes().replace(b"ds64", b"JUNK"))
    said = edit(path)
    assert said.code == 0, said
    assert "generated above" in said.out
    assert soundfile.info(io.BytesIO(path.read_bytes())).frames == 30001


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on PATH")
def test_what_libsndfile_does_not_open_is_named_as_render_knows_it(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path
) -> None:
    good = sample(tmp_path / "good.wav", dull, "PCM_16").read_bytes()
    for codec, name in (("mp2", "mp2.wav"), ("flac", "flac.wav"), ("flac", "flac.oga")):
        ffmpeg = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(tmp_path / "good.wav"), "-c:a", codec]
        subprocess.run([*ffmpeg, str(tmp_path / name)], check=True)
    (tmp_path / "joined.wav").write_bytes(good + good)
    (tmp_path / "words.wav").write_bytes(b"no audio at all")
    said = edit(*(tmp_path / name for name in ("mp2.wav", "flac.wav", "flac.oga", "joined.wav", "words.wav")))
    assert said.code == 3
    for words in (
        "mp2.wav: MP2 in WAV cannot be edited in place; possible are WAV, FLAC and AIFF",
        "flac.wav: FLAC in WAV cannot be edited in place",
        "flac.oga: FLAC in OGG cannot be edited in place",
        f"joined.wav: another file follows at byte {len(good)}",
        "words.wav: not audio that can be edited in place\n",
    ):
        assert words in said.out


def test_samples_that_would_clip_leave_the_file(edit: Airband, tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(48000))
    spectrum[4000:] = 0
    loud = np.fft.irfft(spectrum)
    soundfile.write(path, 0.999 * loud / np.abs(loud).max(), 48000, "PCM_16")
    before = path.read_bytes()
    said = edit(path, "--high-gain-db", 24)
    assert said.code == 4
    assert "--clip" in said.out
    assert path.read_bytes() == before
    assert edit(path, "--high-gain-db", 24, "--clip").code == 0


def test_sigterm_cancels_and_leaves_the_file(tmp_path: Path, engine: Any) -> None:
    path = tmp_path / "long.wav"
    noise = np.random.default_rng(0).standard_normal(300 * 48000).astype(np.float32)
    soundfile.write(path, 0.1 * noise, 48000, "PCM_16")
    before = path.read_bytes()
    program = "from bridge.cli.app import main; main()"
    flags = ["--cutoff", "4000", "--json", "--state", str(engine.home.state)]
    process = subprocess.Popen(
        [sys.executable, "-c", program, "edit", str(path), *flags], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert any(json.loads(line)["what"] == "progress" for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if "long" in entry.name or ".part" in entry.name] == [
        "long.wav"
    ]


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(find_home(tmp_path / "state"))


def replaced(backups: Backups, path: Path, content: bytes) -> None:
    from render.files.encode import file_digest

    part = path.with_name("part")
    part.write_bytes(content)
    backups.replace(path, part, file_digest(path))


def test_a_file_that_changes_while_it_is_rendered_keeps_the_change(backups: Backups, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"newer")
    part = tmp_path / "part"
    part.write_bytes(b"rendered")
    with pytest.raises(OutputError, match="changed while it was being rendered"):
        backups.replace(path, part, "0" * 64)
    assert path.read_bytes() == b"newer"
    with pytest.raises(InputError, match="no edit"):
        backups.undo(path)
    assert not list((tmp_path / "state" / "edits").rglob("*-*"))


def test_an_edit_that_a_crash_cut_short_counts_for_nothing(
    backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    replaced(backups, path, b"two")

    def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bridge.batch.backups.put_in_place", crash)
        with pytest.raises(KeyboardInterrupt):
            replaced(backups, path, b"three")
    assert path.read_bytes() == b"two"
    backups.undo(path)
    assert path.read_bytes() == b"one"


def test_the_same_bytes_may_stand_in_several_edits(backups: Backups, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    contents = [b"one", b"two", b"one", b"three"]
    path.write_bytes(contents[0])
    for content in contents[1:]:
        replaced(backups, path, content)
    for content in reversed(contents[:-1]):
        backups.undo(path)
        assert path.read_bytes() == content


def test_a_damaged_backup_is_not_put_in_place(backups: Backups, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    replaced(backups, path, b"two")
    kept = next(p for p in (tmp_path / "state" / "edits").glob("*/*") if len(p.name) == 64)
    kept.write_bytes(b"rot")
    with pytest.raises(OutputError, match="damaged"):
        backups.undo(path)
    assert path.read_bytes() == b"two"


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the test's folder lie on a disk that has 1 kB free."""
    usage = shutil.disk_usage

    def told(folder: Path) -> Any:
        return usage(folder)._replace(free=1000) if folder == tmp_path else usage(folder)

    monkeypatch.setattr("shutil.disk_usage", told)


@pytest.mark.usefixtures("full_disk")
def test_an_edit_on_a_full_disk_is_told_with_what_it_needs(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_16")
    said = edit(path)
    assert said.code == 4
    assert f"{tmp_path}: no room: 0.12 MB are needed, 0.00 MB free" in said.out


def test_a_full_disk_at_an_undo_is_that_of_the_file(
    backups: Backups, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(2000))
    replaced(backups, path, b"two")
    request.getfixturevalue("full_disk")
    with pytest.raises(OutputError, match=f"^{tmp_path}: no room: 0.00 MB are needed"):
        backups.undo(path)
    assert path.read_bytes() == b"two"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_file_that_may_not_be_written_is_refused(
    edit: Airband, dull: NDArray[np.float32], tmp_path: Path
) -> None:
    path = sample(tmp_path / "a.wav", dull, "PCM_16")
    path.chmod(0o444)
    said = edit(path)
    assert said.code == 4
    assert "no permission" in said.out
