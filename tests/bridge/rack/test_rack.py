"""Rack: Pedalboard's own samples if everything is native, and super-resolution between if not."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from pedalboard import Chain, Chorus, Compressor, Delay, Gain, HighpassFilter, Invert, Mix, Reverb

from bridge import Client, External, Rack, SuperResolution
from presets.chains import Effect, Effects
from presets.errors import Cancelled, InputError, PresetError, UsageError
from presets.schema import make
from render.effects.plugin_host import close_hosts
from render.upscaler import Step

RATE = 48000
ZAM = Path("/usr/lib/vst3")
needs_zam = pytest.mark.skipif(
    not (ZAM / "ZamCompX2.vst3").exists(), reason="Debian's zam-plugins are not installed (apt-get install)"
)


@pytest.fixture(autouse=True)
def _no_plugin_outlives_its_test() -> Iterator[None]:
    yield
    close_hosts()


@pytest.fixture
def client(engine: Any) -> Iterator[Client]:
    with Client.connect(engine.connection.endpoint, state=engine.home.state) as connected:
        yield connected


@pytest.fixture
def noise() -> NDArray[np.float32]:
    return (0.2 * np.random.default_rng(0).standard_normal((2, 100001))).astype(np.float32)


def natives() -> list[pedalboard.Plugin]:
    return [
        HighpassFilter(30),
        Chain([Compressor(-20, 4), Reverb()]),
        Mix([Gain(-6), Delay(0.1)]),
        pedalboard.Resample(16000),
        pedalboard.BrickwallLimiter(),
    ]


def null(**knobs: Any) -> SuperResolution:
    return SuperResolution("music", model="null", **knobs)


@pytest.mark.parametrize("layout", ["channels first", "channels last", "mono", "double"])
def test_a_rack_of_native_plugins_equals_one_pedalboard(layout: str, noise: NDArray[np.float32]) -> None:
    x: Any = {
        "channels first": noise,
        "channels last": np.ascontiguousarray(noise.T),
        "mono": noise[0],
        "double": noise.astype(np.float64),
    }[layout]
    expected = pedalboard.Pedalboard(natives())(x, RATE)
    assert np.array_equal(Rack(natives())(x, RATE), expected)
    assert np.array_equal(
        Rack(natives()).process(x, RATE, 512), pedalboard.Pedalboard(natives())(x, RATE, 512)
    )


def test_racks_nest_without_a_trace(noise: NDArray[np.float32]) -> None:
    first, *rest = natives()
    nested = Rack([first, Rack([Rack(rest[:2])]), *rest[2:]])
    assert np.array_equal(nested(noise, RATE), pedalboard.Pedalboard(natives())(noise, RATE))


def test_native_racks_stream_call_by_call(noise: NDArray[np.float32]) -> None:
    rack, board = Rack([Reverb(), Gain(3)]), pedalboard.Pedalboard([Reverb(), Gain(3)])
    for part in (noise[:, :8192], noise[:, 8192:16384]):
        assert np.array_equal(rack(part, RATE, reset=False), board(part, RATE, reset=False))
    after = board(noise, RATE, reset=False)
    assert not np.array_equal(after, board(noise, RATE)), "the board remembers"
    rack.reset()
    board.reset()
    assert np.array_equal(rack(noise, RATE, reset=False), board(noise, RATE, reset=False))


@pytest.mark.parametrize("layout", ["channels first", "channels last", "mono"])
def test_a_rack_split_around_a_null_stage_equals_one_pedalboard(
    layout: str, client: Client, noise: NDArray[np.float32]
) -> None:
    x: Any = {"channels first": noise, "channels last": np.ascontiguousarray(noise.T), "mono": noise[0]}[
        layout
    ]

    def plugins() -> list[pedalboard.Plugin]:
        return [
            HighpassFilter(30),
            Chain([Compressor(-20, 4), Reverb()]),
            Mix([Gain(-6), Delay(0.1)]),
            Chorus(),
        ]

    rack = Rack([*plugins()[:2], null(), *plugins()[2:]], client=client)
    assert np.array_equal(rack(x, RATE), pedalboard.Pedalboard(plugins())(x, RATE))


def test_a_late_effect_behind_a_stage_misses_only_the_tail_that_the_stage_cut(
    client: Client, noise: NDArray[np.float32]
) -> None:
    """On one board an effect with look-ahead hears the reverb after the clip; a stage ends with the clip."""
    out = Rack([Reverb(), null(), pedalboard.Resample(16000)], client=client)(noise, RATE)
    board = pedalboard.Pedalboard([Reverb(), pedalboard.Resample(16000)])(noise, RATE)
    assert np.array_equal(out[:, :-512], board[:, :-512])


def test_list_operations() -> None:
    gain, invert, reverb = Gain(1), Invert(), Reverb()
    rack = Rack([gain])
    rack.append(reverb)
    rack.insert(1, invert)
    assert list(rack) == [gain, invert, reverb]
    assert len(rack) == 3
    assert invert in rack
    assert rack.index(reverb) == 2
    assert rack.pop() is reverb
    rack += [reverb]
    rack[0] = null()
    assert isinstance(rack[0], SuperResolution)
    assert list(rack[1:]) == [invert, reverb]
    assert isinstance(rack[1:], Rack)
    rack[1:] = [gain]
    del rack[0]
    assert list(rack) == [gain]
    rack.remove(gain)
    assert not rack


@pytest.mark.parametrize("stage", [3, "Gain", lambda x: x, Gain])
def test_what_is_no_stage_is_refused(stage: Any) -> None:
    with pytest.raises(UsageError, match="cannot be part of a Rack"):
        Rack([Gain(), stage])


def test_a_rack_says_what_it_holds() -> None:
    rack = Rack([HighpassFilter(30), null(seed=7), Chain([Gain(3)]), Rack([Invert()], tail_s=1.5)])
    assert repr(rack) == (
        "Rack([HighpassFilter(cutoff_frequency_hz=30), SuperResolution('music', model='null', seed=7), "
        "Chain([Gain(gain_db=3)]), Rack([Invert()], tail_s=1.5)])"
    )


def test_knobs_are_attributes_in_physical_units() -> None:
    stage = SuperResolution(preset="speech", seed=7)
    assert stage.seed == 7
    stage.cutoff = 8000
    stage.high_gain_db = -3
    assert (stage.cutoff, stage.high_gain_db) == (8000.0, -3.0)
    with pytest.raises(UsageError, match=r"high_gain_db = 99.*-24 to 24 dB"):
        stage.high_gain_db = 99
    assert stage.high_gain_db == -3.0
    with pytest.raises(UsageError, match="unknown knob 'sead'"):
        stage.sead = 1
    with pytest.raises(AttributeError, match="has no knob 'sead'"):
        _ = stage.sead
    assert "crossover_octaves" in dir(stage)
    with pytest.raises(PresetError, match="unknown preset 'nope'"):
        SuperResolution("nope")
    assert SuperResolution(make(seed=3)).seed == 3


@pytest.mark.parametrize("preset", [16000, {"seed": 1}])
def test_what_is_no_preset_is_told_what_goes_there(client: Client, preset: Any) -> None:
    for use in (SuperResolution, lambda given: client.submit((np.zeros(9), 48000), given)):
        with pytest.raises(UsageError, match=rf"type {type(preset).__name__}.*\(samples, rate in Hz\)"):
            use(preset)


def test_none_takes_a_value_back() -> None:
    stage = SuperResolution(start=0.5, seed=7)
    stage.start = None
    assert (stage.start, stage.seed) == (None, 7)
    with pytest.raises(UsageError, match=r"cutoff = None; allowed: auto"):
        stage.cutoff = None


def test_a_copy_of_a_rack_goes_on_with_its_connection(client: Client, noise: NDArray[np.float32]) -> None:
    rack = Rack([Gain(3), null()], client=client)
    copied = copy.deepcopy(rack)
    assert copied[0] is not rack[0]
    assert copied._connection.client is client
    assert np.array_equal(copied(noise, RATE), rack(noise, RATE))


@pytest.mark.parametrize("rate", [44100.5, float("nan"), None, "44100"])
def test_a_rate_that_no_clip_has_is_refused(client: Client, noise: NDArray[np.float32], rate: Any) -> None:
    with pytest.raises(InputError, match=r"rate = .*whole numbers from 4000"):
        Rack([null()], client=client)(noise, rate)


def test_a_buffer_of_no_frames_and_one_file_for_several_are_refused(noise: NDArray[np.float32]) -> None:
    with pytest.raises(UsageError, match=r"buffer_size = 0; allowed: 1"):
        Rack([Gain()])(noise, RATE, buffer_size=0)
    with pytest.raises(UsageError, match=r"for one, give \['a\.wav'\]"):
        next(Rack([Gain()]).map("a.wav"))


def test_the_rate_that_comes_out(client: Client) -> None:
    rack = Rack([Gain(), null(rate=96000), Rack([Gain(), null()]), Gain()], client=client)
    assert rack.output_rate(22050) == 48000
    assert Rack([Gain()]).output_rate(22050) == 22050
    assert rack(np.zeros((1, 22050), np.float32), 22050).shape == (1, 48000)


def test_stages_share_one_connection(
    engine: Any, noise: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Client] = []
    connect = Client.connect

    def counted() -> Client:
        made.append(connect(engine.connection.endpoint, state=engine.home.state))
        return made[-1]

    monkeypatch.setattr(Client, "connect", counted)
    rack = Rack([null(), Gain(), Rack([null(seed=1), Invert()])])
    rack(noise, RATE)
    rack(noise, RATE)
    assert len(made) == 1
    made[0].close()


def test_progress_and_cancelling(client: Client, noise: NDArray[np.float32]) -> None:
    rack = Rack([Gain(), null()], client=client)
    seen: list[Step] = []
    rack(noise, RATE, on_step=seen.append)
    assert seen[-1] == Step("rack", 2, 2)
    assert all(step.stage.startswith("2/2 ") for step in seen[:-1])

    def stop(step: Step) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        rack(noise, RATE, on_step=stop)


def test_what_a_rack_cannot_take_is_refused_by_the_name_of_its_parameter(noise: NDArray[np.float32]) -> None:
    def refused(message: str, **asked: Any) -> str | None:
        with pytest.raises(UsageError, match=message) as caught:
            Rack([null()])(**{"input_array": noise, "sample_rate": RATE, **asked})
        return caught.value.field

    assert refused("reset=False needs native plugins only", reset=False) == "reset"
    for shape, kind, message in (
        ((2, 2), np.float32, "cannot tell channels from frames"),
        ((2, 200), np.int16, "float32"),
        ((2, 0), np.float32, "empty"),
    ):
        assert refused(message, input_array=np.zeros(shape, kind)) == "input_array"
    with pytest.raises(UsageError, match="workers = 0; allowed: 1 and more") as caught:
        next(Rack([Gain()]).map(["a.wav"], workers=0))
    assert caught.value.field == "workers"


def test_a_tail_rings_out() -> None:
    impulse = np.zeros((1, RATE), np.float32)
    impulse[0, -1] = 1
    out = Rack([Delay(0.5, mix=1.0)], tail_s=0.75)(impulse, RATE)
    assert out.shape == (1, RATE + 36000)
    assert np.flatnonzero(out[0]).tolist() == [RATE - 1 + 24000]


def test_an_event_loop_stays_free(client: Client, noise: NDArray[np.float32]) -> None:
    rack = Rack([Gain(-3), null()], client=client)

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(rack.process_async(noise, RATE), rack.process_async(-noise, RATE))

    plus, minus = asyncio.run(both())
    assert np.array_equal(plus, Gain(-3)(noise, RATE))
    assert np.array_equal(plus, -minus)

    async def called_off() -> None:
        begun, loop = asyncio.Event(), asyncio.get_running_loop()

        def on_step(_: Step) -> None:
            loop.call_soon_threadsafe(begun.set)

        slow = Rack([SuperResolution(model="draft", cutoff=4000)], client=client)
        render = asyncio.create_task(slow.process_async(np.tile(noise, 60), RATE, on_step))
        await begun.wait()
        render.cancel()
        with pytest.raises(asyncio.CancelledError):
            await render

    asyncio.run(called_off())  # waits for the rendering thread
    assert client.jobs(1)[0].state == "cancelled"


def test_a_rack_maps_over_files(client: Client, tmp_path: Path, noise: NDArray[np.float32]) -> None:
    files = [tmp_path / f"{number}.wav" for number in range(4)]
    for number, file in enumerate(files):
        soundfile.write(file, noise[:, : 10000 + number].T, RATE, "FLOAT")
    done = list(Rack([Gain(-3), null()], client=client).map(files))
    assert [result.path for result in done] == files
    for number, result in enumerate(done):
        assert result.rate == RATE
        assert np.array_equal(result.audio, Gain(-3)(noise[:, : 10000 + number], RATE))


EFFECTS = Effects(
    before=(
        Effect(name="HighpassFilter", params={"cutoff_frequency_hz": 30.0}),
        Effect(name="Reverb", tail_s=0.5),
    ),
    after=(
        Effect(name="Resample", params={"target_sample_rate": 30000.0}),
        Effect(name="Compressor", params={"threshold_db": -20.0, "ratio": 4.0}),
    ),
)


def in_parts(effects: Effects, client: Client) -> Rack:
    """What the engine does with a preset's effects, done stage by stage on the client."""
    before, after = Rack.from_effects(effects.before), Rack.from_effects(effects.after)
    return Rack([before, null(cutoff=6000), after], client=client)


def test_the_engine_and_a_rack_make_the_same_of_a_preset(client: Client, dull: NDArray[np.float32]) -> None:
    whole = Rack([null(cutoff=6000, effects=EFFECTS)], client=client)(dull, 44100)
    parts = in_parts(EFFECTS, client)(dull, 44100)
    assert whole.shape == parts.shape == (2, -(-(96000 + 22050) * 48000 // 44100))
    assert np.array_equal(whole, parts)


@pytest.fixture
def _denormals_again() -> Iterator[None]:
    """Restores denormals: a plugin loaded in this process makes its thread flush them from then on."""
    yield
    torch.set_flush_denormal(False)


@needs_zam
@pytest.mark.usefixtures("_denormals_again")
def test_a_plugin_of_a_process_of_its_own_runs_from_any_thread(
    noise: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAND_PLUGIN_FOLDERS", str(ZAM))
    outside = Rack([External("ZamTube.vst3", tube_drive=5.0)])
    assert repr(outside) == "Rack([External('ZamTube.vst3', tube_drive=5.0)])"
    assert asyncio.run(outside.process_async(noise, RATE)).shape == noise.shape
    plugin = pedalboard.load_plugin(str(ZAM / "ZamTube.vst3"))
    # While loading, Pedalboard tests whether a plugin falls silent on reset; this plugin's answer varies
    # between loads.
    plugin._reload_type = pedalboard.ExternalPluginReloadType.PersistsAudioOnReset  # type: ignore[attr-defined]
    inside = Rack([plugin])
    with pytest.raises(UsageError, match=r"External\(path\) runs on any thread"):
        asyncio.run(inside.process_async(noise[:1], RATE))


@needs_zam
@pytest.mark.usefixtures("_denormals_again")
def test_real_plugins_around_a_stage(
    start_engine: Callable[..., Any], dull: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAND_PLUGIN_FOLDERS", str(ZAM))
    effects = Effects(
        before=(Effect(path="ZamCompX2.vst3", params={"threshold_db": -30.0, "ratio": 8.0}),),
        after=(Effect(path="ZaMaximX2.vst3", params={"threshold_db": -6.0}),),
    )
    engine = start_engine()
    with Client.connect(engine.connection.endpoint, state=engine.home.state) as client:
        whole = Rack([null(cutoff=6000, effects=effects)], client=client)(dull, RATE)
        assert np.array_equal(whole, in_parts(effects, client)(dull, RATE))
        here = Rack(
            [
                pedalboard.load_plugin(str(ZAM / "ZamCompX2.vst3")),
                null(cutoff=6000),
                pedalboard.load_plugin(str(ZAM / "ZaMaximX2.vst3")),
            ],
            client=client,
        )
        here[0].threshold_db, here[0].ratio, here[2].threshold_db = -30.0, 8.0, -6.0  # type: ignore[attr-defined]
        assert np.abs(here(dull, RATE) - whole).max() < 1e-6
    assert not np.array_equal(whole, dull)


def test_a_rack_is_pickled_without_its_client() -> None:
    import pickle

    import pedalboard

    rack = Rack(
        [
            pedalboard.Compressor(threshold_db=-20, ratio=4),
            pedalboard.Chain([pedalboard.LadderFilter(cutoff_hz=500), pedalboard.Gain(-3)]),
            SuperResolution("speech", seed=7),
        ],
        tail_s=0.5,
        client=object(),
    )
    copied = pickle.loads(pickle.dumps(rack))
    assert repr(copied) == repr(rack)
    assert copied._connection._client is None
    sound = np.random.default_rng(0).standard_normal((2, 4800)).astype(np.float32)
    np.testing.assert_array_equal(copied[:2](sound, 48000), rack[:2](sound, 48000))
