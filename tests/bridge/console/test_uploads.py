"""Uploads: streamed, bounded, complete or discarded."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.console.clips.uploads import NAME_BYTES, safe_name

MB = 1_000_000


def kept(console: Any) -> list[Path]:
    walk = os.walk(console.state / "console" / "clips")  # which passes over a folder that goes meanwhile
    return [Path(folder) / name for folder, _, names in walk for name in names]


def resident_mb(console: Any) -> float:
    said = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(console.process.pid)], capture_output=True, text=True, check=True
    )
    return int(said.stdout) / 1024


def test_an_upload_is_kept_as_it_was_and_goes_when_its_clip_is_closed(console: Any, tmp_path: Path) -> None:
    before = kept(console)
    content = bytes(range(256)) * 20000
    (tmp_path / "take 1.wav").write_bytes(content)
    answer = console.ask("POST", "/api/clips?name=take%201.wav", content)
    clip = answer.said
    assert (clip["name"], clip["uploaded"]) == ("take 1.wav", True)
    assert Path(clip["path"]).read_bytes() == content
    assert (
        Path(clip["path"]).stat().st_mode & 0o077 == 0
        or Path(clip["path"]).parent.stat().st_mode & 0o077 == 0
    )
    assert console.ask("DELETE", f"/api/clips/{clip['id']}").status == 200
    assert kept(console) == before


def test_ten_gigabytes_are_refused_before_they_come(console: Any) -> None:
    before = kept(console)
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=120)
    connection.putrequest("POST", "/api/clips?name=huge.wav")
    for name, value in (console.headers | {"Content-Length": str(10_000 * MB)}).items():
        connection.putheader(name, value)
    connection.endheaders(b"\0" * 4096)
    answer = connection.getresponse()
    assert answer.status == 409
    assert b"no room for this file: uploads may hold 20 MB" in answer.read()
    connection.close()
    assert kept(console) == before


def test_a_page_can_ask_whether_there_is_room(console: Any) -> None:
    assert console.ask("POST", "/api/clips/room", {"nbytes": 5 * MB}).status == 200
    refused = console.ask("POST", "/api/clips/room", {"nbytes": 10_000 * MB})
    assert (refused.status, refused.said["code"]) == (409, "output")


def test_a_body_of_unknown_length_is_cut_off_at_the_quota(
    console: Any, wait_until: Callable[..., None]
) -> None:
    before, memory_mb = kept(console), resident_mb(console)
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=120)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 10_000 * MB:
            sent += MB
            yield b"\0" * MB

    try:
        connection.request(
            "POST", "/api/clips?name=endless.wav", endless(), console.headers, encode_chunked=True
        )
        assert connection.getresponse().status == 409
    except (BrokenPipeError, ConnectionResetError):  # the console stopped reading
        pass
    connection.close()
    assert sent < 200 * MB
    wait_until(lambda: kept(console) == before, "what came of the upload to go")
    assert resident_mb(console) - memory_mb < 60


def test_nothing_is_left_of_an_upload_that_breaks_off(console: Any, wait_until: Callable[..., None]) -> None:
    before = kept(console)
    with socket.create_connection(("127.0.0.1", console.port), timeout=60) as raw:
        head = "".join(f"{name}: {value}\r\n" for name, value in console.headers.items())
        raw.sendall(
            f"POST /api/clips?name=broken.wav HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\n{head}"
            f"Content-Length: {5 * MB}\r\n\r\n".encode()
            + b"\0" * MB
        )
        wait_until(lambda: any(".part" in path.name for path in kept(console)), "the upload to begin")
    wait_until(lambda: kept(console) == before, "what came of the upload to go")


def test_an_empty_upload_is_refused(console: Any) -> None:
    assert console.ask("POST", "/api/clips?name=empty.wav", b"").status == 422


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("kick.wav", "kick.wav"),
        ("../../etc/passwd", "passwd"),
        ("C:\\samples\\kick.wav", "kick.wav"),
        ("..", "upload"),
        ("", "upload"),
        (".hidden.wav", "hidden.wav"),
        ("a\0b\n.wav", "a_x00b_n.wav"),
        ("Gitarre für Élise.flac", "Gitarre für Élise.flac"),
        ("what?.wav", "what_.wav"),
    ],
)
def test_names_become_harmless(given: str, name: str) -> None:
    assert safe_name(given) == name


def test_long_names_keep_their_ending() -> None:
    name = safe_name("ü" * 400 + ".wav")
    assert name.endswith("ü.wav")
    assert NAME_BYTES - 1 <= len(name.encode()) <= NAME_BYTES
