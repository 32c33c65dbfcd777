from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import soundfile
import typer
from numpy.typing import NDArray

from bridge.cli.app import MODULES, command_line
from bridge.client.client import Client
from bridge.wire.home import claim, find_home, prepare, read_connection, this_process
from presets.schema import FLAGS, allowed, default
from presets.version import VERSION
from render.files.sidecar import sidecar_path

if TYPE_CHECKING:
    Airband = Callable[..., Any]

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'airband'; from bridge.cli.app import main; main()",
]


@pytest.fixture
def state(engine: Any) -> Path:
    """The state folder of the tests' engine."""
    folder: Path = engine.home.state
    return folder


def test_a_folder_becomes_stems_with_sidecars(airband: Airband, state: Path, clips: Path) -> None:
    said = airband("render", clips, "-r", "-o", clips.parent / "out", "--state", state)
    assert said.code == 0, said
    out = clips.parent / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        "kick.wav", "kick.wav.airband.json", "snare.flac", "snare.flac.airband.json",
        "sub/hat.wav", "sub/hat.wav.airband.json",
    ]  # fmt: skip
    first, second = said.out.splitlines()[:2]
    assert first == "model draft on cpu (no official AudioSR weights installed)"
    assert second.startswith("3 files, 2.5 s of audio; ")
    assert said.out.count("generated above") == 3
    assert said.out.splitlines()[-1].startswith("3 rendered in ")


def test_the_low_band_of_a_stem_is_the_sources_and_the_high_band_is_new(
    airband: Airband, state: Path, clips: Path
) -> None:
    airband("render", clips / "kick.wav", "-o", clips / "hi.wav", "--state", state)
    source, made = (soundfile.read(clips / name)[0][:, 0] for name in ("kick.wav", "hi.wav"))
    assert len(source) == len(made)
    error, original = (np.abs(np.fft.rfft(signal)) for signal in (made - source, source))
    low, high = slice(0, int(0.85 * 4000 * len(source) / 48000)), slice(int(5000 * len(source) / 48000), None)
    assert np.sum(error[low] ** 2) < 1e-9 * np.sum(original[low] ** 2)
    assert np.sum(error[high] ** 2) > 1e3 * np.sum(original[high] ** 2)


def test_what_is_done_is_skipped_and_what_is_changed_is_refused(
    airband: Airband, state: Path, clips: Path
) -> None:
    command = ("render", clips, "-r", "-o", clips.parent / "out", "--state", state, "--json")
    assert {event["what"] for event in airband(*command).events} >= {"begin", "done", "end"}
    speeds = (state / "speeds.json").read_bytes()
    again = airband(*command)
    assert again.code == 0
    assert (state / "speeds.json").read_bytes() == speeds  # measured only by renders
    told = [event["what"] for event in again.events if event["what"] != "progress"]  # from hashing the source
    assert told == ["begin", "skipped", "skipped", "skipped", "end"]
    changed = clips.parent / "out" / "kick.wav"
    changed.write_bytes(changed.read_bytes() + b"\0")
    refused = airband(*command)
    assert refused.code == 4
    assert [event["what"] for event in refused.events].count("skipped") == 2
    assert "--force" in next(event for event in refused.events if event["what"] == "failed")["message"]
    assert airband(*command, "--force").events[-1]["done"] == 1
    assert airband(*command, "--seed", 8).code == 4


def test_a_file_that_fails_does_not_stop_the_others(airband: Airband, state: Path, clips: Path) -> None:
    (clips / "broken.wav").write_bytes(b"RIFF\0\0\0\0WAVEjunk")
    (clips / "empty.flac").write_bytes(b"")
    said = airband("render", clips, "-o", clips.parent / "out", "--state", state)
    assert said.code == 3
    assert "2 rendered, 2 failed" in said.out
    assert "broken.wav" in said.out
    assert not (clips.parent / "out" / "broken.wav").exists()
    clash = clips.parent / "out" / "kick.wav"
    sidecar_path(clash).unlink()
    assert airband("render", clips, "-o", clips.parent / "out", "--state", state).code == 1


def test_an_input_that_is_not_there_fails_alone(airband: Airband, state: Path, clips: Path) -> None:
    said = airband("render", "gone.wav", clips / "kick.wav", "-o", clips / "x.wav", "--state", state)
    assert said.code == 3
    assert "gone.wav: no such file or folder" in said.out
    assert (clips / "x.wav").exists()
    alone = airband("render", "gone.wav", "-o", clips / "y.wav", "--state", state)
    assert (alone.code, alone.err) == (3, "airband: gone.wav: no such file or folder\n")


def test_every_knob_is_a_flag_with_its_bounds_in_the_help(airband: Airband) -> None:
    text = " ".join(airband("render", "--help").out.split())
    for knob in FLAGS:
        flag = f"--{knob.replace('_', '-')}"
        assert (
            f"{flag} / {flag.replace('--', '--no-')}" if default(knob) == "false" else allowed(knob)
        ) in text
        assert f"{flag} " in text[text.index("Knobs (keys of a preset too):") :]


def test_knobs_reach_the_render(airband: Airband, state: Path, clips: Path) -> None:
    out = clips / "a.wav"
    knobs = "-p speech --seed 7 --cutoff 5000 --rate 44100 --bit-depth 24 --start 4800smp --end 0.5"
    airband(
        "render",
        clips / "kick.wav",
        "-o",
        out,
        "--state",
        state,
        *knobs.split(),
        "--high-gain-db",
        -6,
        "--clip",
    )
    info = soundfile.info(out)
    assert (info.samplerate, info.subtype, info.frames) == (44100, "PCM_24", round(0.4 * 44100))
    said = json.loads(sidecar_path(out).read_text())
    assert said["preset"]["name"] == "speech"
    assert (said["preset"]["seed"], said["preset"]["gate_db"]) == (7, -75.0)
    assert (said["preset"]["high_gain_db"], said["preset"]["delivery"]["clip"]) == (-6, True)
    assert (said["render"]["cutoff_hz"], said["render"]["cutoff_method"]) == (5000, "given")


def test_32f_is_float(airband: Airband, state: Path, clips: Path) -> None:
    airband("render", clips / "kick.wav", "-o", clips / "a.wav", "--state", state, "--bit-depth", "32f")
    assert soundfile.info(clips / "a.wav").subtype == "FLOAT"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--steps", "0"), 2, "steps = 0; allowed: 1 to 1000"),
        (("--model", "sora"), 2, "unknown model 'sora'; this engine has .*draft"),
        (("-p", "musik"), 2, "unknown preset 'musik'"),
        (("--nope",), 2, "No such option"),
        (("-o", "{nope}"), 2, "unknown field"),
        (("--state", "/dev/null/x"), 5, "/dev/null"),
    ],
)
def test_what_cannot_be_is_one_line_and_its_exit_code(
    airband: Airband, state: Path, clips: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    said = airband("render", clips / "kick.wav", "-o", clips / "x.wav", "--state", state, *arguments)
    assert said.code == code, said
    assert re.search(message, said.err), said.err
    assert not (clips / "x.wav").exists()


def test_the_source_is_refused_as_destination_even_by_force(
    airband: Airband, state: Path, clips: Path
) -> None:
    before = (clips / "kick.wav").read_bytes()
    said = airband("render", clips / "kick.wav", "-o", clips / "kick.wav", "--state", state, "--force")
    assert said.code == 4
    assert "is the source itself" in said.out
    assert (clips / "kick.wav").read_bytes() == before


def test_integer_results_that_would_clip_name_the_peak(airband: Airband, state: Path, clips: Path) -> None:
    loud, _ = soundfile.read(clips / "kick.wav")
    soundfile.write(clips / "loud.wav", 5 * loud, 48000, "FLOAT")
    out = clips / "x.wav"
    said = airband("render", clips / "loud.wav", "-o", out, "--state", state, "--bit-depth", 16)
    assert said.code == 4
    assert "dBFS and 16-bit samples end at 0 dBFS" in said.out
    assert not out.exists()
    assert (
        airband("render", clips / "loud.wav", "-o", out, "--state", state, "--bit-depth", 16, "--clip").code
        == 0
    )


def test_version_and_help(airband: Airband) -> None:
    assert airband("--version").out == f"airband {VERSION}\n"
    assert "130 cancelled" in airband("--help").out


def test_presets_are_listed_shown_and_described_for_editors(airband: Airband) -> None:
    assert [line.split()[0] for line in airband("presets").out.splitlines()] == [
        "archive", "effects", "generated", "music", "preview", "speech", "stems",
    ]  # fmt: skip
    assert {preset["name"]: preset["steps"] for preset in json.loads(airband("presets", "--json").out)}[
        "preview"
    ] == 8
    assert 'cutoff = "rolloff"' in airband("presets", "show", "archive").out
    assert json.loads(airband("presets", "show", "archive", "--json").out)["cutoff"] == "rolloff"
    assert (
        "crossover_octaves" in json.loads(airband("presets", "--schema").out)["$defs"]["Preset"]["properties"]
    )
    assert airband("presets", "show", "musik").code == 2


def test_status_and_jobs_tell_of_the_engine(airband: Airband, state: Path, clips: Path) -> None:
    airband("render", clips / "kick.wav", "-o", clips / "a.wav", "--state", state)
    told = json.loads(airband("status", "--state", state, "--json").out)
    assert (told["engine"], told["pid"]) == (VERSION, read_connection(find_home(state)).pid)  # type: ignore[union-attr]
    assert {"draft", "null"} <= {model["name"] for model in told["models"]}
    assert 0 <= told["spool_mb"] < told["spool_quota_mb"]
    assert f" of {told['spool_quota_mb']:.0f} MB" in airband("status", "--state", state).out
    newest = json.loads(airband("jobs", "--state", state, "--json").out.splitlines()[0])
    assert (newest["state"], newest["preset"]) == ("done", "music")
    assert newest["job"] in airband("jobs", "--state", state, "--limit", 1).out
    assert f"{newest['job']}: done" in airband("cancel", newest["job"], "--state", state).out
    assert airband("cancel", "all", "--state", state).out == "no job that this applies to\n"
    said = airband("prioritise", -3, newest["job"], "--state", state)
    assert newest["job"] in said.out + said.err, said  # -3 is a priority, not an option
    assert airband("forget", newest["job"], "--state", state).code == 0
    assert newest["job"] not in airband("jobs", "--state", state, "--limit", 9).out


def test_cancel_tells_a_script_what_became_of_each_job(airband: Airband, state: Path, clips: Path) -> None:
    airband("render", clips / "kick.wav", "-o", clips / "c.wav", "--state", state)
    job = json.loads(airband("jobs", "--state", state, "--json").out.splitlines()[0])["job"]
    said = airband("cancel", job, "nonsense", "--state", state, "--json")
    assert said.code == 2
    done, refused = said.events
    assert done == {"job": job, "state": "done"}
    assert (refused["job"], refused["code"], sorted(refused)) == (
        "nonsense",
        "usage",
        ["code", "job", "message"],
    )


def test_a_raw_file_is_read_by_its_content_or_fails_alone(airband: Airband, state: Path, clips: Path) -> None:
    (clips / "kick.wav").rename(clips / "take.raw")
    (clips / "noise.raw").write_bytes(np.random.default_rng(0).bytes(9000))
    names = [clips / name for name in ("take.raw", "noise.raw", "snare.flac")]
    said = airband("render", *names, "-o", clips.parent / "out", "--state", state)
    assert said.code == 3
    assert "noise.raw: is not audio that can be read" in said.out
    assert (clips.parent / "out" / "take.wav").exists()
    assert (clips.parent / "out" / "snare.flac").exists()


def test_a_variable_that_was_never_set_is_not_the_current_folder(airband: Airband, clips: Path) -> None:
    for options in (["-o", ""], ["-o", clips, "--state", ""]):
        said = airband("render", clips / "kick.wav", *options)
        assert (said.code, "variable unset" in said.err) == (2, True), said


@pytest.mark.parametrize("name", ["nonsense", "01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_cancelling_what_is_no_job_says_so(airband: Airband, state: Path, name: str) -> None:
    said = airband("cancel", name, "--state", state)
    assert said.code == 2
    assert said.err.startswith(f"{name}: ")


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_stop_ends_nobody_who_has_the_engines_number_and_not_its_birth(
    airband: Airband, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.cli.engine.STOP_NOW_S", 0.1)
    home = find_home(tmp_path / "state")
    prepare(home)
    lock = claim(home)  # as if held by an engine in another container, whose pid is another process here
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        theirs = msgspec.structs.replace(this_process("ipc:///x", 1), pid=other.pid, host="elsewhere")
        lock.write(msgspec.json.encode(theirs))
        try:
            said = airband("stop", "--now", "--state", home.state)
            assert (said.code, "elsewhere" in said.err) == (5, True), said
            assert other.poll() is None
        finally:
            lock.release()
            other.kill()


@pytest.mark.parametrize("flags", [(), ("--now",)])
def test_an_engine_that_is_no_process_here_is_stopped_through_its_state_folder(
    airband: Airband, start_engine: Callable[..., Any], flags: tuple[str, ...]
) -> None:
    live = start_engine()
    elsewhere = msgspec.structs.replace(live.connection, birth="of another container", client=None)
    live.home.lock.write_bytes(msgspec.json.encode(elsewhere))
    said = airband("stop", *flags, "--state", live.home.state)
    assert (said.code, said.out) == (0, f"engine {live.process.pid} has ended\n"), said
    assert live.process.wait(20) == 0
    assert not live.home.stop_request.exists()


@pytest.mark.parametrize("command", ["status", "jobs"])
def test_without_an_engine_they_say_how_to_start_one(airband: Airband, tmp_path: Path, command: str) -> None:
    said = airband(command, "--state", tmp_path / "none")
    assert said.code == 5
    assert "`airband serve`" in said.err
    assert airband("stop", "--state", tmp_path / "none").out == "no engine is running\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_log_that_has_no_room_is_one_line_and_an_exit_code() -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [*PROGRAM, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (run.returncode, run.stderr) == (
        4, "airband: its output cannot be written: no room on disk\n",
    )  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="a shell closes its standard output")
def test_commands_of_the_engine_run_with_a_closed_standard_output() -> None:
    command = [*PROGRAM, "serve", "--help"]
    run = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert "Traceback" not in run.stderr
    assert run.returncode == 0


def test_serve_is_the_engines_own_command() -> None:
    said = subprocess.run([*PROGRAM, "serve", "--help"], capture_output=True, text=True, check=True)
    assert "--idle-exit" in said.stdout


@pytest.fixture
def own_state(airband: Airband, tmp_path: Path) -> Iterator[Path]:
    """A state folder whose engine, if one is started on it, is stopped after the test."""
    yield tmp_path / "own"
    said = airband("stop", "--now", "--state", tmp_path / "own")
    assert said.code == 0, said


@pytest.fixture
def long_clips(tmp_path: Path, dull: NDArray[np.float32]) -> Path:
    """Four clips of 10 s, each different."""
    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", np.tile(np.roll(dull, number, 1), 5).T, 48000, "PCM_16")
    return folder


def started(clips: Path, out: Path, state: Path) -> subprocess.Popen[str]:
    command = [*PROGRAM, "render", str(clips), "-o", str(out), "--state", str(state), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(process: subprocess.Popen[str], what: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["what"] == what:
            return
    pytest.fail(f"no {what}: {process.communicate()}")


def whole(out: Path) -> set[str]:
    """The stems in `out`; fails if one is incomplete, or if anything else was left."""
    found = {path.name for path in out.glob("*.wav")} if out.exists() else set()
    for name in found:
        assert soundfile.info(out / name).frames == 10 * 48000
        assert sidecar_path(out / name).exists()
    assert not out.exists() or not list(out.glob(".*"))
    return found


def test_ctrl_c_sigterm_and_a_terminal_that_is_closed_cancel_and_leave_nothing_half_written(
    own_state: Path, long_clips: Path, tmp_path: Path
) -> None:
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else [])]
    for number in numbers:
        out = tmp_path / number.name
        with started(long_clips, out, own_state) as process:
            until(process, "progress")
            process.send_signal(number)
            _, err = process.communicate()
        assert process.returncode == 130, err
        assert err.startswith("airband: cancelled;")
        with Client.connect(state=own_state, start=False) as client:
            jobs = client.jobs()
            states = [job.state for job in jobs]
            for job in jobs:
                client.forget(job.job)
        assert "cancelled" in states
        assert set(states) <= {"cancelled", "done"}
        assert len(whole(out)) < 4


def test_an_engine_killed_mid_batch_costs_only_what_was_missing(
    airband: Airband, own_state: Path, long_clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(long_clips, out, own_state) as process:
        until(process, "done")
        connection = read_connection(find_home(own_state))
        assert connection is not None
        os.kill(connection.pid, signal.SIGKILL)
        process.communicate()
    before = {name: (out / name).stat().st_mtime_ns for name in whole(out)}
    assert before
    said = airband("render", long_clips, "-o", out, "--state", own_state)
    assert said.code == 0, said
    assert len(whole(out)) == 4
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in out.glob("*.wav")}.items()


ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; "
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
def test_status_is_said_again_on_a_terminal_until_ctrl_c_which_leaves_it_as_it_was(state: Path) -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    command = [*PROGRAM, "status", "--watch", "--state", str(state)]
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *command],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=Path(__file__).parents[3],
        env={**os.environ, "TERM": "xterm"},
    ) as process:  # fmt: skip
        try:
            while shown.count(b"answers in") < 3:
                shown += os.read(ours, 65536)
            os.write(ours, termios.tcgetattr(theirs)[6][termios.VINTR])
            code = process.wait(60)
        finally:
            process.kill()
    os.set_blocking(ours, False)
    with suppress(BlockingIOError):
        shown += os.read(ours, 65536)
    assert code == 130
    assert b"Traceback" not in shown
    assert shown.count(b"\x1b[2J") >= 3, "it is drawn in the place of the last"
    assert b"0 end per minute" in shown
    assert termios.tcgetattr(theirs) == before
    switched = re.findall(rb"\x1b\[\?(\d+)([hl])", shown)
    assert all((mode, b"l" if on == b"h" else b"h") in switched for mode, on in switched), switched
    os.close(ours)
    os.close(theirs)


def test_every_module_has_the_commands_that_are_told_of_it() -> None:
    for module, commands in MODULES.items():
        alone = typer.main.get_command(command_line(commands[0])).commands  # type: ignore[attr-defined]
        assert tuple(alone) == commands, module
    every = [command for commands in MODULES.values() for command in commands]
    whole = typer.main.get_command(command_line()).commands  # type: ignore[attr-defined]
    assert sorted(whole) == sorted(every)
    assert sorted(typer.main.get_command(command_line("rendr")).commands) == sorted(every)  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["typer", "bridge.batch.plan"])
def test_ctrl_c_while_the_command_is_still_loaded_leaves_no_traceback(module: str) -> None:
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == '{module}':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from bridge.cli.app import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize(
    "command", [("render", "a.wav", "-o", "out"), ("inspect", "a.wav"), ("edit", "a.wav")]
)
def test_a_current_folder_that_was_deleted_is_told(
    airband: Airband, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = airband(*command)
    assert said.code == 2
    assert said.err == "airband: the folder you are in was deleted; change to one that exists\n"


@pytest.mark.parametrize("command", ["render", "models"])
def test_packages_of_the_same_names_on_pythonpath_are_not_taken(tmp_path: Path, command: str) -> None:
    for name in ("engine", "presets", "render"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    run = subprocess.run(
        [*PROGRAM, command, "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")
