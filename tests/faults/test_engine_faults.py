"""Single faults of a live engine; each of them once made the engine fail or report wrongly."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from bridge import Client, diagnosis
from bridge.client.launch import find_engine
from bridge.wire.curve_keys import KeyPair, allow, new_keys, revoke
from bridge.wire.messages import (
    VERSION,
    Accepted,
    Audio,
    Chunk,
    DeliverPcm,
    Done,
    Error,
    Failed,
    Fetch,
    Grant,
    Hello,
    Listing,
    Pcm,
    Ping,
    Pong,
    Status,
    Submit,
    Welcome,
)
from bridge.wire.messages import Jobs as ListJobs
from bridge.wire.ulid import new_ulid
from presets.errors import EngineError
from presets.schema import make

if TYPE_CHECKING:
    from tests.conftest import LiveEngine, Peer

Samples = NDArray[np.float32]
Start = Callable[..., "LiveEngine"]
Connect = Callable[..., "Peer"]
WaitUntil = Callable[[Callable[[], bool], str], None]
ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and sockets of POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@posix
def test_a_wiped_runtime_folder_is_made_anew_and_the_engine_found(start_engine: Start, dull: Samples) -> None:
    live = start_engine()
    with Client.connect(state=live.home.state, start=False) as early:
        shutil.rmtree(live.home.runtime)
        with Client.connect(state=live.home.state, start=False) as client:
            assert np.array_equal(client.submit((dull, 48000), model="null").wait(120).audio, dull)
        assert early.ping() >= 0, "who was connected comes back"
    live.home.connection.unlink()
    with Client.connect(state=live.home.state, start=False) as client:
        assert client.ping() >= 0


@posix
def test_an_engine_is_found_whatever_the_environment_says(
    engine: LiveEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("XDG_RUNTIME_DIR", "TMPDIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with Client.connect(state=engine.home.state, start=False) as client:
        assert client.ping() >= 0


@posix
def test_a_command_from_cron_finds_the_engine_of_its_home(start_engine: Start, tmp_path: Path) -> None:
    home = tmp_path / "home"
    state = home / ".local" / "state" / "airband"
    state.parent.mkdir(parents=True)
    live = start_engine(state=state)
    command = [sys.executable, "-c", "from bridge.cli.app import main; main()", "status", "--json"]
    for said in ({}, {"XDG_RUNTIME_DIR": "/nowhere"}, {"TMPDIR": "/nowhere", "PATH": ""}):
        told = subprocess.run(
            command, env={"HOME": str(home), **said}, capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert told.returncode == 0, (said, told.stderr)
        assert json.loads(told.stdout)["pid"] == live.process.pid


@posix
def test_a_socket_out_of_reach_is_told_at_once_and_stop_ends_its_engine(
    start_engine: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "NATIVE", ("msgspec",))  # importing every package takes seconds
    live = start_engine()
    os.kill(live.process.pid, signal.SIGSTOP)  # so that it cannot make its socket again
    try:
        shutil.rmtree(live.home.runtime)
        began_s = time.monotonic()
        with pytest.raises(EngineError, match="airband stop"):
            find_engine(live.home)
        assert time.monotonic() - began_s < 2.0
        [told] = [finding for finding in diagnosis.examine(live.home) if finding.what == "engine"]
        assert (told.level, "airband stop" in told.advice) == ("broken", True)
    finally:
        os.kill(live.process.pid, signal.SIGCONT)
    code = "from bridge.cli.app import main; main()"
    command = [sys.executable, "-c", code, "stop", "--now", "--json", "--state", str(live.home.state)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=240)
    assert (said.returncode, f'"pid": {live.process.pid}' in said.stdout) == (0, True), said.stderr
    live.process.wait(30)


@posix
def test_a_worker_that_stands_still_holds_up_nobody(
    engine: LiveEngine, connect: Connect, dull: Samples
) -> None:
    peer = connect(engine)
    [pid] = engine.workers
    os.kill(pid, signal.SIGSTOP)
    assert peer.ask(Ping(1.0)) == Pong(1.0)
    os.kill(pid, signal.SIGCONT)
    assert isinstance(peer.outcome(peer.submit(dull)), Done)


def test_a_field_of_17_kilobytes_is_one_error(peer: Peer) -> None:
    nasty = {"type": "submit", "job": "x" * 17_000, "source": {"kind": "y" * 17_000}}
    for frames in ([msgpack.packb(nasty)], [msgpack.packb({"z" * 17_000: 1, "type": "ping"})], [b""] * 1000):
        peer.socket.send_multipart(frames)
        assert isinstance(peer.hear()[0], Error)
    assert peer.ask(Ping(1.0)) == Pong(1.0)


class KeyedPeer:
    """A client of a tcp engine with a key of its own."""

    def __init__(self, endpoint: str, server_key: str, keys: KeyPair) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.curve_serverkey = server_key.encode()
        self.socket.curve_publickey, self.socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
        self.socket.connect(endpoint)

    def close(self) -> None:
        self.context.destroy(linger=0)


def test_over_tcp_each_key_has_its_own_jobs_and_a_revoked_one_none(
    start_engine: Start, connect: Connect, dull: Samples, tmp_path: Path
) -> None:
    from bridge.wire.frames import decode, encode

    live = start_engine("--endpoint", "tcp://127.0.0.1:*")
    mine = connect(live)
    job = mine.submit(dull)
    assert isinstance(mine.outcome(job), Done)
    keys = new_keys()
    allow(live.home.allow_list, keys.public, "studio b")
    other = KeyedPeer(live.connection.endpoint, live.connection.server_key, keys)

    def ask(message: object) -> object:
        other.socket.send_multipart(encode(message))  # type: ignore[arg-type]
        assert other.socket.poll(60_000), "no answer"
        return decode(other.socket.recv_multipart(), "engine")[0]

    try:
        assert isinstance(ask(Hello(VERSION, "other")), Welcome)
        assert ask(ListJobs()) == Listing(())
        assert isinstance(ask(Status(job)), Error)
        listing = mine.ask(ListJobs())
        assert isinstance(listing, Listing)
        assert [line.job for line in listing.jobs] == [job]
        revoke(live.home.allow_list, "studio b")
        refused = ask(Ping(1.0))
        assert isinstance(refused, Error)
        assert "allow-list" in refused.message
        assert isinstance(mine.ask(Status(job)), Listing)
    finally:
        other.close()


@posix
def test_an_engine_whose_state_folder_was_replaced_leaves(start_engine: Start) -> None:
    live = start_engine()
    shutil.rmtree(live.home.state)
    assert live.process.wait(60) == 0


def test_a_source_that_changes_while_it_is_read_fails_and_is_not_cached(
    start_engine: Start, connect: Connect, tmp_path: Path
) -> None:
    import soundfile

    from bridge.wire.messages import DeliverPcm, Failed, Submit
    from bridge.wire.messages import Path as PathSource
    from bridge.wire.ulid import new_ulid
    from presets.schema import make

    live = start_engine("--root", str(tmp_path))
    peer = connect(live)
    source = tmp_path / "take.wav"
    noise = 0.1 * np.random.default_rng(5).standard_normal((48000 * 40, 2))
    soundfile.write(source, noise, 48000, subtype="FLOAT")
    job = new_ulid()
    params = make(model="draft", cutoff=4000)
    assert isinstance(peer.ask(Submit(job, PathSource(str(source)), DeliverPcm(), params)), Accepted)
    peer.until_progress(job)
    with source.open("r+b") as file:
        file.seek(1_000_000)
        file.write(bytes(4000))
    failed = peer.outcome(job)
    assert isinstance(failed, Failed)
    assert (failed.code, "changed while it was read" in failed.message) == ("input", True)
    assert not list((live.home.state / "spool" / "results").glob("*/*"))


@linux
def test_without_descriptors_it_answers_fails_one_job_and_recovers(
    start_engine: Start, connect: Connect, dull: Samples
) -> None:
    import resource

    live = start_engine()
    pid, peer, other = live.process.pid, connect(live), connect(live)
    whole = peer.submit(dull)
    assert isinstance(peer.outcome(whole), Done)
    taken = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(1024)) - taken), hard))
    try:
        error = peer.ask(Fetch(whole, "full", 0, 2**20))
        assert isinstance(error, Error)
        assert "open files" in error.message
        lost = new_ulid()
        peer.ask(Submit(lost, Pcm(Audio(48000, *dull.shape)), DeliverPcm(), make(model="null")))
        assert isinstance(peer.hear()[0], Grant)
        peer.say(Chunk(lost, 0, True, hashlib.blake2b(dull, digest_size=32).hexdigest()), dull.tobytes())
        for round_ in range(20):
            assert other.ask(Ping(float(round_))) == Pong(round_)
            time.sleep(0.05)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    failed = other.outcome(lost)
    assert isinstance(failed, Failed)
    assert "open files" in failed.message
    assert other.fetch(whole) == dull.tobytes()
    assert isinstance(other.outcome(other.submit(dull)), Done)
    assert live.log.read_text().count("Traceback") == 0


WITHOUT_STREAMS = "import os, sys; os.closerange(0, 3); from engine.__main__ import main; main(sys.argv[1:])"


@linux
def test_an_engine_without_standard_streams_opens_nothing_in_their_place_and_leaves_with_its_terminal(
    launch: Start, connect: Connect, dull: Samples, tmp_path: Path
) -> None:
    live = launch(tmp_path / "state", program=("-c", WITHOUT_STREAMS))
    try:
        peer = connect(live)
        assert isinstance(peer.outcome(peer.submit(dull)), Done)
        for pid in (live.process.pid, *live.workers):
            opened = {os.readlink(f"/proc/{pid}/fd/{descriptor}") for descriptor in range(3)}
            assert opened == {os.devnull}
        for _ in range(2):  # both the shell and the system send it
            live.process.send_signal(signal.SIGHUP)
        assert live.process.wait(60) == 0
        assert not live.home.connection.exists()
        assert not live.home.runtime.exists()
    finally:
        live.end()
