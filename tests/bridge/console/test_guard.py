"""Who gets in; strangers learn nothing."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

SILENT_MAX = pytest.importorskip("bridge.console.silent_connections").SILENT_MAX

REFUSED = b"forbidden\n"


def is_refused(answer: Any) -> bool:
    """Whether it is a 403 without any information, even about the server."""
    facts = {"server", "set-cookie", "location"} & set(answer.headers)
    return answer.status == 403 and answer.body == REFUSED and not facts


@pytest.mark.parametrize(
    "path", ["/", "/static/main.js", "/api/events", "/api/paths?of=/", "/nothing", "/?token="]
)
def test_without_a_token_there_are_no_facts(console: Any, path: str) -> None:
    assert is_refused(console.ask("GET", path, headers={}))
    assert is_refused(console.ask("GET", path, headers={"Authorization": "Bearer wrong"}))
    assert is_refused(console.ask("GET", path, headers={"Cookie": f"airband-console-{console.port}=wrong"}))


def test_the_printed_address_lets_a_browser_in_and_takes_the_token_out_of_sight(console: Any) -> None:
    entry = console.ask("GET", f"/?token={console.token}", headers={})
    assert (entry.status, entry.headers["location"]) == (303, "/")
    cookie, *rules = entry.headers["set-cookie"].lower().split("; ")
    assert {"httponly", "samesite=strict", "path=/"} <= set(rules)
    page = console.ask("GET", "/", headers={"Cookie": entry.headers["set-cookie"].split(";")[0]})
    assert page.status == 200
    assert b"<title>Airband" in page.body
    assert cookie.startswith(f"airband-console-{console.port}=")


def test_no_script_of_anybody_else_runs_in_the_page(console: Any) -> None:
    page = console.ask("GET", "/")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert b"<script>" not in page.body
    assert b" style=" not in page.body
    assert b" on" + b"click=" not in page.body
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}"]
)
def test_a_foreign_name_for_this_host_is_refused(console: Any, host: str) -> None:
    assert is_refused(
        console.ask("GET", "/", headers=console.headers | {"Host": host.format(port=console.port)})
    )


def test_two_hosts_in_one_request_are_refused(console: Any) -> None:
    with socket.create_connection(("127.0.0.1", console.port), timeout=60) as raw:
        raw.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nHost: evil.example\r\n"
            f"Authorization: Bearer {console.token}\r\nConnection: close\r\n\r\n".encode()
        )
        assert raw.recv(64).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_origin_is_refused(console: Any, method: str, origin: str) -> None:
    headers = console.headers | {"Origin": origin.format(port=console.port)}
    assert is_refused(console.ask(method, "/api/engine/start", b"" if method == "POST" else None, headers))


def test_a_change_with_the_cookie_must_say_where_it_comes_from(console: Any) -> None:
    cookie = {"Cookie": f"airband-console-{console.port}={console.token}"}
    assert is_refused(console.ask("POST", "/api/engine/start", b"", cookie))
    assert console.ask("POST", "/api/engine/start", b"", cookie | {"Origin": console.origin}).status == 200
    assert console.ask("GET", "/", headers=cookie).status == 200


def test_a_script_needs_its_bearer_alone(console: Any) -> None:
    bearer = {"Authorization": f"Bearer {console.token}"}
    assert console.ask("POST", "/api/engine/start", b"", bearer).status == 200
    assert console.ask("GET", "/api/knobs", headers=bearer).status == 200
    for foreign in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert is_refused(console.ask("POST", "/api/engine/start", b"", bearer | foreign))


def test_a_page_on_another_port_cannot_include_the_console(console: Any) -> None:
    assert is_refused(
        console.ask("GET", "/static/main.js", headers=console.headers | {"Sec-Fetch-Site": "same-site"})
    )


def test_it_listens_on_loopback_alone(console: Any) -> None:
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, console.port), timeout=5):
            pass
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", console.port), timeout=5):
        pass


@pytest.mark.parametrize(
    "name", ["../guard.py", "..%2fguard.py", "%2e%2e/guard.py", "/etc/passwd", "main.js%00"]
)
def test_no_name_of_a_file_leads_out_of_the_page(console: Any, name: str) -> None:
    assert console.ask("GET", f"/static/{name}").status in (404, 405)


def test_paths_lead_below_the_engines_roots_only(console: Any, tmp_path: Path) -> None:
    outside = "/etc/passwd"
    link = tmp_path / "link.wav"
    os.symlink(outside, link)
    for path in (outside, str(link), f"{tmp_path}/../../../../../../../../etc/passwd", "etc/passwd", "\0"):
        answer = console.ask("POST", "/api/clips/path", {"path": path})
        assert answer.status in (400, 422), path
        assert b"root:" not in answer.body
    told = console.ask("POST", "/api/clips/path", {"path": "/etc/no-such-file"}).said["message"]
    assert (
        told.replace("no-such-file", "passwd")
        == console.ask("POST", "/api/clips/path", {"path": outside}).said["message"]
    )
    assert console.ask("GET", "/api/paths?of=/etc/").said == []
    soundfile.write(tmp_path / "kick.wav", np.zeros(100), 48000)
    assert console.ask("GET", f"/api/paths?of={tmp_path}/k").said == [f"{tmp_path}/kick.wav"]
    opened = console.ask("POST", "/api/clips/path", {"path": f"{tmp_path}/kick.wav"})
    assert opened.said["name"] == "kick.wav"
    assert console.ask("DELETE", f"/api/clips/{opened.said['id']}").status == 200
    assert (tmp_path / "kick.wav").exists()


@pytest.mark.parametrize("clip", ["..", "%2e%2e%2f%2e%2e", "0" * 26, "x"])
def test_no_name_of_a_clip_leads_out_of_their_folder(console: Any, clip: str) -> None:
    assert console.ask("DELETE", f"/api/clips/{clip}").status in (400, 404, 405)
    assert (console.state / "console" / "clips").is_dir()


def test_nothing_nested_deeper_than_it_is_read_ends_in_more_than_a_refusal(console: Any) -> None:
    nested = b"[" * 100_000 + b"]" * 100_000
    body = b'{"name": "x", "preset": "music", "knobs": {"seed": ' + nested + b"}}"
    assert console.ask("POST", "/api/presets", body).status == 400


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors by /proc")
def test_connections_that_say_nothing_are_few_and_do_not_stay(
    console: Any, wait_until: Callable[[Callable[[], bool], str], None]
) -> None:
    descriptors = f"/proc/{console.process.pid}/fd"
    before = len(os.listdir(descriptors))
    with ExitStack() as stack, console.events() as page:
        page.until(lambda: "engine" in page.parts)
        for _ in range(4 * SILENT_MAX):
            stack.enter_context(socket.create_connection(("127.0.0.1", console.port), timeout=60))
        trickle = stack.enter_context(socket.create_connection(("127.0.0.1", console.port), timeout=60))
        wait_until(lambda: len(os.listdir(descriptors)) < before + 2 * SILENT_MAX, "most to be shut")

        def is_answered() -> bool:
            with suppress(OSError):
                trickle.sendall(b"G")
            with suppress(OSError, http.client.HTTPException):
                return bool(console.ask("GET", "/api/knobs").status == 200)
            return False

        wait_until(is_answered, "those that say nothing to be shut")
        with suppress(ConnectionResetError):
            assert trickle.recv(1) == b""


def test_a_second_console_on_the_folder_gets_one_clear_error(console: Any) -> None:
    command = [sys.executable, "-c", "from bridge.cli.app import main; main()", "console", "--no-open"]
    said = subprocess.run(
        [*command, "--state", str(console.state)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (said.returncode, "a console runs on" in said.stderr) == (5, True), said.stderr
