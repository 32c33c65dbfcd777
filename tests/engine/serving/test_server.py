"""A live engine as an unknown client meets it: greetings, refusals, keys, signals, folders."""

from __future__ import annotations

import os
import signal
import socket as sockets
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import numpy as np
import pytest
import soundfile
import zmq
from numpy.typing import NDArray

from bridge import Client
from bridge.wire.curve_keys import new_keys
from bridge.wire.home import read_connection
from bridge.wire.messages import (
    VERSION,
    Accepted,
    Audio,
    Busy,
    Cancel,
    Chunk,
    Closing,
    DeliverFile,
    DeliverPath,
    DeliverPcm,
    Done,
    Error,
    Failed,
    Fetch,
    File,
    Forget,
    Hello,
    Jobs,
    Listing,
    Message,
    Pcm,
    Ping,
    Pong,
    Status,
    Submit,
    Welcome,
)
from bridge.wire.messages import Path as PathSource
from bridge.wire.ulid import new_ulid
from engine.serving.connection_limit import DESCRIPTORS_SPARE, UNAUTHENTICATED_MAX
from engine.state.store import Store
from presets.errors import EngineError
from presets.schema import Preset, make
from presets.version import VERSION as SOFTWARE

if TYPE_CHECKING:
    from tests.conftest import LiveEngine, Peer

Samples = NDArray[np.float32]


def test_null_comes_back_over_the_wire_as_it_went(peer: Peer, dull: Samples) -> None:
    job = peer.submit(dull)
    done = peer.outcome(job)
    assert isinstance(done, Done)
    stem = done.stems[0]
    assert (stem.name, stem.rate, stem.channels, stem.frames) == ("full", 48000, 2, dull.shape[1])
    stored = np.frombuffer(peer.fetch(job), "<f4").reshape(2, -1)
    assert np.array_equal(stored, dull)
    assert done.report.model == "null"


def test_draft_generates_a_band_and_says_where_it_begins(peer: Peer, dull: Samples) -> None:
    job = peer.submit(dull, model="draft", seed=5)
    done = peer.outcome(job)
    assert isinstance(done, Done)
    assert done.seed == 5
    assert done.report.cutoff_hz == pytest.approx(4000, rel=0.15)
    added = np.frombuffer(peer.fetch(job), "<f4").reshape(2, -1) - dull
    assert np.abs(added).max() > 1e-3


def test_a_file_comes_back_as_a_file(peer: Peer, dull: Samples, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "dull.flac", dull.T, 48000, subtype="PCM_24")
    content = np.frombuffer((tmp_path / "dull.flac").read_bytes(), np.uint8)
    job = new_ulid()
    params = make(model="null", format="wav", bit_depth=24, dither="none")
    peer.ask(Submit(job, File("dull.flac", content.nbytes), DeliverFile(), params))
    peer.upload(job, content)  # type: ignore[arg-type]
    assert isinstance(peer.outcome(job), Done)
    (tmp_path / "out.wav").write_bytes(peer.fetch(job))
    assert soundfile.info(tmp_path / "out.wav").subtype == "PCM_24"
    out, _ = soundfile.read(tmp_path / "out.wav", dtype="int32")
    into, _ = soundfile.read(tmp_path / "dull.flac", dtype="int32")
    assert np.array_equal(out, into)


def test_paths_below_a_root_are_read_and_written(peer: Peer, dull: Samples, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "in.wav", dull.T, 48000, subtype="FLOAT")
    out = tmp_path / "made" / "out.wav"
    deliver = DeliverPath(str(out))
    submit = Submit(new_ulid(), PathSource(str(tmp_path / "in.wav")), deliver, make(model="null"))
    assert isinstance(peer.ask(submit), Accepted)
    done = peer.outcome(submit.job)
    assert isinstance(done, Done)
    assert done.stems[0].path == str(out)
    assert np.array_equal(soundfile.read(out, dtype="float32")[0].T, dull)
    assert out.with_name("out.wav.airband.json").is_file()

    def again(path: str, **knobs: object) -> object:
        job = new_ulid()
        peer.ask(Submit(job, submit.source, DeliverPath(path), make(model="null", **knobs)))
        return peer.outcome(job)

    assert isinstance(again(str(out)), Done), "the very same result is done already"
    refused = again(str(out), seed=1)
    assert isinstance(refused, Failed)
    assert refused.code == "output"
    onto_itself = again(str(tmp_path / "in.wav"), seed=1)
    assert isinstance(onto_itself, Failed)
    assert (onto_itself.code, "source itself" in onto_itself.message) == ("output", True)
    assert np.array_equal(soundfile.read(tmp_path / "in.wav", dtype="float32")[0].T, dull)


@pytest.mark.parametrize("way", ["source", "deliver", "link"])
def test_paths_outside_the_roots_are_refused(peer: Peer, tmp_path: Path, way: str) -> None:
    (tmp_path / "link.wav").symlink_to("/etc/hostname")
    source = {"source": "/etc/hostname", "link": str(tmp_path / "link.wav")}.get(way, str(tmp_path / "x.wav"))
    if way == "deliver":
        import soundfile

        soundfile.write(source, np.full(100, 0.1), 48000)
    deliver = DeliverPath("/etc/airband.wav") if way == "deliver" else DeliverPcm()
    job = new_ulid()
    peer.ask(Submit(job, PathSource(source), deliver, make(model="null")))
    failed = peer.outcome(job)
    assert isinstance(failed, Failed)
    assert "outside the folders" in failed.message
    assert failed.code == ("output" if way == "deliver" else "input")


@pytest.mark.parametrize(
    ("spoil", "code", "word"),
    [
        (lambda x: x * np.nan, "input", "NaN"),
        (lambda x: x / 0.0, "input", "infinite"),
        (lambda x: x * 1000, "input", "scale it down"),
        (lambda x: x[:, :1], None, ""),
        (lambda x: x * 0, None, ""),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_odd_samples_get_a_result_or_one_clear_error(
    peer: Peer, dull: Samples, spoil: Callable[[Samples], Samples], code: str | None, word: str
) -> None:
    samples = np.ascontiguousarray(spoil(dull), dtype="<f4")
    job = peer.submit(samples, model="draft")
    outcome = peer.outcome(job)
    if code is None:
        assert isinstance(outcome, Done)
        assert np.array_equal(np.frombuffer(peer.fetch(job), "<f4").reshape(2, -1), samples)
    else:
        assert isinstance(outcome, Failed)
        assert (outcome.code, word in outcome.message) == (code, True)


@pytest.mark.parametrize("content", [b"", b"not audio at all", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_a_file_that_is_no_audio_is_named_in_the_error(peer: Peer, content: bytes) -> None:
    job = new_ulid()
    submit = Submit(job, File("drums.wav", max(1, len(content))), DeliverFile(), make(model="null"))
    assert isinstance(peer.ask(submit), Accepted)
    peer.upload(job, np.frombuffer(content or b"\0", np.uint8))  # type: ignore[arg-type]
    failed = peer.outcome(job)
    assert isinstance(failed, Failed)
    assert (failed.code, "drums.wav" in failed.message, "spool" in failed.message) == ("input", True, False)


def test_an_unknown_model_is_refused_with_those_there_are(peer: Peer, dull: Samples) -> None:
    failed = peer.outcome(peer.submit(dull, model="nonesuch"))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.field) == ("usage", "model")
    assert "draft" in failed.message


def test_a_job_submitted_again_says_where_it_stands(peer: Peer, dull: Samples) -> None:
    job = peer.submit(dull)
    assert isinstance(peer.outcome(job), Done)
    same = Submit(job, Pcm(Audio(48000, *dull.shape)), DeliverPcm(), make(model="null"))
    assert peer.ask(same) == Accepted(job, "done")
    other = peer.ask(Submit(job, PathSource("/nowhere"), DeliverPcm(), Preset()))
    assert isinstance(other, Error)
    assert (other.code, other.field) == ("usage", "job")


def test_a_cancelled_job_stops_and_a_forgotten_one_is_gone(peer: Peer) -> None:
    noise = 0.1 * np.random.default_rng(2).standard_normal((2, 48000 * 60), dtype="f4")
    job = peer.submit(noise, model="draft", cutoff=4000)
    peer.until_progress(job)
    assert peer.ask(Forget(job)).code == "usage"  # type: ignore[union-attr]
    peer.say(Cancel(job))
    heard = [type(peer.hear()[0]).__name__ for _ in range(2)]
    while "Accepted" not in heard or "Cancelled" not in heard:
        heard.append(type(peer.hear()[0]).__name__)
    assert "Done" not in heard
    assert peer.ask(Cancel(job)) == Accepted(job, "cancelled")
    assert peer.ask(Forget(job)) == Accepted(job, "cancelled")
    gone = peer.ask(Status(job))
    assert isinstance(gone, Error)
    after = peer.submit(noise[:, :100], cutoff=4000)
    assert isinstance(peer.outcome(after), Done), "the worker is free again"


def test_status_and_jobs_list_newest_first(peer: Peer, dull: Samples) -> None:
    first, second = peer.submit(dull, seed=11), peer.submit(dull, seed=12)
    for job in (first, second):
        assert isinstance(peer.outcome(job), Done)
    listing = peer.ask(Jobs(2))
    assert isinstance(listing, Listing)
    assert [line.job for line in listing.jobs] == [second, first]
    status = peer.ask(Status(first))
    assert isinstance(status, Listing)
    assert (status.jobs[0].state, status.jobs[0].model) == ("done", "null")


def test_what_cannot_be_fetched_is_refused(peer: Peer, dull: Samples) -> None:
    job = peer.submit(dull)
    assert isinstance(peer.outcome(job), Done)
    for fetch in (Fetch(job, "high", 0, 10), Fetch(job, "full", 10**9, 10), Fetch(new_ulid(), "full", 0, 10)):
        refused = peer.ask(fetch)
        assert isinstance(refused, Error)
        assert (refused.code, refused.job) == ("usage", fetch.job)


def test_nothing_is_done_before_hello_and_another_protocol_is_told_apart(
    engine: LiveEngine, connect: Callable[..., Peer]
) -> None:
    stranger = connect(engine, hello=False)
    refused = stranger.ask(Ping())
    assert isinstance(refused, Error)
    assert (refused.code, "hello" in refused.message) == ("wire", True)
    other = stranger.ask(Hello(VERSION + 1, "from tomorrow"))
    assert isinstance(other, Error)
    assert (other.code, SOFTWARE in other.message) == ("version", True)
    welcome = stranger.ask(Hello(VERSION, "test"))
    assert isinstance(welcome, Welcome)
    assert {"null", "draft"} <= {model.name for model in welcome.models if model.ready}
    assert stranger.ask(Ping(1.5)) == Pong(1.5)


def test_an_upload_goes_on_over_a_new_connection(
    engine: LiveEngine, connect: Callable[..., Peer], dull: Samples
) -> None:
    job = new_ulid()
    submit = Submit(job, Pcm(Audio(48000, *dull.shape)), DeliverPcm(), make(model="null", seed=21))
    before = connect(engine)
    welcome = before.ask(Hello(VERSION, "test"))
    assert isinstance(welcome, Welcome)
    before.ask(submit)
    before.hear()
    before.say(Chunk(job, 0), dull.tobytes()[:100_000])
    before.ask(Ping())
    before.close()
    after = connect(engine, hello=False)
    after.ask(Hello(VERSION, "test", welcome.session))
    accepted = after.ask(submit)
    assert accepted == Accepted(job, "uploading", offset=100_000)
    after.upload(job, dull, offset=100_000)
    assert isinstance(after.outcome(job), Done)
    assert after.fetch(job) == dull.tobytes()


def test_an_upload_that_arrives_changed_fails(peer: Peer, dull: Samples) -> None:
    job = new_ulid()
    peer.ask(Submit(job, Pcm(Audio(48000, *dull.shape)), DeliverPcm(), make(model="null")))
    peer.hear()
    told = peer.ask(Chunk(job, 0, last=True, digest="0" * 64), dull.tobytes())
    assert told == peer.outcome(job)
    assert isinstance(told, Failed)
    assert (told.code, told.field) == ("wire", "digest")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
def test_the_loop_holds_no_torch(engine: LiveEngine) -> None:
    assert "torch" not in Path(f"/proc/{engine.process.pid}/maps").read_text()


def test_importing_the_command_loads_no_torch() -> None:
    code = "import sys, engine.__main__, engine.serve; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_a_second_engine_on_the_folder_gets_one_clear_error(engine: LiveEngine) -> None:
    command = [sys.executable, "-m", "engine", "serve", "--state", str(engine.home.state)]
    second = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False
    )
    assert second.returncode == 5
    assert "runs on" in second.stderr
    assert "Traceback" not in second.stderr
    assert read_connection(engine.home) is not None, "the first one's connection file stays"


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--endpoint", "tcp://0.0.0.0:0"], 2, "--allow"),
        (["--endpoint", "tcp://*:0"], 2, "--allow"),
        (["--endpoint", "ipc:///nonexistent/folder/socket"], 2, "cannot be bound"),
        (["--device", "cuda:99"], 2, "cuda:99"),
    ],
)
def test_options_that_cannot_be_honoured(tmp_path: Path, options: list[str], code: int, word: str) -> None:
    command = [sys.executable, "-m", "engine", "serve", "--state", str(tmp_path / "s"), *options]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert (run.returncode, word in run.stderr, "Traceback" in run.stderr) == (code, True, False), run.stderr


def test_a_damaged_job_table_gets_one_clear_error(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "jobs.sqlite").write_bytes(b"no database " * 1000)
    command = [sys.executable, "-m", "engine", "serve", "--state", str(state)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert (run.returncode, "doctor" in run.stderr, "Traceback" in run.stderr) == (5, True, False), run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors by /proc")
def test_unauthenticated_connections_are_turned_away_beyond_a_number(
    start_engine: Callable[..., LiveEngine],
) -> None:
    live = start_engine("--endpoint", "tcp://127.0.0.1:*")
    port = int(live.connection.endpoint.rpartition(":")[2])
    descriptors = Path(f"/proc/{live.process.pid}/fd")
    with ExitStack() as stack, Client.connect(state=live.home.state, start=False) as client:
        before = most = len(list(descriptors.iterdir()))
        for number in range(800):
            stack.enter_context(sockets.create_connection(("127.0.0.1", port)))
            if number % 20 == 19:
                client.ping()
                most = max(most, len(list(descriptors.iterdir())))
        assert most <= before + 2 * UNAUTHENTICATED_MAX + 100
        assert client.ping() >= 0, "who is connected stays"
    with Client.connect(state=live.home.state, start=False, timeout_s=60) as late:
        assert late.ping() >= 0, "and once they have gone others get in"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_too_few_open_files_for_an_engine_is_told_with_the_way_out(tmp_path: Path) -> None:
    too_few = FEW_DESCRIPTORS.replace("600", "40")
    ended = subprocess.run(
        [sys.executable, "-c", too_few, "serve", "--state", tmp_path / "state"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == EngineError.exit_code
    assert "the system allows 40 open files here" in ended.stderr
    assert "ulimit -n 512" in ended.stderr


FEW_DESCRIPTORS = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600)); "
    "from engine.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors by /proc")
def test_more_ipc_connections_than_there_are_descriptors_for_are_turned_away(
    launch: Callable[..., LiveEngine], tmp_path: Path
) -> None:
    live = launch(tmp_path / "state", program=("-c", FEW_DESCRIPTORS))
    path = live.connection.endpoint.removeprefix("ipc://")
    try:
        with ExitStack() as stack, Client.connect(state=live.home.state, start=False) as client:
            for number in range(700):
                stranger = stack.enter_context(sockets.socket(sockets.AF_UNIX))
                stranger.connect(path)
                if number % 20 == 19:
                    client.ping()
            assert len(os.listdir(f"/proc/{live.process.pid}/fd")) < 600 - DESCRIPTORS_SPARE / 2
            assert client.ping() >= 0, "who is connected stays"
        with Client.connect(state=live.home.state, start=False, timeout_s=60) as late:
            assert late.ping() >= 0, "and once they have gone others get in"
    finally:
        live.end()


def test_over_tcp_only_listed_keys_get_in_and_an_idle_engine_leaves(
    start_engine: Callable[..., LiveEngine], connect: Callable[..., Peer]
) -> None:
    live = start_engine("--endpoint", "tcp://127.0.0.1:*", "--idle-exit", "3")
    connection = live.connection
    assert (connection.server_key, connection.client is not None) != ("", False)
    peer = connect(live)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for pair in (new_keys(), None):
            with context.socket(zmq.DEALER) as stranger:
                stranger.linger = 0
                if pair is not None:
                    stranger.curve_serverkey = connection.server_key.encode()
                    stranger.curve_publickey = pair.public.encode()
                    stranger.curve_secretkey = pair.secret.encode()
                stranger.connect(connection.endpoint)
                stranger.send(msgpack.packb({"type": "hello", "v": 1, "client": "stranger"}))
                assert stranger.poll(500) == 0
    finally:
        context.destroy(linger=0)
    assert peer.ask(Ping(2.0)) == Pong(2.0)
    assert isinstance(peer.hear()[0], Closing)
    assert live.process.wait() == 0
    assert not live.home.connection.exists()


def test_a_signal_drains_a_second_one_aborts_and_nothing_is_lost(
    start_engine: Callable[..., LiveEngine], connect: Callable[..., Peer], dull: Samples
) -> None:
    live = start_engine()
    peer = connect(live)
    noise = 0.1 * np.random.default_rng(4).standard_normal((2, 48000 * 120), dtype="f4")
    short = np.ascontiguousarray(noise[:, : 48000 * 20])
    running, queued = peer.submit(short, model="draft", cutoff=4000), peer.submit(dull)
    peer.until_progress(running)
    workers = live.workers
    live.process.send_signal(signal.SIGTERM)
    heard: list[Message] = []
    while not any(isinstance(message, Done) for message in heard):
        heard.append(peer.hear()[0])
    assert any(isinstance(message, Closing) for message in heard)
    assert live.process.wait() == 0
    assert not live.home.connection.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)

    live = start_engine()
    peer = connect(live)
    assert isinstance(peer.outcome(queued), Done)
    assert isinstance(peer.outcome(running), Done)
    assert len(peer.fetch(running)) == short.nbytes
    endless = peer.submit(noise, model="draft", cutoff=4000)
    peer.until_progress(endless)
    workers = live.workers
    live.process.send_signal(signal.SIGINT)
    while not isinstance(peer.hear()[0], Closing):
        pass
    live.process.send_signal(signal.SIGINT)
    assert live.process.wait() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    store = Store(live.home.state / "jobs.sqlite")
    record = store.get(endless)
    store.close()
    assert record is not None
    assert record.state == "running", "the next engine takes it up"


def test_beyond_the_quota_a_job_waits_outside(
    start_engine: Callable[..., LiveEngine],
    connect: Callable[..., Peer],
    dull: Samples,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    peer = connect(start_engine("--quota", "0.005"))
    big = Submit(new_ulid(), Pcm(Audio(48000, 2, 10**6)), DeliverPcm(), make(model="null"))
    never = peer.ask(big)
    assert isinstance(never, Error)
    assert (never.code, never.job) == ("output", big.job)
    kept = peer.submit(dull)
    assert isinstance(peer.outcome(kept), Done)
    another = Submit(new_ulid(), Pcm(Audio(48000, 2, 200_000)), DeliverPcm(), make(model="null"))
    busy = peer.ask(another)
    assert isinstance(busy, Busy)
    assert busy.retry_s > 0
    peer.ask(Forget(kept))
    wait_until(lambda: isinstance(peer.ask(another), Accepted), "the cached result to make room")


def test_a_full_spool_goes_on_taking_files_at_the_cost_of_its_oldest_results(
    start_engine: Callable[..., LiveEngine], connect: Callable[..., Peer], dull: Samples, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", dull.T, 48000, "FLOAT")
    peer = connect(start_engine("--quota", str(4 * dull.nbytes / 1e9)))
    for seed in range(12):
        deliver = DeliverPath(str(tmp_path / f"{seed}.wav"))
        asked = Submit(
            new_ulid(), PathSource(str(tmp_path / "in.wav")), deliver, make(model="null", seed=seed)
        )
        peer.ask(asked)
        assert isinstance(peer.outcome(asked.job), Done)


def test_a_job_that_would_exceed_the_quota_is_refused_before_it_is_sent(
    start_engine: Callable[..., LiveEngine], connect: Callable[..., Peer], dull: Samples
) -> None:
    peer = connect(start_engine("--quota", str(2.5 * dull.nbytes / 1e9)))
    refused = peer.ask(Submit(new_ulid(), Pcm(Audio(48000, *dull.shape)), DeliverPcm(), make(model="null")))
    assert isinstance(refused, Error)
    assert (refused.code, "--quota" in refused.message) == ("output", True)


def test_a_file_that_decodes_to_more_than_the_quota_fails_before_it_is_rendered(
    start_engine: Callable[..., LiveEngine], connect: Callable[..., Peer], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros((500_000, 2)), 48000)
    peer = connect(start_engine("--quota", "0.005"))
    asked = Submit(new_ulid(), PathSource(str(tmp_path / "long.flac")), DeliverPcm(), make(model="null"))
    assert isinstance(peer.ask(asked), Accepted)
    failed = peer.outcome(asked.job)
    assert isinstance(failed, Failed)
    assert (failed.code, "--quota" in failed.message) == ("output", True)
