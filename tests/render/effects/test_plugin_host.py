"""The sandbox: whatever a plugin does becomes one clean error, and everything else goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.client.client import Client
from presets.chains import Effect, Effects
from presets.errors import Cancelled, PluginError, UsageError
from render.clip import ArrayClip
from render.effects.chain import apply_chain
from render.effects.native import stream
from render.effects.plugin_folders import files_digest, find_plugin, plugin_settings
from render.effects.plugin_host import PluginHost, close_hosts, hosted
from render.upscaler import Audio, Step

RATE = 48000
MODES = {"segv": 1.0, "hang": 2.0, "abort": 3.0, "exit": 4.0, "nan": 5.0, "late": 6.0}
ZAM = Path("/usr/lib/vst3")
needs_zam = pytest.mark.skipif(
    not (ZAM / "ZamCompX2.vst3").exists(), reason="Debian's zam-plugins are not installed (apt-get install)"
)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Misbehave.vst3, built from source."""
    if not Path("/usr/share/dpf").is_dir() or not shutil.which("make") or not shutil.which("g++"):
        pytest.skip("the crash plugin needs Debian's dpf-source, make and g++ (apt-get install)")
    folder = tmp_path_factory.mktemp("vst3")
    source = Path(__file__).parent / "crash_plugin"
    subprocess.run(["make", "-s", "-C", source, f"OUT={folder}", "vst3"], check=True, capture_output=True)
    return folder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration folder for the test; plugins kept warm end with it."""
    folder = tmp_path / "config"
    (folder / "presets").mkdir(parents=True)
    monkeypatch.setenv("AIRBAND_CONFIG", str(folder))
    monkeypatch.setenv("AIRBAND_PLUGIN_FOLDERS", str(ZAM))
    yield folder
    close_hosts()


@pytest.fixture
def misbehave(built: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRBAND_PLUGIN_FOLDERS", os.pathsep.join([str(built), str(ZAM)]))
    return built / "Misbehave.vst3"


@pytest.fixture
def clip() -> ArrayClip:
    return ArrayClip((0.1 * np.random.default_rng(0).standard_normal((2, RATE))).astype(np.float32), RATE)


def ignore(step: Step) -> None:
    pass


def through(effect: Effect, clip: ArrayClip) -> Audio:
    """The clip through one plugin."""
    x = clip.read(0, clip.frames)
    with hosted(effect, clip.rate, clip.channels) as plugin:
        return np.concatenate(
            list(stream([plugin], iter([x]), clip.frames, clip.channels, clip.rate)), axis=1
        )


def plugin(name: str, **params: Any) -> Effect:
    return Effect(path=f"{name}.vst3", params=params)


def test_a_well_behaved_plugin_passes_every_sample(misbehave: Path, clip: ArrayClip) -> None:
    assert np.array_equal(through(plugin("Misbehave"), clip), clip.read(0, RATE))


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("segv", "crashed (SIGSEGV) while processing"),
        ("abort", "crashed (SIGABRT) while processing"),
        ("exit", "left with exit status 3 while processing"),
        ("nan", "samples that are not finite"),
        ("late", "returned nothing for 60 s of audio: wrong length"),
    ],
)
def test_a_fault_is_one_error_that_names_the_plugin(
    mode: str, told: str, misbehave: Path, clip: ArrayClip
) -> None:
    with pytest.raises(PluginError) as failed:
        through(plugin("Misbehave", mode=MODES[mode]), clip)
    assert failed.value.message.startswith("plugin Misbehave ")
    assert told in failed.value.message
    assert str(misbehave) in failed.value.message
    assert np.array_equal(through(plugin("Misbehave"), clip), clip.read(0, RATE)), "the next render works"


def test_a_hang_ends_at_the_deadline(misbehave: Path, config: Path, clip: ArrayClip) -> None:
    (config / "plugins.toml").write_text("process_s = 0.5")
    with pytest.raises(PluginError, match=r"Misbehave took longer than 0\.5 s while processing"):
        through(plugin("Misbehave", mode=MODES["hang"]), clip)


def test_a_cancel_is_heard_while_a_plugin_hangs(misbehave: Path, clip: ArrayClip, tmp_path: Path) -> None:
    asked = 0

    def cancel(step: Step) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Cancelled("enough")

    effect = plugin("Misbehave", mode=MODES["hang"])
    with pytest.raises(Cancelled):
        apply_chain((effect,), clip, tmp_path / "stem", cancel)
    assert np.array_equal(through(plugin("Misbehave"), clip), clip.read(0, RATE)), "the next render works"


@pytest.mark.parametrize(
    ("when", "load_s", "told"),
    [
        ("segv at load", 60, r"crashed \(SIGSEGV\) while loading"),
        ("hang at load", 1, r"took longer than 1 s while loading"),
        ("slow load", 1, r"took longer than 1 s while loading"),
    ],
)
def test_a_fault_at_load_is_an_error_too(
    when: str,
    load_s: int,
    told: str,
    misbehave: Path,
    config: Path,
    clip: ArrayClip,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (config / "plugins.toml").write_text(f"load_s = {load_s}")
    monkeypatch.setenv("AIRBAND_MISBEHAVE", when)
    with pytest.raises(PluginError, match=told):
        through(plugin("Misbehave"), clip)


def test_bypass_lets_the_chain_go_on_and_says_so(misbehave: Path, clip: ArrayClip, tmp_path: Path) -> None:
    effects = [
        Effect(name="Gain", params={"gain_db": 6.0}),
        Effect(path="Misbehave.vst3", params={"mode": MODES["segv"]}, on_error="bypass", tail_s=1.0),
        Effect(name="Invert"),
    ]
    applied = apply_chain(effects, clip, tmp_path / "work", ignore)
    assert len(applied.bypassed) == 1
    assert "SIGSEGV" in applied.bypassed[0]
    gain = np.float32(10 ** (6 / 20))
    assert np.allclose(applied.clip.read(0, RATE), -gain * clip.read(0, RATE), rtol=1e-6)
    assert applied.clip.frames == RATE


def test_a_missing_plugin_is_bypassed_or_an_error(config: Path, clip: ArrayClip, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no such plugin in"):
        apply_chain([plugin("Absent")], clip, tmp_path / "work", ignore)
    gone = Effect(path="Absent.vst3", on_error="bypass")
    applied = apply_chain([gone], clip, tmp_path / "work", ignore)
    assert applied.clip is clip
    assert applied.bypassed


def test_plugins_stay_warm_and_start_afresh(misbehave: Path, clip: ArrayClip) -> None:
    with hosted(plugin("Misbehave"), RATE, 2) as first:
        pass
    with hosted(plugin("Misbehave"), RATE, 2) as second:
        assert second is first
    remembering = plugin("Misbehave", drift=0.5)
    once, twice = through(remembering, clip), through(remembering, clip)
    assert not np.array_equal(once, clip.read(0, RATE))
    assert np.array_equal(once, twice)
    assert np.array_equal(through(plugin("Misbehave"), clip), clip.read(0, RATE)), "parameters are forgotten"


def test_a_parameter_that_does_not_take_is_an_error(misbehave: Path, clip: ArrayClip) -> None:
    with pytest.raises(PluginError, match=r"did not take stubborn = 1\.0; it is 0\.0"):
        through(plugin("Misbehave", stubborn=1.0), clip)
    with pytest.raises(PluginError, match=r"has no parameter 'mood'; it has drift, latency_frames, mode"):
        through(plugin("Misbehave", mood=1.0), clip)
    with pytest.raises(PluginError, match=r"'mode' \(99\.0\) is out of range"):
        through(plugin("Misbehave", mode=99.0), clip)


@pytest.mark.parametrize(("name", "kind"), [("drift.state", "raw_state"), ("drift.vstpreset", "preset_data")])
def test_state_is_restored_from_a_file_and_checked(
    name: str, kind: str, misbehave: Path, config: Path, clip: ArrayClip
) -> None:
    state = config / "presets" / name
    subprocess.run([sys.executable, "-c", MAKE_STATE, misbehave, state, kind], check=True)
    restored = Effect(path="Misbehave.vst3", state=name)
    assert np.array_equal(through(restored, clip), through(plugin("Misbehave", drift=0.5), clip))
    state.write_bytes(b"junk")
    with pytest.raises(PluginError, match=r"did not take its state file|Failed to set preset data"):
        through(restored, clip)


MAKE_STATE = """
import sys, numpy, pedalboard
plugin = pedalboard.load_plugin(sys.argv[1])
plugin.drift = 0.5
plugin(numpy.zeros((2, 512), "f4"), 48000)
open(sys.argv[2], "wb").write(getattr(plugin, sys.argv[3]))
"""


def test_plugins_from_elsewhere_are_refused(built: Path, config: Path, tmp_path: Path) -> None:
    settings = plugin_settings()
    with pytest.raises(UsageError, match="lies outside"):
        find_plugin(str(built / "Misbehave.vst3"), settings)
    with pytest.raises(UsageError, match="lies outside"):
        find_plugin("../../../etc/x.vst3", settings)
    with pytest.raises(UsageError, match="is no plugin"):
        find_plugin("/etc/passwd", settings)


def test_a_link_out_of_the_folder_is_refused(
    built: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "Linked.vst3").symlink_to(built / "Misbehave.vst3")
    monkeypatch.setenv("AIRBAND_PLUGIN_FOLDERS", str(folder))
    with pytest.raises(UsageError, match="lies outside"):
        find_plugin("Linked.vst3", plugin_settings())


def test_the_digest_of_files_follows_the_state_and_the_plugin(misbehave: Path, config: Path) -> None:
    settings = plugin_settings()
    assert files_digest(Effects(after=(Effect(name="Gain"),)), settings) == ""
    (config / "presets" / "a.state").write_bytes(b"one")
    effects = Effects(after=(Effect(path="Misbehave.vst3", state="a.state"),))
    first = files_digest(effects, settings)
    assert first == files_digest(effects, settings)
    (config / "presets" / "a.state").write_bytes(b"two")
    assert files_digest(effects, settings) != first


ORPHAN = """
import sys, numpy as np
from presets.chains import Effect
from render.effects.plugin_host import hosted
with hosted(Effect(path="Misbehave.vst3", params={"mode": 2.0}), 48000, 2) as host:
    print(host._process.pid, flush=True)
    host.process(np.ones((2, 8192), np.float32), 48000)
"""


def test_a_hanging_plugin_leaves_when_its_parent_is_killed(
    misbehave: Path, wait_until: Callable[[Callable[[], bool], str], None]
) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.stdout.close()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not runs(child), f"plugin process {child} to leave")


def runs(pid: int) -> bool:
    table = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(table.stdout.strip()) and not table.stdout.strip().startswith("Z")


@needs_zam
def test_latency_is_compensated(config: Path) -> None:
    impulse = np.zeros((2, RATE), np.float32)
    impulse[:, 1000] = 0.5
    out = through(plugin("ZaMaximX2"), ArrayClip(impulse, RATE))
    assert out.shape == (2, RATE)
    assert np.abs(out[0]).argmax() == 1000


@needs_zam
def test_a_mono_plugin_runs_on_each_channel_by_itself(config: Path, clip: ArrayClip) -> None:
    x = clip.read(0, RATE)
    params = {"boost_cut_1_db": 12.0, "frequency_1_hz": 1000.0, "master_gain_db": -6.0}
    both = through(plugin("ZamEQ2", **params), clip)
    for channel in (0, 1):
        alone = through(plugin("ZamEQ2", **params), ArrayClip(x[channel], RATE))
        assert np.array_equal(both[channel], alone[0])
    assert not np.array_equal(both, x)


@needs_zam
def test_a_stereo_plugin_takes_a_mono_clip(config: Path, clip: ArrayClip) -> None:
    x = clip.read(0, RATE)[:1]
    params = {"threshold_db": -30.0, "ratio": 8.0}
    alone = through(plugin("ZamCompX2", **params), ArrayClip(x, RATE))
    doubled = through(plugin("ZamCompX2", **params), ArrayClip(np.repeat(x, 2, axis=0), RATE))
    assert np.array_equal(alone[0], doubled[0])
    with pytest.raises(PluginError, match="does not take 4 channels"):
        through(plugin("ZamCompX2"), ArrayClip(np.repeat(x, 4, axis=0), RATE))


@needs_zam
def test_a_plugin_says_what_it_is(config: Path) -> None:
    host = PluginHost(ZAM / "ZamCompX2.vst3", None, plugin_settings())
    try:
        said = host.describe()
    finally:
        host.close()
    assert said["name"] == "ZamCompX2"
    assert said["channels"] == [2]
    assert said["parameters"]["threshold_db"]["min"] == -80.0


def test_twenty_jobs_finish_while_plugins_crash_around_them(
    misbehave: Path, config: Path, start_engine: Callable[..., Any], clip: ArrayClip
) -> None:
    (config / "plugins.toml").write_text("process_s = 0.5")
    engine = start_engine()
    with Client.connect(engine.connection.endpoint, state=engine.home.state) as client:
        source = (clip.read(0, RATE), RATE)
        bad, good = [], []
        for number in range(20):
            good.append(client.submit(source, "music", model="null", seed=number))
            if number < 5:
                mode = ("segv", "hang", "abort", "exit", "nan")[number]
                effects = {"after": [{"path": "Misbehave.vst3", "params": {"mode": MODES[mode]}}]}
                bad.append(client.submit(source, "music", model="null", effects=effects))
        for job in bad:
            with pytest.raises(PluginError, match="plugin Misbehave"):
                job.wait()
        for job in good:
            assert np.array_equal(job.wait().audio, clip.read(0, RATE))
