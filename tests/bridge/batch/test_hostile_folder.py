"""One bad item stops neither a batch nor a watcher: what can be rendered is, the rest is reported by name.

The folder is a worst case: short clips under every name that a file may have, among things that are no clips.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from presets.printable import printable
from render.files.encode import file_digest
from render.files.sidecar import sidecar_path

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'airband'; from bridge.cli.app import main; main()",
]
KNOBS = ("--model", "null", "--cutoff", "4000")


ODD_NAMES = (
    b"caf\xe9 %03d.wav",
    b"\xff\xfe %03d.flac",
    b"line\nfeed %03d.wav",
    b"escape \x1b[31m %03d.wav",
    b"-o %03d.wav",
    b"~nobody %03d.wav",
    b"[v%03d] [bold].wav",
    b"{stem} {0} %03d.wav",
    b"%%s%%n %03d.aiff",
    b"'\"`$(x);& %03d.wav",
    b"back\\slash %03d.wav",
    b"two..dots. %03d.wav",
    b"  spaces  %03d  .wav",
    "Ünïcödé 日本 🎧 %03d.wav".encode(),
    "e\u0301 decomposed %03d.wav".encode(),
    "right-to-left \u202e%03d.wav".encode(),
    b"UPPER %03d.WAV",
    "marks \u200f\u200b\u2028\ufeff %03d.wav".encode(),
    b"surrogate \xed\xa0\x80 %03d.wav",
    b"tab\t %03d.wav",
    b"return\r %03d.wav",
    b"@list %03d.wav",
    b"# %03d.flac",
    b"%03d\n.wav",
    b"dots %03d....wav",
    b"%03d. .wav",
    b"CON.%03d.wav",
    b"L" * 235 + b" %03d.wav",
    b"M" * 248 + b"%03d.wav",
    "é".encode() * 120 + b" %03d.wav",
)
"""Names of files that can be rendered; each contains its number."""


@dataclass
class Hostile:
    """The folder's content: names that must render; names that must fail, each with a word of the reason."""

    good: set[str] = field(default_factory=set)
    bad: dict[str, str] = field(default_factory=dict)


def encoded(number: int, format: str = "WAV", subtype: str = "PCM_16", frames: int = 1200) -> bytes:
    """A short clip, different for every number."""
    samples = 0.1 * np.random.default_rng(number).standard_normal((frames, 1 + number % 2))
    with io.BytesIO() as file:
        soundfile.write(file, samples, 48000, subtype, format=format)
        return file.getvalue()


def with_samples(values: list[float]) -> bytes:
    """A float WAV file of 1200 frames that contains each of `values` once."""
    samples = np.zeros(1200, np.float32)
    samples[: len(values)] = values
    with io.BytesIO() as file:
        soundfile.write(file, samples, 48000, "FLOAT", format="WAV")
        return file.getvalue()


def header(channels: int = 1, rate_hz: int = 48000, data: bytes = bytes(2400)) -> bytes:
    """A 16-bit WAV file whose header holds the given figures."""
    fmt = struct.pack("<HHIIHH", 1, channels, rate_hz, 2 * channels * rate_hz, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def unreadable(number: int) -> Iterator[tuple[str, bytes | Callable[[Path], object], str]]:
    """Yields names, their content, and a word of the error to expect."""
    noise = np.random.default_rng(number).integers(0, 256, 3000, "u1").tobytes()
    yield f"empty {number:03}.wav", b"", "empty"
    yield f"byte {number:03}.flac", b"f", ""
    yield f"text {number:03}.wav", b"these are words, not samples\n" * 40, ""
    yield f"noise {number:03}.mp3", noise, ""
    yield f"noise {number:03}.aiff", noise, ""
    yield f"zeros {number:03}.wav", bytes(5000), ""
    yield f"cut {number:03}.wav", encoded(number, frames=48000)[:50000], "truncated"
    yield f"cut {number:03}.flac", encoded(number, "FLAC", frames=48000)[:9000], ""
    yield f"head {number:03}.wav", encoded(number)[:30], ""
    yield f"nan {number:03}.wav", with_samples([0.0, float("nan")]), "finite"
    yield f"inf {number:03}.wav", with_samples([float("inf")]), "finite"
    yield f"loud {number:03}.wav", with_samples([1000.0]), "16"
    yield f"no frames {number:03}.wav", header(data=b""), ""
    yield f"no channels {number:03}.wav", header(channels=0), ""
    yield f"nine channels {number:03}.wav", header(channels=9, data=bytes(9 * 240)), "channels"
    yield f"one hertz {number:03}.wav", header(rate_hz=1), ""
    yield f"page {number:03}.m4a", b"<html>not found</html>" * 20, ""
    yield f"pipe {number:03}.wav", os.mkfifo, "named pipe"
    yield f"gone {number:03}.wav", lambda path: path.symlink_to(f"nowhere {path.name}"), "broken link"
    yield f"loop {number:03}.wav", lambda path: path.symlink_to(path.name), "symbolic links"
    yield f"zero {number:03}.wav", lambda path: path.symlink_to("/dev/zero"), "device"
    yield f"{'t' * 248}{number:03}.aif", encoded(number, "AIFF"), "too long"
    for suffix in (".wav", ".wave"):
        yield f"twin {number:03}{suffix}", encoded(number), "would both become"


@contextmanager
def hostile_folder(folder: Path, good: int, bad: int) -> Iterator[Hostile]:
    """Makes the folder, with `good` clips and at least `bad` other items; sockets are closed at the end."""
    made = Hostile()
    folder.mkdir()
    formats = {b".wav": "WAV", b".WAV": "WAV", b".flac": "FLAC", b".aiff": "AIFF"}
    for number in range(good):
        name = ODD_NAMES[number // 2 % len(ODD_NAMES)] % number if number % 2 else b"clip %03d.wav" % number
        ending = b"." + name.rpartition(b".")[2]
        (folder / os.fsdecode(name)).write_bytes(encoded(number, formats[ending]))
        made.good.add(os.fsdecode(name))
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # as a socket's path is limited to 107 bytes
        listener.bind("socket.wav")
        os.chdir(here)
        made.bad["socket.wav"] = "socket"
        for number in count():
            if len(made.bad) >= bad:
                break
            for wrong, content, reason in unreadable(number):
                if isinstance(content, bytes):
                    (folder / wrong).write_bytes(content)
                else:
                    content(folder / wrong)
                made.bad[wrong] = reason
        for other in ("notes.txt", "cover.jpg", ".hidden.wav"):  # must be ignored
            (folder / other).write_bytes(b"x")
        (folder / "folder.wav").mkdir()
        yield made


def check(out: Path, folder: Path, made: Hostile) -> None:
    """All good clips have complete results, each with its sidecar; nothing else has one."""
    stems = {path.name for path in out.iterdir() if not path.name.endswith(".airband.json")}
    assert stems == {name.replace(".WAV", ".wav") for name in made.good}
    sidecars = {sidecar_path(out / name).name for name in stems}
    assert {path.name for path in out.iterdir()} == stems | sidecars
    for name in made.good:
        stem = out / name.replace(".WAV", ".wav")
        assert json.loads(sidecar_path(stem).read_bytes())["output"]["digest"] == file_digest(stem)
        source, result = (soundfile.read(os.fsencode(path))[0] for path in (folder / name, stem))
        np.testing.assert_allclose(source, result, atol=2**-22)


def told_once(lines: list[str], made: Hostile) -> None:
    """Each bad item has one line, with its reason."""
    for name, reason in made.bad.items():
        about = [line for line in lines if f"/{printable(name)}:" in line or f"/{name} and " in line]
        about = [line for line in about if not line.partition(" and ")[2].startswith(f"/{name}")]
        assert len(about) == 1, (name, about)
        assert reason in about[0], about


@pytest.fixture(params=[(16, 25), pytest.param((100, 100), marks=pytest.mark.slow)], ids=["small", "all"])
def counts(request: pytest.FixtureRequest) -> tuple[int, int]:
    """How many clips, and at least how many other items."""
    numbers: tuple[int, int] = request.param
    return numbers


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_folder_is_rendered_and_what_cannot_be_is_told_of(
    engine: Any, tmp_path: Path, counts: tuple[int, int], encoding: str
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    with hostile_folder(folder, *counts) as made:
        said = subprocess.run(
            [*PROGRAM, "render", str(folder), "-o", str(out), "--state", str(engine.home.state), *KNOBS],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            timeout=280,
            check=False,
        )
    text = said.stdout.decode(encoding)
    assert said.returncode == 1, text + said.stderr.decode(errors="replace")
    check(out, folder, made)
    lines = text.splitlines()
    assert lines[-1].startswith(f"{counts[0]} rendered, {len(made.bad)} failed")
    assert len(lines) == counts[0] + len(made.bad) + 3
    if encoding == "utf-8":
        told_once(lines, made)


def test_a_folder_is_looked_into_and_edited_and_what_cannot_be_is_told_of(
    engine: Any, tmp_path: Path, counts: tuple[int, int]
) -> None:
    folder = tmp_path / "in"
    with hostile_folder(folder, *counts) as made:
        looked = subprocess.run([*PROGRAM, "inspect", str(folder)], capture_output=True, check=False)
        assert b"Traceback" not in looked.stderr, looked.stderr.decode(errors="replace")
        assert looked.returncode == 3
        lines = looked.stdout.decode().splitlines()
        assert {f"{folder}/{printable(name)}" for name in made.good} <= set(lines)
        names = [str(path) for path in folder.iterdir() if not path.is_dir() and path.suffix != ".txt"]
        command = [*PROGRAM, "edit", *names, "--state", str(engine.home.state), *KNOBS]
        edited = subprocess.run(command, capture_output=True, check=False)
        assert b"Traceback" not in edited.stderr, edited.stderr.decode(errors="replace")
        last = edited.stdout.decode().splitlines()[-1]
        assert "not rendered" not in last
        assert int(last.split(" rendered")[0]) >= len(made.good)
        for name in made.good:
            soundfile.info(os.fsencode(folder / name))


def watch(folder: Path, out: Path, state: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [
        *PROGRAM,
        "watch",
        str(folder),
        "-o",
        str(out),
        "--state",
        str(state),
        "--settle",
        "0.2",
        *KNOBS,
    ]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)


def test_a_watcher_does_the_same_over_a_kill_and_does_nothing_twice(
    engine: Any, tmp_path: Path, counts: tuple[int, int], wait_until: Callable[..., None]
) -> None:
    folder, out, logs = tmp_path / "in", tmp_path / "out", [tmp_path / f"{n}.log" for n in range(3)]

    def lines(log: Path) -> list[str]:
        return log.read_bytes().decode(errors="replace").splitlines() if log.exists() else []

    def stems() -> int:
        return len([name for name in os.listdir(out) if not name.startswith(".")]) // 2 if out.exists() else 0

    def failures(log: Path) -> int:
        return len([line for line in lines(log)[1:] if " -> " not in line])

    with hostile_folder(folder, *counts) as made:
        first = watch(folder, out, engine.home.state, logs[0])
        try:
            wait_until(lambda: stems() > counts[0] // 3, "the watcher to be at work")
        finally:
            first.kill()
            first.wait()
        for log in logs[1:]:
            again = watch(folder, out, engine.home.state, log)
            try:
                wait_until(lambda log=log: failures(log) >= len(made.bad), "all that is wrong to be told")  # type: ignore[misc]
                wait_until(lambda: stems() >= counts[0], "all stems")
                again.send_signal(signal.SIGINT)
                assert again.wait(60) == 0, lines(log)
            finally:
                again.kill()
                again.wait()
            check(out, folder, made)
            told_once(lines(log), made)
        assert not [line for line in lines(logs[2]) if "generated" in line]


def test_a_watcher_outlives_its_folder_and_any_name_that_comes(
    engine: Any, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    folder, out, log = tmp_path / "in", tmp_path / "out", tmp_path / "log"
    folder.mkdir()
    watcher = watch(folder, out, engine.home.state, log)

    def comes(name: str, number: int) -> None:
        part = tmp_path / "part"
        part.write_bytes(encoded(number))
        os.replace(part, folder / name)
        wait_until(lambda: sidecar_path(out / name).exists() and (out / name).exists(), f"{name!r}")

    try:
        comes("a.wav", 1)
        (folder / os.fsdecode(b"notes\xe9.txt")).write_bytes(b"")
        comes(os.fsdecode(b"caf\xe9.wav"), 2)
        comes("b.wav", 3)
        shutil.rmtree(folder)
        time.sleep(1.0)
        folder.mkdir()
        comes("c.wav", 4)
        time.sleep(0.5)
        shutil.rmtree(out)
        comes("d.wav", 5)
        folder.rename(tmp_path / "away")
        folder.write_bytes(b"a file in its place")
        time.sleep(1.0)
        folder.unlink()
        (tmp_path / "away").rename(folder)
        comes("e.wav", 6)
        assert watcher.poll() is None
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(60) == 0
    finally:
        watcher.kill()
        watcher.wait()
    assert "Traceback" not in log.read_text(errors="replace")
