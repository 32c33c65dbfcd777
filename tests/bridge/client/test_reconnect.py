"""A client and an engine that appears, disappears, is late, was replaced, or is far away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import zmq
from numpy.typing import NDArray

from bridge import Client
from bridge.client.link import Link
from bridge.client.replies import LinkLost, answers
from bridge.wire.curve_keys import new_keys, own_keys
from bridge.wire.home import Connection, claim, find_home, prepare, write_connection
from bridge.wire.messages import (
    VERSION,
    Accepted,
    Audio,
    Chunk,
    DeliverPcm,
    Done,
    Grant,
    Hello,
    Pcm,
    Submit,
    Welcome,
)
from bridge.wire.transfer import ArrayBytes, Sender
from bridge.wire.ulid import new_ulid
from presets.errors import BusyError, EngineError, UsageError, VersionError
from presets.schema import make

if TYPE_CHECKING:
    from tests.conftest import LiveEngine

Samples = NDArray[np.float32]
Start = Callable[..., "LiveEngine"]


@contextmanager
def linked(endpoint: str) -> Iterator[Link]:
    link = Link(endpoint)
    try:
        yield link
    finally:
        link.close()


def greet(link: Link) -> None:
    link.request(Hello(VERSION, "test"), lambda message: isinstance(message, Welcome), 30)


def test_no_engine_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="airband serve") as caught:
        Client.connect(state=tmp_path, start=False)
    assert "left over" not in caught.value.message


def test_a_stale_connection_file_is_one_clear_error(tmp_path: Path) -> None:
    home = find_home(tmp_path)
    prepare(home)
    write_connection(home, Connection("ipc:///nowhere", 2**22 + 1, 1.0, "0.1", VERSION))
    with pytest.raises(EngineError, match="left over"):
        Client.connect(state=tmp_path, start=False)


def test_an_engine_of_another_version_is_one_clear_error(tmp_path: Path) -> None:
    home = find_home(tmp_path)
    prepare(home)
    lock = claim(home)
    write_connection(home, Connection("ipc:///nowhere", os.getpid(), 1.0, "9.9.9", 99))
    try:
        for start in (False, True):
            with pytest.raises(VersionError, match=r"9\.9\.9.*99.*airband stop"):
                Client.connect(state=tmp_path, start=start)
    finally:
        lock.release()


def test_an_engine_refuses_a_client_of_another_version(engine: LiveEngine) -> None:
    with linked(engine.connection.endpoint) as link, pytest.raises(VersionError, match="99"):
        link.request(Hello(99, "future"), lambda message: True, 30)


def test_an_endpoint_where_nothing_listens_is_one_clear_error(tmp_path: Path) -> None:
    for endpoint in (f"ipc://{tmp_path}/nothing", f"ipc://{tmp_path}/no/such/folder"):
        with pytest.raises(EngineError, match="nothing"):
            Client.connect(endpoint, start=False, state=tmp_path)


@pytest.mark.parametrize("endpoint", ["http://localhost", "tcp://nonsense", "ipc://" + "x" * 200, ""])
def test_an_endpoint_that_is_none_is_one_clear_error(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises((UsageError, EngineError)):
        Client.connect(endpoint, server_key=new_keys().public, start=False, state=tmp_path)


def test_an_engine_over_tcp_is_not_reached_without_its_key(tmp_path: Path) -> None:
    told = (
        "server_key of the engine at tcp://127.0.0.1:5631: '' is not a CURVE key .* `airband keys list` shows"
    )
    with pytest.raises(UsageError, match=told) as caught:
        Client.connect("tcp://127.0.0.1:5631", state=tmp_path)
    assert caught.value.field == "server_key"


def test_an_engine_that_does_not_answer_is_one_clear_error(tmp_path: Path) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as mute:
        mute.bind(f"ipc://{tmp_path}/mute")
        with pytest.raises(EngineError, match=r"did not answer within 0\.3 s"):
            Client.connect(f"ipc://{tmp_path}/mute", start=False, state=tmp_path, timeout_s=0.3)


def test_a_peer_that_talks_nonsense_is_one_clear_error(tmp_path: Path) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as peer:
        peer.bind(f"ipc://{tmp_path}/peer")

        def babble() -> None:
            route = peer.recv_multipart()[0]
            peer.send_multipart([route, b"\xc1 nonsense"])

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(EngineError, match="protocol 1"):
            Client.connect(f"ipc://{tmp_path}/peer", start=False, state=tmp_path)
        thread.join()


def test_a_job_outlives_the_engine_and_its_client_sees_it_end(start_engine: Start, dull: Samples) -> None:
    first = start_engine()
    with Client.connect(state=first.home.state, start=False) as client:
        clip = np.tile(dull, 30)
        job = client.submit((clip, 48000), model="null")
        found: list[NDArray[np.float32]] = []
        waiting = threading.Thread(target=lambda: found.append(job.wait(120).audio))
        waiting.start()
        first.end()
        start_engine()
        waiting.join()
        assert np.array_equal(found[0], clip)
        assert client.submit((dull, 48000), model="null").wait(60).rate == 48000


def test_an_engine_that_does_not_come_back_is_one_clear_error(start_engine: Start, dull: Samples) -> None:
    engine = start_engine()
    with linked(engine.connection.endpoint) as link:
        greet(link)
        with Client.connect(state=engine.home.state, start=False, timeout_s=1.0) as client:
            job = client.submit((np.tile(dull, 30), 48000), model="draft")
            with link.open(job.id, Done) as replies:
                engine.end()
                with pytest.raises(LinkLost, match="went away"):
                    replies.get(time.monotonic() + 30)
            assert not link.up
            with pytest.raises(LinkLost):
                link.send(Hello(VERSION, "late"))
            with pytest.raises(EngineError, match="airband serve"):
                job.wait()


def test_an_upload_goes_on_where_it_stood_and_a_client_with_the_next_engine(
    start_engine: Start, dull: Samples
) -> None:
    clip = np.tile(dull, 8)
    name = new_ulid()
    submit = Submit(name, Pcm(Audio(48000, *clip.shape)), DeliverPcm(), make(model="null"))
    stood = Accepted(name, "uploading", offset=3 * 2**20)
    first = start_engine()
    with Client.connect(state=first.home.state, start=False) as client:
        with linked(first.connection.endpoint) as link:
            greet(link)
            with link.open(name, Grant) as replies:
                link.request(submit, answers(name, Accepted), 30)
                sender = Sender(ArrayBytes(clip))
                while not isinstance(grant := replies.get(time.monotonic() + 30)[0], Grant):
                    pass
                sender.grant(grant.offset, grant.bytes)
                for _ in range(3):
                    piece = sender.next()
                    assert piece is not None
                    link.send(Chunk(name, piece.offset), piece.buffer)
                assert link.request(submit, answers(name, Accepted), 30) == stood
        first.process.send_signal(signal.SIGTERM)
        first.process.wait()
        second = start_engine()
        with linked(second.connection.endpoint) as link:
            greet(link)
            assert link.request(submit, answers(name, Accepted), 30) == stood
        job = client.submit((clip, 48000), model="null", job=name)
        assert np.array_equal(job.wait(60).audio, clip)


def test_over_tcp_only_keys_on_the_list_get_in_and_files_travel(
    start_engine: Start, dull: Samples, tmp_path: Path
) -> None:
    friend, stranger = tmp_path / "friend", tmp_path / "stranger"
    allow = tmp_path / "allow"
    allow.write_text(f"{own_keys(find_home(friend).state).public} a friend\n")
    allow.chmod(0o600)
    soundfile.write(tmp_path / "dull.wav", dull.T, 48000, subtype="FLOAT")
    connection = start_engine("--endpoint", "tcp://127.0.0.1:*", "--allow", str(allow)).connection
    assert connection.endpoint.startswith("tcp://")
    with Client.connect(connection.endpoint, state=friend, server_key=connection.server_key) as client:
        assert not client.local
        assert np.array_equal(client.submit((dull, 48000), model="null").wait(60).audio, dull)
        with pytest.raises(UsageError, match="file"):
            client.submit((dull, 48000), deliver="path", out=tmp_path / "x.wav")
        result = client.submit(tmp_path / "dull.wav", model="null", deliver="file").wait(60)
        assert np.array_equal(result.audio, dull)
        result.save(tmp_path / "bright.wav")
        assert np.array_equal(soundfile.read(tmp_path / "bright.wav", dtype="float32")[0].T, dull)
    with pytest.raises(EngineError, match="allow-list"):
        Client.connect(connection.endpoint, state=stranger, server_key=connection.server_key, start=False)
    wrong = new_keys().public
    with pytest.raises(EngineError):
        Client.connect(connection.endpoint, state=friend, server_key=wrong, start=False, timeout_s=1.0)
    with pytest.raises(UsageError, match="key"):
        Client.connect(connection.endpoint, state=friend, start=False)


def test_an_engine_without_room_is_asked_again_until_it_has_some(start_engine: Start, dull: Samples) -> None:
    clip = np.tile(dull, 2)
    # A job needs a source, a result and a stem; two stems that were not fetched leave no room for a third.
    home = start_engine("--quota", str(4.2 * clip.nbytes / 1e9)).home
    with Client.connect(state=home.state, start=False) as client:
        first = client.submit((clip, 48000), model="null")
        first.wait(60)
        second = client.submit((clip, 48000), model="null")
        second.wait(60)
        with (
            Client.connect(state=home.state, start=False, timeout_s=0.5) as hasty,
            pytest.raises(BusyError, match="forget") as caught,
        ):
            hasty.submit((clip, 48000), model="null")
        assert caught.value.retry_s > 0
        threading.Timer(0.5, first.forget).start()
        assert np.array_equal(client.submit((clip, 48000), model="null").wait(60).audio, clip)


def script(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_program_that_forgets_to_close_ends_all_the_same(engine: LiveEngine) -> None:
    code = (
        "import sys; from bridge import Client; c = Client.connect(state=sys.argv[1]); print(c.ping() < 10)"
    )
    done = script(code, str(engine.home.state))
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_client_that_is_dropped_takes_its_thread_along(engine: LiveEngine) -> None:
    before = threading.active_count()
    client = Client.connect(state=engine.home.state, start=False)
    assert threading.active_count() == before + 1
    del client
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_is_told_to_make_its_own(engine: LiveEngine) -> None:
    code = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from bridge import Client
from presets.errors import EngineError
client = Client.connect(state=sys.argv[1])
child = os.fork()
if child == 0:
    try:
        client.ping()
    except EngineError as error:
        client.close()
        with Client.connect(state=sys.argv[1]) as own:
            own.ping()
        os._exit(42 if "fork" in error.message else 1)
    os._exit(2)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), client.ping() < 10)
"""
    done = script(code, str(engine.home.state))
    assert (done.returncode, done.stdout, done.stderr) == (0, "42 True\n", "")


def test_a_thin_client_loads_nothing_heavy() -> None:
    code = """
import sys, bridge
bridge.Client, bridge.Job, bridge.Result, bridge.Progress
heavy = {"torch", "scipy.signal", "librosa", "pedalboard", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
assert set(bridge.__all__) <= set(dir(bridge))
"""
    done = script(code)
    assert (done.returncode, done.stderr) == (0, "")
