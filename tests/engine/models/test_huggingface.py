"""Downloads from the hub, tried on a local server that speaks its protocol."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from engine.models.huggingface import fetch
from presets.errors import ModelError

CONTENT = np.random.default_rng(0).bytes(300_000)
ETAG = hashlib.sha256(CONTENT).hexdigest()


class Hub(ThreadingHTTPServer):
    """Serves one file of one repository; the first answer breaks off after `break_at` bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.break_at: int | None = None
        self.ranges: list[str | None] = []

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(0)

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0  # type: ignore[index]
        if not self._answer(start):
            return
        body, limit = CONTENT[start:], self.server.break_at
        if limit is not None:
            self.server.break_at = None
            body = body[:limit]
            self.close_connection = True
        self.wfile.write(body)

    def _answer(self, start: int) -> bool:
        if self.path != "/haoheliu/audiosr_basic/resolve/main/pytorch_model.bin":
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{ETAG}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        return True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(told: list[str], filename: str = "pytorch_model.bin") -> Path:
    return fetch("haoheliu/audiosr_basic", filename, told.append)


def test_a_file_is_fetched_once_and_the_size_and_place_are_told(hub: Hub, tmp_path: Path) -> None:
    told: list[str] = []
    assert get(told).read_bytes() == CONTENT
    assert told == [f"haoheliu/audiosr_basic/pytorch_model.bin: 0.00 GB, into {tmp_path / 'cache'}"]
    assert get([]).read_bytes() == CONTENT
    assert hub.ranges == [None]


def test_a_download_that_broke_off_goes_on_where_it_was(hub: Hub) -> None:
    hub.break_at = 200_000
    for _ in range(3):
        try:
            path = get([])
            break
        except ModelError:
            continue
    assert path.read_bytes() == CONTENT
    assert hub.ranges[0] is None
    resumed = re.fullmatch(r"bytes=(\d+)-", hub.ranges[-1] or "")
    assert resumed is not None
    assert int(resumed[1]) > 0


def test_offline_uses_the_cache_and_asks_no_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        get([])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetched = get([])
    asked = len(hub.ranges)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert get([]) == fetched
    assert len(hub.ranges) == asked


def test_a_file_that_is_not_there_is_one_error(hub: Hub) -> None:
    with pytest.raises(ModelError, match=r"other\.bin"):
        get([], "other.bin")


def test_a_hub_that_does_not_answer_is_one_error(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="pytorch_model"):
        get([])
