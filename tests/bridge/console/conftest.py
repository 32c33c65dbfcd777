"""A console as `airband console` starts it, on an engine of its own, and clients of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

pytest.importorskip("starlette", reason="the console needs starlette")
pytest.importorskip("uvicorn", reason="the console needs uvicorn")

REPOSITORY = Path(__file__).parents[3]
PATIENCE_S = 120.0
QUOTA_BYTES = 20_000_000


@pytest.fixture
def source(tmp_path: Path, dull: NDArray[np.float32]) -> Path:
    """4 s of noise that ends at 4 kHz."""
    path = tmp_path / "kick.wav"
    soundfile.write(path, np.tile(dull, 2).T, 48000, "FLOAT")
    return path


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


class Events:
    """The event stream of one page, and the state that the page has from it."""

    def __init__(self, stream: http.client.HTTPResponse) -> None:
        self._stream = stream
        self.jobs: dict[str, dict[str, Any]] = {}
        self.parts: dict[str, Any] = {}

    def until(self, condition: Callable[[], bool]) -> None:
        """Reads events until the condition holds; fails the test if none arrives for long."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, (self.jobs, self.parts)
            line = self._stream.readline()
            assert line, "the stream ended"
            if line.startswith(b"data: "):
                self._take(json.loads(line[6:]))

    def _take(self, message: dict[str, Any]) -> None:
        if message.pop("all", False):
            self.jobs.clear()
        self.jobs |= {job["job"]: job for job in message.pop("jobs", [])}
        for job in message.pop("gone", []):
            del self.jobs[job]
        self.parts |= message


@dataclass
class LiveConsole:
    """A console process."""

    process: subprocess.Popen[str]
    url: str
    state: Path
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.token = parse_qs(urlsplit(self.url).query)["token"][0]
        self.port = urlsplit(self.url).port or 0
        self.origin = f"http://127.0.0.1:{self.port}"
        self.headers = {"Authorization": f"Bearer {self.token}", "Origin": self.origin}

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Sends a request, with the token and this page's origin unless `headers` are given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            connection.request(method, path, content, self.headers if headers is None else headers)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def upload(self, path: Path) -> dict[str, Any]:
        """Uploads a file; returns the clip."""
        answer = self.ask("POST", f"/api/clips?name={path.name}", path.read_bytes())
        assert answer.status == 200, answer.body
        clip: dict[str, Any] = answer.said
        return clip

    @contextmanager
    def events(self) -> Iterator[Events]:
        """The events that a page receives."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", "/api/events", headers=self.headers)
        try:
            yield Events(connection.getresponse())
        finally:
            connection.close()

    def take(self, clip: str, **asked: Any) -> str:
        """Renders a clip; returns the job once it is done."""
        answer = self.ask("POST", f"/api/clips/{clip}/takes", {"preset": "music", **asked})
        assert answer.status == 200, answer.body
        job: str = answer.said["job"]
        with self.events() as page:
            page.until(lambda: page.jobs.get(job, {}).get("state") == "done")
        return job

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


def start_console(state: Path) -> LiveConsole:
    """Starts `airband console` on a state folder."""
    command = [
        sys.executable,
        "-c",
        "from bridge.cli.app import main; main()",
        "console",
        "--no-open",
        "--json",
    ]
    process = subprocess.Popen(
        [*command, "--state", str(state), "--quota", str(QUOTA_BYTES / 1e9)],
        cwd=REPOSITORY,
        env=os.environ | {"AIRBAND_CONFIG": str(state.parent / "config")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the console ended before it could be reached"
    return LiveConsole(process, json.loads(line)["url"], state)


@pytest.fixture(scope="session")
def console(launch: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveConsole]:
    """One console for all tests that only use it; its engine may open paths below the tests' own folders."""
    folder = tmp_path_factory.getbasetemp()
    state = tmp_path_factory.mktemp("console") / "state"
    engine = launch(state, "--root", str(folder))
    live = start_console(state)
    yield live
    live.end()
    engine.end()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[Path], LiveConsole]]:
    """`begin(state)`: consoles that end with the test."""
    running: list[LiveConsole] = []

    def start(state: Path) -> LiveConsole:
        running.append(start_console(state))
        return running[-1]

    yield start
    for live in running:
        live.end()
