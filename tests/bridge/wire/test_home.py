from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from bridge.wire.curve_keys import new_keys, own_keys, read_allow_list
from bridge.wire.home import (
    Connection,
    Home,
    claim,
    find_home,
    ipc_endpoint,
    is_running,
    make_runtime,
    prepare,
    read_connection,
    read_holder,
    remove_connection,
    this_process,
    write_connection,
)
from bridge.wire.lock import FileLock, is_held
from bridge.wire.process_birth import process_birth
from presets.errors import EngineError, OutputError, UsageError

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = find_home(tmp_path / "state")
    prepare(home)
    return home


def connection(**changes: object) -> Connection:
    values = {"endpoint": "ipc:///x", "pid": os.getpid(), "started_s": 1.0, "engine": "0.1", "protocol": 1}
    return Connection(**{**values, **changes})  # type: ignore[arg-type]


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix
def test_folders_and_connection_file_are_the_users_alone(home: Home) -> None:
    write_connection(home, connection())
    make_runtime(home)
    assert mode_of(home.state) == mode_of(home.runtime) == mode_of(home.runtime.parent) == 0o700
    assert mode_of(home.connection) == 0o600
    assert [path.name for path in home.state.iterdir()] == ["engine.json"]


def test_what_is_written_is_read_again(home: Home) -> None:
    assert read_connection(home) is None
    over_tcp = connection(endpoint="tcp://127.0.0.1:5", server_key="k", client=new_keys())
    for content in (connection(), over_tcp):
        write_connection(home, content)
        assert read_connection(home) == content
    remove_connection(home)
    assert read_connection(home) is None
    write_connection(home, connection(pid=os.getppid()))
    remove_connection(home)
    assert read_connection(home) is not None, "another engine's"


def test_a_newer_engines_file_can_still_be_read(home: Home) -> None:
    write_connection(home, connection())
    text = home.connection.read_text().replace("{", '{"new_field":[1],', 1)
    home.connection.write_text(text)
    assert read_connection(home) == connection()


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o640, 0o604])
def test_a_connection_file_open_to_others_is_refused(home: Home, mode: int) -> None:
    write_connection(home, connection())
    home.connection.chmod(mode)
    with pytest.raises(EngineError, match=f"mode {mode:o}"):
        read_connection(home)


@posix
def test_a_connection_file_that_is_a_link_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    home.connection.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="cannot be read"):
        read_connection(home)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"endpoint": 5}', "\0"])
def test_a_broken_connection_file_is_one_clear_error(home: Home, text: str) -> None:
    write_connection(home, connection())
    home.connection.write_text(text)
    with pytest.raises(EngineError, match="remove it"):
        read_connection(home)


@posix
def test_a_folder_left_open_is_closed(tmp_path: Path) -> None:
    home = find_home(tmp_path / "state")
    home.runtime.mkdir(parents=True, mode=0o777)
    home.runtime.chmod(0o777)
    make_runtime(home)
    assert mode_of(home.runtime) == 0o700


@posix
def test_a_folder_of_other_things_is_not_closed(tmp_path: Path) -> None:
    (tmp_path / "kick.wav").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(EngineError, match="not Airband's"):
        prepare(find_home(tmp_path))
    assert mode_of(tmp_path) == 0o755
    (tmp_path / "engine.lock").touch()  # an engine's lock file that a backup restored
    prepare(find_home(tmp_path))
    assert mode_of(tmp_path) == 0o700


def test_a_state_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="--state"):
        prepare(find_home(tmp_path / "file" / "state"))
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(EngineError, match="--state"):
        prepare(find_home(tmp_path / "loop"))


@posix
def test_a_state_folder_that_may_only_be_read_is_one_clear_error(home: Home) -> None:
    prepare(home)
    try:
        subprocess.run(["mount", "--bind", home.state, home.state], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a read-only folder needs the right to mount one")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", home.state], check=True, capture_output=True)
        with pytest.raises(EngineError, match="may not be written"):
            prepare(home)
    finally:
        subprocess.run(["umount", home.state], check=True)


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", str)  # as if neither HOME nor the user were known
    with pytest.raises(EngineError, match="no home folder is known"):
        find_home()


def test_engines_on_different_state_folders_do_not_meet(tmp_path: Path) -> None:
    one, two = find_home(tmp_path / "one"), find_home(tmp_path / "two")
    assert len({one.connection, two.connection}) == len({one.lock, two.lock}) == 2
    assert ipc_endpoint(one) != ipc_endpoint(two)


@pytest.fixture
def short_folder() -> Iterator[str]:
    """A folder with a name short enough for a socket in it, unlike pytest's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield folder


@posix
def test_the_runtime_folder_is_named_after_the_state_folder(
    tmp_path: Path, short_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", short_folder)
    own = find_home()
    assert own.runtime.parent == Path(short_folder) / "airband"
    assert find_home(own.state) == own
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert find_home().runtime != own.runtime, "two homes with one runtime folder do not meet"
    for change in (lambda: monkeypatch.setenv("XDG_RUNTIME_DIR", "/missing"), monkeypatch.undo):
        change()
        assert find_home(own.state).connection == own.connection, "the state folder alone says where"
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert str(os.getuid()) in find_home().runtime.parent.name


@posix
@pytest.mark.parametrize("why", ["a file", "no UTF-8", "another user's", "a link in it"])
def test_a_runtime_folder_that_an_engine_cannot_use_is_passed_over(
    tmp_path: Path, short_folder: str, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    folder = os.path.join(short_folder, "\udce9" if why == "no UTF-8" else "run")
    if why == "a file":
        Path(folder).touch()
    else:
        os.mkdir(folder)
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    if why == "a link in it":
        os.symlink(tmp_path, os.path.join(folder, "airband"))
    if why == "another user's":  # `sudo -E` leaves it in the environment
        assert find_home(tmp_path).runtime.is_relative_to(folder)
        monkeypatch.setattr("os.getuid", lambda: os.stat(folder).st_uid + 1)
    assert not find_home(tmp_path).runtime.is_relative_to(folder)


@posix
def test_where_nothing_else_may_be_written_the_socket_lies_in_the_state_folder(
    short_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, access = ("/tmp", f"/tmp/airband-{os.getuid()}"), os.access
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in locked and access(path, mode))
    home = find_home(Path(short_folder) / "s")
    assert home.runtime.parent == home.state
    prepare(home)
    make_runtime(home)
    assert mode_of(home.runtime) == 0o700


@posix
def test_a_path_too_long_for_a_socket_gives_way_to_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("a" * 120)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    short = tempfile.mkdtemp()
    monkeypatch.setattr("tempfile.tempdir", short)
    home = find_home(tmp_path / "state")
    endpoint = ipc_endpoint(home)
    assert endpoint is not None
    make_runtime(home)
    assert ipc_endpoint(find_home(tmp_path / "other")) != endpoint
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind(endpoint)
    shutil.rmtree(short)
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert find_home(tmp_path / "state").runtime.parent == Path(f"/tmp/airband-{os.getuid()}")


def test_a_full_disk_is_told_with_its_folder_and_what_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(OutputError, match=r"1\.0 MB are free in .*state.*16\.8 MB"):
        prepare(find_home(tmp_path / "state"))


def test_a_process_is_known_by_its_birth(home: Home) -> None:
    write_connection(home, this_process("ipc:///x", 1))
    mine = read_connection(home)
    assert mine is not None
    assert mine.is_alive_here
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        reborn = msgspec.structs.replace(mine, pid=child.pid)
        assert not reborn.is_alive_here, "another process under that number"
    finally:
        child.communicate()
    assert process_birth(child.pid) == ""


def test_a_state_folder_has_one_engine(home: Home) -> None:
    assert not is_running(home)
    write_connection(home, connection(pid=4711))
    lock = claim(home)
    assert read_connection(home) is None, "what a killed engine left is gone"
    assert is_running(home)
    with pytest.raises(EngineError, match=str(os.getpid())):
        claim(home)
    holder = read_holder(home)
    assert holder is not None
    assert (holder.pid, holder.endpoint) == (os.getpid(), "")
    lock.release()
    assert not is_running(home)
    claim(home).release()


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import pathlib, sys, time; from bridge.wire.lock import FileLock; "
        "lock = FileLock(pathlib.Path(sys.argv[1])); assert lock.acquire(); print(flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_held(path)
        assert not FileLock(path).acquire(timeout_s=0.05)
    finally:
        holder.kill()
        holder.communicate()
    lock = FileLock(path)
    assert lock.acquire(timeout_s=5)
    lock.release()


def test_own_keys_are_made_once_and_kept_private(home: Home) -> None:
    first = own_keys(home.state)
    assert own_keys(home.state) == first
    assert zmq.curve_public(first.secret.encode()) == first.public.encode()
    if os.name == "posix":
        assert mode_of(home.state / "client.key") == 0o600
        (home.state / "client.key").chmod(0o644)
        with pytest.raises(EngineError, match="644"):
            own_keys(home.state)


def test_an_allow_list_holds_keys_names_and_comments(tmp_path: Path) -> None:
    one, two = new_keys().public, new_keys().public
    path = tmp_path / "allow"
    path.write_text(f"# who may connect\n\n{one} studio A\n  {two}\n")
    path.chmod(0o644)
    assert read_allow_list(path) == {one.encode(), two.encode()}


@pytest.mark.parametrize(
    ("text", "says"),
    [("not-a-key\n", "line 1"), ("# nobody\n", "no key"), ("~" * 40, "line 1"), ("é" * 40, "line 1")],
)
def test_a_bad_allow_list_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "allow"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(UsageError, match=says):
        read_allow_list(path)
    with pytest.raises(UsageError, match="no such"):
        read_allow_list(tmp_path / "missing")


@posix
def test_an_allow_list_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(UsageError, match="not a regular file"):
            read_allow_list(tmp_path / name)


@posix
def test_an_allow_list_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "allow"
    path.write_text(new_keys().public)
    path.chmod(0o666)
    with pytest.raises(UsageError, match="666"):
        read_allow_list(path)
