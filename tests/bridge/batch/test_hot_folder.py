"""A hot folder under a writer that behaves as DAWs and users do, and a watcher that is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge import Client
from bridge.batch.hot_folder import HotFolder, Ready, rounds
from bridge.batch.run import Event
from presets.errors import UsageError
from presets.schema import Preset
from render.files.encode import file_digest
from render.files.sidecar import read_sidecar, sidecar_path

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'airband'; from bridge.cli.app import main; main()",
]
SETTLE_S = 0.2
LONG_S = 4 * SETTLE_S


def wav(number: int, frames: int = 2400) -> bytes:
    """The bytes of a small WAV file, different for every number."""
    import io

    samples = 0.1 * np.random.default_rng(number).standard_normal(frames)
    with io.BytesIO() as file:
        soundfile.write(file, samples, 48000, "PCM_16", format="WAV")
        return file.getvalue()


class Watcher:
    """`airband watch` as a process."""

    def __init__(self, folder: Path, out: Path, state: Path, *flags: str) -> None:
        self._command = [
            *PROGRAM, "watch", str(folder), "-o", str(out), "--state", str(state), "--settle", str(SETTLE_S),
            "--model", "null", "--cutoff", "4000", "--json", *flags,
        ]  # fmt: skip
        self.said = folder.with_suffix(".jsonl")
        self.start()

    def start(self) -> None:
        with self.said.open("a") as file:
            self.process = subprocess.Popen(self._command, stdout=file, stderr=file, start_new_session=True)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def events(self, what: str) -> list[dict[str, Any]]:
        lines = self.said.read_text().splitlines() if self.said.exists() else []
        return [event for line in lines if (event := json.loads(line))["what"] == what]

    def done(self) -> list[str]:
        return [Path(event["source"]).name for event in self.events("done")]


@pytest.fixture
def watched(tmp_path: Path, engine: Any) -> Iterator[Callable[..., Watcher]]:
    """`watched(folder, out, *flags)`: a watcher, killed after the test if it still runs."""
    running: list[Watcher] = []

    def start(folder: Path, out: Path, *flags: str) -> Watcher:
        folder.mkdir(exist_ok=True)
        running.append(Watcher(folder, out, engine.home.state, *flags))
        return running[-1]

    yield start
    for watcher in running:
        watcher.kill()


def is_right(out: Path, source: Path) -> bool:
    """Whether the result of `source` is complete, and made from the source's current content."""
    try:
        said = json.loads(sidecar_path(out / source.name).read_bytes())
        return bool(
            said["source"]["digest"] == file_digest(source)
            and said["output"]["digest"] == file_digest(out / source.name)
        )
    except OSError:
        return False


def check(out: Path, folder: Path, may: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Checks the results: exactly those of all sources, and perhaps of `may`, each with its sidecar."""
    sources = {path.name for path in folder.glob("*.wav")}
    stems = {path.name for path in out.glob("*.wav")}
    assert sources <= stems <= sources | may
    assert {path.name for path in out.iterdir()} == stems | {f"{name}.airband.json" for name in stems}
    for path in folder.glob("*.wav"):
        assert is_right(out, path)
        np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read(out / path.name)[0])


def feed(
    folder: Path, count: int, beat_s: float, between: Callable[[int], None] = lambda number: None
) -> set[str]:
    """A writer that stalls, renames, deletes, duplicates; returns names that were complete for a while."""
    passing: set[str] = set()
    for number in range(count):
        content = wav(number)
        path = folder / f"bounce {number:03}.wav"
        kind = number % 8
        if kind == 1:  # stalls for longer than the settling time
            path.write_bytes(content[:1000])
            time.sleep(beat_s if number % 16 == 1 else LONG_S)
            with path.open("ab") as file:
                file.write(content[1000:])
        elif kind == 2:  # under a hidden name first
            part = path.with_name(f".{path.name}")
            part.write_bytes(content)
            part.rename(path)
        elif kind == 3:  # given up half-way
            path.write_bytes(content[:1000])
            time.sleep(beat_s)
            path.unlink()
        elif kind == 4:  # renamed half-way
            path.write_bytes(content[:1000])
            path = path.rename(folder / f"take {number:03}.wav")
            with path.open("ab") as file:
                file.write(content[1000:])
        elif kind == 5:  # duplicated
            path.write_bytes(content)
            shutil.copyfile(path, folder / f"bounce {number:03} copy.wav")
        elif kind == 6:  # renamed when complete, before or after it is rendered
            path.write_bytes(content)
            passing.add(path.name)
            time.sleep(beat_s)
            path.rename(folder / f"final {number:03}.wav")
        elif kind == 7:  # bounced twice
            path.write_bytes(wav(1000 + number))
            time.sleep(beat_s)
            path.write_bytes(content)
        else:
            path.write_bytes(content)
        between(number)
        time.sleep(beat_s / 4)
    return passing


def run_through(
    watched: Callable[..., Watcher],
    wait_until: Callable[..., None],
    folder: Path,
    out: Path,
    count: int,
    beat_s: float,
) -> None:
    watcher = watched(folder, out)
    kills = {count // 3, 2 * count // 3}

    def killed(number: int) -> None:
        if number in kills:
            wait_until(lambda: len(watcher.done()) > number // 8, "the watcher to be at work")
            watcher.kill()
            watcher.start()

    passing = feed(folder, count, beat_s, killed)
    wait_until(lambda: all(is_right(out, path) for path in folder.glob("*.wav")), "all results")
    watcher.process.send_signal(signal.SIGTERM)
    assert watcher.process.wait(60) == 0
    check(out, folder, passing)
    for event in watcher.events("failed"):
        assert "truncated" in event["message"], event


def test_what_a_restless_writer_leaves_is_rendered_once_over_two_kills(
    watched: Callable[..., Watcher], wait_until: Callable[..., None], tmp_path: Path
) -> None:
    run_through(watched, wait_until, tmp_path / "in", tmp_path / "in" / "out", 16, 0.1)


@pytest.mark.slow
def test_two_hundred_files_over_two_kills(
    watched: Callable[..., Watcher], wait_until: Callable[..., None], tmp_path: Path
) -> None:
    run_through(watched, wait_until, tmp_path / "in", tmp_path / "out", 200, 0.3)


def test_what_is_done_is_not_done_again_and_what_is_unreadable_is_told_once(
    watched: Callable[..., Watcher], wait_until: Callable[..., None], tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "good.wav").write_bytes(wav(1))
    (folder / "bad.wav").write_bytes(b"no audio at all")
    watcher = watched(folder, out)
    wait_until(lambda: bool(watcher.done() and watcher.events("failed")), "both files")
    made_ns = (out / "good.wav").stat().st_mtime_ns
    (folder / "late.wav").write_bytes(wav(2))
    wait_until(lambda: "late.wav" in watcher.done(), "the late file")
    assert [Path(event["source"]).name for event in watcher.events("failed")] == ["bad.wav"]
    watcher.kill()
    watcher.start()
    (folder / "bad.wav").write_bytes(wav(3))
    wait_until(lambda: "bad.wav" in watcher.done(), "the file that was bad")
    assert sorted(watcher.done()) == ["bad.wav", "good.wav", "late.wav"]
    assert (out / "good.wav").stat().st_mtime_ns == made_ns
    watcher.process.send_signal(signal.SIGINT)
    assert watcher.process.wait(60) == 0


class Clock:
    """Runs scans at times that the test sets."""

    def __init__(self, hot: HotFolder) -> None:
        self._hot, self._now_s = hot, 0.0

    def scan(self, later_s: float = 0.0) -> list[Ready | Event]:
        self._now_s += later_s
        return list(self._hot.scan(self._now_s))

    def names(self, later_s: float = 0.0) -> list[str]:
        return [found.item.source.name for found in self.scan(later_s)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def hot_folder(folder: Path, out: Path, **options: Any) -> HotFolder:
    return HotFolder(folder, out, Preset(), "music", settle_s=1.0, **options)


def test_a_file_is_ready_when_it_stood_still_and_not_again_before_it_changes(folder: Path) -> None:
    hot = hot_folder(folder, folder / "out")
    clock = Clock(hot)
    path = folder / "a.wav"
    path.write_bytes(b"1")
    assert clock.names() == []
    assert clock.names(0.75) == []
    path.write_bytes(b"12")
    assert clock.names(0.75) == []
    assert hot.restless
    assert clock.names(1.0) == ["a.wav"]
    hot.over(path)
    assert not hot.restless
    assert clock.names(100) == []
    path.write_bytes(b"21")
    os.utime(path, ns=(1, 1))
    assert (clock.names(), clock.names(1)) == ([], ["a.wav"])
    path.unlink()
    assert clock.names(1) == []
    assert not hot.restless


def test_a_look_asks_the_disk_once_for_each_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hot = hot_folder(folder, folder / "out")
    clock = Clock(hot)
    for number in range(40):
        (folder / f"{number}.wav").write_bytes(b"1")
    clock.scan()
    for name in clock.names(1):
        hot.over(folder / name)
    asked: list[str] = []
    for owner, name in ((Path, "stat"), (os, "stat"), (os.path, "exists"), (os.path, "isfile")):
        answer = getattr(owner, name)

        def counted(*given: Any, answer: Callable[..., Any] = answer, **how: Any) -> Any:
            asked.append(str(given[0]))
            return answer(*given, **how)

        monkeypatch.setattr(owner, name, counted)
    assert clock.scan(1) == []
    monkeypatch.undo()
    assert 40 <= len(asked) < 90, "by Path.stat and the os.stat in it"


def test_a_file_of_somebody_elses_is_refused_with_a_way_out_that_a_watch_has(
    engine: Any, folder: Path, tmp_path: Path
) -> None:
    (folder / "a.wav").write_bytes(wav(1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.wav").write_bytes(b"somebody else's")
    hot = HotFolder(folder, tmp_path / "out", Preset(model="null"), "music", settle_s=0.0)
    with Client.connect(state=engine.home.state) as client:
        assert list(rounds(hot, client)) == []
        (event,) = rounds(hot, client)
    assert "exists" in str(event.error)
    assert "move that file away" in str(event.error)
    assert "--force" not in str(event.error)


def test_results_hidden_files_and_other_things_are_no_sources(folder: Path) -> None:
    (folder / "out" / "sub").mkdir(parents=True)
    (folder / "sub").mkdir()
    names = (
        "a.wav", "sub/b.flac", "out/a.wav", "out/sub/b.flac", ".c.wav", "notes.txt",
        "d.wav", "d.wav.airband.json",
    )  # fmt: skip
    for name in names:
        (folder / name).write_bytes(b"")
    clock = Clock(hot_folder(folder, folder / "out", recursive=True))
    clock.scan()
    found = clock.scan(1)
    assert {str(ready.item.out.relative_to(folder)) for ready in found} == {"out/a.wav", "out/sub/b.flac"}
    flat = Clock(hot_folder(folder, folder / "out"))
    flat.scan()
    assert flat.names(1) == ["a.wav"]


def test_a_preset_in_a_folder_counts_for_what_is_below_it(folder: Path) -> None:
    (folder / "drums" / "deep").mkdir(parents=True)
    (folder / "keys").mkdir()
    for name in ("drums/deep/a.wav", "keys/b.wav", "c.wav"):
        (folder / name).write_bytes(b"")
    own = folder / "drums" / "airband.toml"
    own.write_text("seed = 7")
    hot = hot_folder(folder, folder / "out", recursive=True)
    clock = Clock(hot)
    clock.scan()
    found = {ready.item.source.name: ready for ready in clock.scan(1) if isinstance(ready, Ready)}
    assert {name: ready.preset.seed for name, ready in found.items()} == {"a.wav": 7, "b.wav": 0, "c.wav": 0}
    assert found["a.wav"].preset_name == "drums"
    for ready in found.values():
        hot.over(ready.item.source)
    own.write_text("seed = 88")
    assert clock.names() == []
    assert clock.names(1) == ["a.wav"]
    own.write_text("sead = 9999")
    wrong = clock.scan()
    assert [event.what for event in wrong if isinstance(event, Event)] == ["failed"]
    assert "sead" in str(wrong[0].error)  # type: ignore[union-attr]
    assert clock.scan(1) == []
    own.unlink()
    clock.scan(1)
    assert clock.names(1) == ["a.wav"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "nothing", "device"])
def test_a_preset_file_that_is_none_is_told_once_and_never_waited_on(folder: Path, kind: str) -> None:
    own = folder / "airband.toml"
    make: dict[str, Callable[[], None]] = {
        "pipe": lambda: os.mkfifo(own),
        "folder": own.mkdir,
        "loop": lambda: own.symlink_to(own),
        "nothing": lambda: own.symlink_to("nowhere"),
        "device": lambda: own.symlink_to("/dev/zero"),
    }
    make[kind]()
    (folder / "a.wav").write_bytes(b"1")
    clock = Clock(hot_folder(folder, folder / "out"))
    assert [event.what for event in clock.scan() if isinstance(event, Event)] == ["failed"]
    assert clock.scan(1) == []
    own.rmdir() if kind == "folder" else own.unlink()
    clock.scan(1)
    assert clock.names(1) == ["a.wav"]


def test_a_sidecar_that_is_no_file_is_never_waited_on(folder: Path, tmp_path: Path) -> None:
    makers: list[Callable[[Path], object]] = [os.mkfifo, lambda path: path.symlink_to("/dev/zero")]
    for number, make in enumerate(makers):
        out = tmp_path / f"{number}.wav"
        out.write_bytes(b"result")
        make(sidecar_path(out))
        assert read_sidecar(out) is None
    os.mkfifo(tmp_path / "pipe.wav")
    sidecar_path(tmp_path / "pipe.wav").write_text("{}")
    assert read_sidecar(tmp_path / "pipe.wav") is None


def test_a_folder_that_cannot_be_looked_into_is_told_of_once_each_time(folder: Path) -> None:
    """As for a share that comes and goes; a folder without permission is reported the same way."""
    hot, away = hot_folder(folder, folder.parent / "out"), folder.with_name("away")
    for _ in range(2):
        folder.rename(away)
        (event,) = hot.scan(0.0)
        assert isinstance(event, Event)
        assert str(event.error) == f"{folder}: cannot be listed: No such file or directory"
        assert list(hot.scan(1.0)) == []
        away.rename(folder)
        assert list(hot.scan(2.0)) == []


def test_results_among_the_sources_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="results need another"):
        hot_folder(folder, folder / "x" / "..")
    with pytest.raises(UsageError, match="no such folder"):
        hot_folder(folder / "missing", folder)


def test_only_a_result_of_this_source_or_of_one_that_is_gone_is_replaced(
    folder: Path, tmp_path: Path, engine: Any
) -> None:
    from bridge.batch.hot_folder import rounds
    from bridge.client.client import Client
    from presets.schema import make

    out = tmp_path / "out"
    out.mkdir()
    (folder / "mine.wav").write_bytes(wav(1))
    (folder / "taken.wav").write_bytes(wav(2))
    (out / "taken.wav").write_bytes(b"somebody's")
    hot = HotFolder(folder, out, make(model="null", cutoff=4000.0), "music", settle_s=0.0)
    with Client.connect(state=engine.home.state, start=False) as client:

        def ends() -> dict[str, str]:
            told = [*rounds(hot, client), *rounds(hot, client)]
            return {event.item.source.name: event.what for event in told if event.what != "progress"}

        assert ends() == {"mine.wav": "done", "taken.wav": "failed"}
        assert (out / "taken.wav").read_bytes() == b"somebody's"
        assert ends() == {}
        (folder / "mine.wav").write_bytes(wav(3))
        assert ends() == {"mine.wav": "done"}
        wide = "\N{IDEOGRAPHIC SPACE}\N{ZERO WIDTH JOINER}.wav"  # text, though it does not print
        for number in (4, 5):
            (folder / wide).write_bytes(wav(number))
            assert ends() == {wide: "done"}
        (folder / "mine.flac").write_bytes(b"")
        soundfile.write(folder / "mine.mp3", np.zeros(4800), 48000)
        assert ends() == {"mine.flac": "failed", "mine.mp3": "failed"}
        (folder / "mine.wav").unlink()
        os.utime(folder / "mine.mp3", ns=(1, 1))
        assert ends() == {"mine.mp3": "done"}
        assert is_right_of(out / "mine.wav", folder / "mine.mp3")


def is_right_of(result: Path, source: Path) -> bool:
    return bool(json.loads(sidecar_path(result).read_bytes())["source"]["digest"] == file_digest(source))
