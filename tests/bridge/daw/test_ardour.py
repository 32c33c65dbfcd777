"""The Ardour script on real sessions, headless: a region goes out and comes back, to the sample."""

import glob
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

HERE = Path(__file__).parent
SCRIPT = HERE.parents[2] / "bridge" / "daw" / "ardour" / "airband_session.lua"
TRIM = 12345
SUPERCLOCK_HZ = 282_240_000

pytestmark = [
    pytest.mark.skipif(shutil.which("ardour7-lua") is None, reason="needs Debian's ardour"),
    pytest.mark.timeout(600),
]


def lua(
    *arguments: str | Path, cwd: Path, command: Path | None = None, flags: str = "", takes: str = ""
) -> str:
    # Debian's wrapper sets the path of Ardour's data. A session without a window reads from there, in 1.8 s,
    # only MIDI instruments' names and plugins' tags, which no script here needs.
    wrapper = Path(shutil.which("ardour7-lua") or "").read_text().replace("export ARDOUR_DATA_PATH=", "# ")
    run = subprocess.run(
        ["sh", "-c", wrapper, "ardour7-lua", *map(str, arguments)],
        cwd=cwd,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(cwd),
            "ARDOUR_DATA_PATH": str(cwd),
            "AIRBAND_COMMAND": str(command),
            "AIRBAND_FLAGS": flags,
            "AIRBAND_SEND_FOLDER": takes,
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    return run.stdout + run.stderr


def make_session(folder: Path, channels: int, *options: str) -> list[NDArray[np.float32]]:
    """Makes a session whose source is a ramp (and its negative); returns the written samples."""
    out = lua(
        HERE / "ardour" / "make_session.lua", folder, "song", str(channels), *options, cwd=folder.parent
    )
    assert "MADE" in out, out
    paths = re.findall(r"SOURCE=(.*)", out)
    written = []
    for channel, path in enumerate(paths):
        ramp = ((np.arange(144000) / 2**18) * (-1) ** channel).astype(np.float32)
        with sf.SoundFile(path, "r+") as file:
            file.write(ramp)
        written.append(ramp)
    return written


def regions(folder: Path) -> list[ElementTree.Element]:
    """The regions on the track's playlist, lowest layer first."""
    root = ElementTree.parse(folder / "song.ardour").getroot()
    found = [
        region
        for playlist in root.iter("Playlist")
        if playlist.get("name", "").startswith("vox")
        for region in playlist.iter("Region")
    ]
    return sorted(found, key=lambda region: int(region.get("layering-index", "0")))


def samples_of(folder: Path, region: ElementTree.Element) -> list[NDArray[np.float32]]:
    root = ElementTree.parse(folder / "song.ardour").getroot()
    names = {source.get("id"): source.get("name") for source in root.iter("Source")}
    ids = [region.get(f"source-{channel}") for channel in range(int(region.get("channels", "1")))]
    audio = next(folder.glob("interchange/*/audiofiles"))
    return [sf.read(audio / str(names[source]), dtype="float32")[0] for source in ids]


def curve(region: ElementTree.Element, fade: str) -> NDArray[np.float64]:
    """A fade's level in each of its first 4800 frames."""
    events = (region.findtext(f"{fade}/AutomationList/events") or "").split()
    frames = [int(when[1:]) * 48000 / SUPERCLOCK_HZ for when in events[::2]]
    return np.interp(np.arange(4800), frames, [float(value) for value in events[1::2]])


@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_trimmed_and_faded_region_comes_back_aligned(
    tmp_path: Path, airband_command: Path, channels: int
) -> None:
    folder = tmp_path / "session"
    written = make_session(folder, channels)
    out = lua(SCRIPT, folder, "song", "vox", cwd=tmp_path, command=airband_command, flags="--model null")
    assert "AIRBAND-OK" in out, out
    old, new = regions(folder)
    for name in ("length", "scale-amplitude", "fade-in-active", "fade-out-active"):
        assert new.get(name) == old.get(name), name
    assert len(samples_of(folder, new)) == channels
    for was, now in zip(written, samples_of(folder, new), strict=True):
        np.testing.assert_array_equal(now, was[TRIM:])
    for fade in ("FadeIn", "FadeOut"):
        np.testing.assert_allclose(curve(new, fade), curve(old, fade), atol=0.02, err_msg=fade)
    assert float(new.get("scale-amplitude", "1")) == 0.5
    assert old.get("muted") == "1"  # otherwise it would be heard through the fades of the new one
    assert new.get("muted") == "0"
    (step,) = ElementTree.parse(folder / "song.history").getroot()  # one undo step for all
    assert len(list(step.iter("Add"))) == 1
    assert [(muted.get("from"), muted.get("to")) for muted in step.iter("muted")] == [("0", "1")]


def names(folder: Path) -> list[str]:
    return [region.get("name", "") for region in regions(folder)]


@pytest.mark.plugin
def test_the_result_of_a_muted_region_is_muted_and_whole(tmp_path: Path, airband_command: Path) -> None:
    folder = tmp_path / "session"
    (written,) = make_session(folder, 1, "dry", "muted")
    out = lua(SCRIPT, folder, "song", "vox", cwd=tmp_path, command=airband_command, flags="--model null")
    assert "AIRBAND-OK" in out, out
    old, new = regions(folder)
    assert (old.get("muted"), new.get("muted")) == ("1", "1")
    np.testing.assert_array_equal(samples_of(folder, new)[0], written[TRIM:])


@pytest.mark.plugin
def test_a_stereo_region_on_a_mono_track_comes_back_as_the_track_plays_it(
    tmp_path: Path, airband_command: Path
) -> None:
    folder = tmp_path / "session"
    left, _ = make_session(folder, 1, "dry", "wide")
    out = lua(SCRIPT, folder, "song", "vox", cwd=tmp_path, command=airband_command, flags="--model null")
    assert "AIRBAND-OK" in out, out
    old, new = regions(folder)
    assert old.get("channels") == "2"
    (restored,) = samples_of(folder, new)
    np.testing.assert_array_equal(restored, left[TRIM:])


def test_cancelled_it_leaves_no_trace(tmp_path: Path, airband_command: Path) -> None:
    folder = tmp_path / "session"
    make_session(folder, 1, "dry")
    before, left_over = names(folder), set(glob.glob("/tmp/lua_*"))
    cancel = HERE / "ardour" / "cancel.lua"
    flags = "--model draft --cutoff 4000"
    out = lua(cancel, SCRIPT, folder, "song", "vox", cwd=tmp_path, command=airband_command, flags=flags)
    assert "AIRBAND-FAILED" in out, out
    assert "cancelled; no region was changed" in out
    assert "SHOWN vox" in out
    assert names(folder) == before
    assert all(region.get("muted") == "0" for region in regions(folder))
    assert not set(glob.glob("/tmp/lua_*")) - left_over


def test_two_regions_are_left_as_they_were_or_each_result_lies_directly_above_its_own(
    tmp_path: Path, airband_command: Path
) -> None:
    folder = tmp_path / "session"
    make_session(folder, 1, "dry", "stacked")
    below, over = before = names(folder)
    left_over = set(glob.glob("/tmp/lua_*"))

    flags = "--model no-such-model"
    out = lua(SCRIPT, folder, "song", "vox", cwd=tmp_path, command=airband_command, flags=flags)
    assert "AIRBAND-FAILED" in out, out
    assert "no region was changed" in out
    assert names(folder) == before
    assert not list(folder.glob("*look*"))

    command = tmp_path / "fails-on-over"
    told = r'{"what": "failed", "message": "no \"over\" in C:\\"}'
    refusal = f"printf '%s\\n' '{told}'; exit 3"
    command.write_text(f'#!/bin/sh\ncase "$*" in *over*) {refusal};; esac\nexec {airband_command} "$@"\n')
    command.chmod(0o755)
    out = lua(SCRIPT, folder, "song", "vox", cwd=tmp_path, command=command, flags="--model null")
    assert "AIRBAND-FAILED" in out, out
    assert 'over: no "over" in C:\\; no region was changed' in out
    assert names(folder) == before
    assert all(region.get("muted") == "0" for region in regions(folder))

    out = lua(SCRIPT, folder, "song", "vox", cwd=tmp_path, command=airband_command, flags="--model null")
    assert "AIRBAND-OK" in out, out
    assert names(folder) == [below, f"{below}-airband", over, f"{over}-airband"]
    assert not set(glob.glob("/tmp/lua_*")) - left_over


def deliver(
    folder: Path, name: str, track: str, frame: int | None, channels: int, rate: int = 48000
) -> NDArray[np.float32]:
    """A take as Airband Send leaves it: (frames, channels) of noise."""
    noise = np.random.default_rng(len(name)).uniform(-1, 1, (10001, channels)).astype(np.float32)
    folder.mkdir(exist_ok=True)
    sf.write(folder / f"{name}.wav", noise, rate, "FLOAT")
    about = {
        "file": f"{name}.wav",
        "knobs": {"preset": "music"},
        "rate": rate,
        "state": "delivered",
        "what": "airband-take",
    }
    sidecar = json.dumps({**about, "track": track, "transport_frame": frame}, indent=1, sort_keys=True)
    (folder / f"{name}.take.json").write_text(sidecar)
    return noise


def listed(folder: Path) -> list[tuple[str, int, list[Path]]]:
    """Track, position and files of every region of a session."""
    out = lua(HERE / "ardour" / "list_regions.lua", folder, "song", cwd=folder.parent)
    assert "LISTED" in out, out
    rows = [
        line.removeprefix("REGION ").split("|") for line in out.splitlines() if line.startswith("REGION ")
    ]
    return [(row[0], int(row[1]), [Path(name) for name in row[2:]]) for row in rows]


def imported(folder: Path, takes: Path) -> str:
    """The output of the script that imports Send's takes into a session."""
    script = SCRIPT.with_name("airband_takes_session.lua")
    return lua(script, folder, "song", cwd=folder.parent, takes=str(takes))


def test_takes_of_send_land_at_their_frame_on_their_track_once(tmp_path: Path) -> None:
    folder, takes = tmp_path / "session", tmp_path / "takes"
    make_session(folder, 1, "dry")
    wanted = {
        ("vox", 400000): deliver(takes, "2026-11-26 10-00-00 vox A-001 at 400000", "vox", 400000, 1),
        ('Git "2"', 96001): deliver(takes, "2026-11-26 10-00-05 Git B-001 at 96001", 'Git "2"', 96001, 2),
        ("Airband Send", 7): deliver(takes, "2026-11-26 10-00-06 C-001 at 7", "", 7, 2),
    }
    deliver(takes, "2026-11-26 10-00-09 D-001", "vox", None, 1)  # captured while the transport stood still
    deliver(takes, "2026-11-26 10-00-09 E-001 at 7", "vox", 7, 1)
    (takes / "2026-11-26 10-00-09 E-001 at 7.wav").unlink()  # as a user may delete it
    for _ in range(2):  # the second time there is nothing new
        out = imported(folder, takes)
        assert "AIRBAND-OK" in out, out
    there = listed(folder)
    assert len(there) == len(wanted) + 1  # including the region that existed before
    found = {(track, at): files for track, at, files in there}
    for place, noise in wanted.items():
        assert len(found[place]) == noise.shape[1]
        for channel, path in enumerate(found[place]):
            np.testing.assert_array_equal(sf.read(path, dtype="float32")[0], noise[:, channel])

    (takes / "damaged.take.json").write_text('{\n "state": "delivered"\n}')
    deliver(takes, "a at 480000", "vox", 480000, 1, rate=44100)
    deliver(takes, "b at 480000", "vox", 480000, 1)
    out = imported(folder, takes)
    assert "AIRBAND-FAILED" in out
    assert "it is at 44100 Hz and the session at 48000 Hz" in out
    assert re.search(r"damaged: .*a damaged sidecar", out)
    assert [at for _, at, _ in listed(folder)].count(480000) == 1  # the other takes are imported


def test_takes_of_a_track_with_an_odd_name_land_on_one_track(tmp_path: Path) -> None:
    """The name ends in a backslash, and contains what Ardour allows in no name."""
    folder, takes = tmp_path / "session", tmp_path / "takes"
    make_session(folder, 1, "dry")
    for number, at in enumerate((96000, 192000, 288000)):
        deliver(takes, f"{number} at {at}", "A: 1/2 \\", at, 1)
        out = imported(folder, takes)
        assert "AIRBAND-OK" in out, out
    tracks = [track for track, at, _ in listed(folder) if track != "vox"]
    assert len(tracks) == 3
    assert len(set(tracks)) == 1, tracks
