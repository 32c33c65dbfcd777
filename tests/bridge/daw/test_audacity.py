"""`airband audacity` on a real Audacity: what is selected comes back on a new track, sample for sample.

    pytest -m audacity tests/bridge/daw/test_audacity.py

Audacity runs under Xvfb with a home of its own. Its pipes have one name per user, so no other may run
meanwhile.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from bridge.daw.audacity.pipe import Pipe
from presets.errors import HostError, InputError

MODULE = Path("/usr/lib/audacity/modules/mod-script-pipe.so")
RATE = 48000
# Neither falls on a sample: 96000.59 and 260744.16 frames.
START_S, END_S = 2.0000123, 5.43217
START, FRAMES = 96001, 164743

pytestmark = [
    pytest.mark.audacity,
    pytest.mark.skipif(
        not MODULE.exists() or shutil.which("Xvfb") is None or shutil.which("xdotool") is None,
        reason="needs Debian's audacity, xvfb and xdotool",
    ),
    pytest.mark.timeout(600),
]

SETTINGS = """PrefsVersion=1.1.1r1
[Version]
Major=3
Minor=2
Micro=4
[Module]
mod-script-pipe=1
[ModulePath]
mod-script-pipe={module}
[ModuleDateTime]
mod-script-pipe={when}
[GUI]
ShowSplashScreen=0
[Update]
DefaultUpdatesChecking=0
UpdateNoticeShown=1
[Directories]
TempDir={temporary}
[SamplingRate]
DefaultProjectSampleRate=48000
DefaultProjectSampleFormatChoice=Format32BitFloat
"""


def ended(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, screen: str) -> Path:
    """A home whose Audacity has already scanned its plugins, as a scan removes the pipes."""
    home = tmp_path_factory.mktemp("audacity")
    settings = home / ".config" / "audacity"
    settings.mkdir(parents=True)
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(MODULE.stat().st_mtime))
    text = SETTINGS.format(module=MODULE, when=when, temporary=home / "temporary")
    (settings / "audacity.cfg").write_text(text)
    process = started(home, screen)
    try:
        settled(process, screen)
    finally:
        ended(process)
    (settings / "audacity.cfg").write_text(text)
    return home


def started(home: Path, screen: str) -> subprocess.Popen[bytes]:
    kept = {"HOME": str(home), "DISPLAY": screen, "PATH": "/usr/bin:/bin"}
    none = dict.fromkeys(("LV2_PATH", "LADSPA_PATH", "VST_PATH"), "/nonexistent")
    shutil.rmtree(home / "temporary", ignore_errors=True)  # otherwise it would offer a recovery
    return subprocess.Popen(
        ["audacity"], env=kept | none, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def settled(process: subprocess.Popen[bytes], screen: str) -> None:
    """Waits until the main window is there, and confirms dialogs in its way."""
    deadline_s = time.monotonic() + 240
    seen = 0
    while seen < 5:
        assert process.poll() is None, "Audacity has ended"
        assert time.monotonic() < deadline_s, "Audacity's window does not appear"
        time.sleep(1)
        names = xdotool(screen, "search", "--onlyvisible", "--name", ".", "getwindowname", "%@").split("\n")
        seen = seen + 1 if [name for name in names if name] == ["Audacity"] else 0
        if any(name not in ("", "Audacity", "Searching for plugins") for name in names):
            xdotool(screen, "key", "Return")


def xdotool(screen: str, *arguments: str) -> str:
    run = subprocess.run(
        ["xdotool", *arguments], env={"DISPLAY": screen, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return run.stdout


@pytest.fixture
def audacity(home: Path, screen: str) -> Iterator[None]:
    """A fresh Audacity that accepts commands."""
    if list(Path("/tmp").glob(f"audacity_script_pipe.*.{os.getuid()}")):
        try:
            Pipe().close()
        except HostError:
            pass
        else:
            pytest.skip("an Audacity of this user runs already")
    process = started(home, screen)
    settled(process, screen)
    yield
    ended(process)


@pytest.fixture
def sound() -> NDArray[np.float32]:
    return 0.3 * np.random.default_rng(7).standard_normal((10 * RATE, 2)).astype(np.float32)


def imported(pipe: Pipe, path: Path, samples: NDArray[np.float32]) -> None:
    sf.write(path, samples, RATE, subtype="FLOAT")
    pipe.do("Import2", Filename=str(path))


def exported(pipe: Pipe, path: Path, track: int, channels: int = 2) -> NDArray[np.float32]:
    """The selected time of one track, as Audacity exports it."""
    pipe.do("SelectTracks", Track=track, TrackCount=1, Mode="Set")
    pipe.do("Export2", Filename=str(path), NumChannels=channels)
    samples: NDArray[np.float32] = sf.read(path, dtype="float32", always_2d=True)[0]
    return samples


def run(command: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, "audacity", *flags], capture_output=True, text=True, check=False, timeout=300
    )


def names(pipe: Pipe) -> list[str]:
    return [track["name"] for track in pipe.info("Tracks")]


def test_a_stretch_comes_back_at_its_place(
    audacity: None, airband_command: Path, sound: NDArray[np.float32], tmp_path: Path
) -> None:
    with Pipe() as pipe:
        pipe.do("SetPreference", Name="/FileFormats/ExportFormat_SF1_Type/WAV_10000", Value="2")
        imported(pipe, tmp_path / "first.wav", sound)
        imported(pipe, tmp_path / "second.wav", -sound[: 3 * RATE, :1])
        pipe.do("SelectAll")
        pipe.do("SelectTime", Start=START_S, End=END_S)
    rendered = run(airband_command, "--model", "null")
    assert rendered.returncode == 0, rendered.stderr
    with Pipe() as pipe:
        assert names(pipe) == ["first", "second", "first (Airband)", "second (Airband)"]
        assert pipe.do("GetPreference", Name="/FileFormats/ExportFormat_SF1_Type/WAV_10000") == "2"
        assert not pipe.info("Labels")
        assert [track["selected"] for track in pipe.info("Tracks")] == [0, 0, 1, 1]
        assert [track["mute"] for track in pipe.info("Tracks")] == [0, 0, 0, 0]  # only a part was rendered
        pipe.do("SetPreference", Name="/FileFormats/ExportFormat_SF1_Type/WAV_10000", Value="6")
        pipe.do("SelectTime", Start=0, End=10)
        first = exported(pipe, tmp_path / "first back.wav", 2)
        second = exported(pipe, tmp_path / "second back.wav", 3, channels=1)
    expected = np.zeros((START + FRAMES, 2), np.float32)  # Audacity exports nothing after the last clip
    expected[START:] = sound[START : START + FRAMES]
    np.testing.assert_array_equal(first, expected)
    expected = np.zeros((3 * RATE, 1), np.float32)
    expected[START:] = -sound[START : 3 * RATE, :1]
    np.testing.assert_array_equal(second, expected)


def test_a_whole_track_is_muted_and_results_are_numbered(
    audacity: None, airband_command: Path, sound: NDArray[np.float32], tmp_path: Path
) -> None:
    with Pipe() as pipe:
        imported(pipe, tmp_path / "vox.wav", sound[: 2 * RATE])
        pipe.do("SelectAll")
    assert "sounds twice" not in run(airband_command, "--model", "null").stdout
    with Pipe() as pipe:
        assert [track["mute"] for track in pipe.info("Tracks")] == [1, 0]
        pipe.do("SelectTracks", Track=0, TrackCount=1, Mode="Set")
        pipe.do("SetTrackAudio", Mute=0)
        pipe.do("SelectNone")  # otherwise Audacity's next Undo mutes it again
        pipe.do("SelectTracks", Track=0, TrackCount=1, Mode="Set")
        pipe.do("SelectTime", Start=0.5, End=1.5)
    assert "part of 'vox' sounds twice" in run(airband_command, "--model", "null").stdout
    with Pipe() as pipe:
        assert names(pipe) == ["vox", "vox (Airband)", "vox (Airband 2)"]
        pipe.do("SelectTracks", Track=0, TrackCount=1, Mode="Set")
        pipe.do("SelectTime", Start=-0.5, End=1)
    before = run(airband_command, "--model", "null")
    assert before.returncode == InputError.exit_code
    assert "before 0" in before.stderr


def test_takes_of_send_land_at_their_time_once(
    audacity: None, airband: Callable[..., Any], sound: NDArray[np.float32], tmp_path: Path
) -> None:
    frames = {"take A-001 at 96001": 96001, "take B-002 at 7": 7}
    for name, frame in frames.items():
        sf.write(tmp_path / f"{name}.wav", sound[:RATE], RATE, subtype="FLOAT")
        about = {"what": "airband-take", "state": "delivered", "file": f"{name}.wav", "track": "Lead vox"}
        sidecar = json.dumps({**about, "rate": RATE, "transport_frame": frame})
        (tmp_path / f"{name}.take.json").write_text(sidecar)
    for _ in range(2):  # the second time there is nothing new
        said = airband("daw", "audacity-takes", tmp_path)
        assert said.code == 0, said
        with Pipe() as pipe:
            assert names(pipe) == list(frames)
            pipe.do("SetPreference", Name="/FileFormats/ExportFormat_SF1_Type/WAV_10000", Value="6")
            pipe.do("SelectTime", Start=0, End=10)
            for track, frame in enumerate(frames.values()):
                back = exported(pipe, tmp_path / f"back{track}.wav", track)
                np.testing.assert_array_equal(back[frame:], sound[:RATE])
                assert not back[:frame].any()


def test_what_cannot_be_rendered_changes_nothing(
    audacity: None, airband_command: Path, sound: NDArray[np.float32], tmp_path: Path
) -> None:
    nothing = run(airband_command, "--model", "null")
    assert nothing.returncode == InputError.exit_code
    assert "no audio track is selected" in nothing.stderr
    with Pipe() as pipe:
        imported(pipe, tmp_path / "first.wav", sound)
        pipe.do("SelectTime", Start=3, End=3)
    empty = run(airband_command, "--model", "null")
    assert empty.returncode == InputError.exit_code
    assert "no stretch of time" in empty.stderr
    with Pipe() as pipe:
        pipe.do("SelectTime", Start=START_S, End=END_S)
    unknown = run(airband_command, "--model", "no-such-model")
    assert unknown.returncode == 2
    assert "no-such-model" in unknown.stderr
    with Pipe() as pipe:
        assert names(pipe) == ["first"]
        assert pipe.info("Tracks")[0]["selected"] == 1


def test_without_audacity_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="airband daw install audacity"):
        Pipe(tmp_path)
