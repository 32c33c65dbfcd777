"""Batches and watch folders started from a page, paused, resumed, and continued by the next console."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bridge import Client
from bridge.batch.plan import Item
from bridge.batch.run import Event
from bridge.console.batches.batch import Batch, BatchAsked, Kept
from bridge.console.command_line import batch_command
from bridge.console.engine_line import EngineLine
from bridge.console.http import encoded
from bridge.console.paths import Roots
from bridge.wire.home import find_home
from bridge.wire.ulid import new_ulid
from presets.errors import InputError, UsageError


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".yaml", ".YML"])
def test_all_that_the_command_takes_for_a_manifest_is_one_here(suffix: str, tmp_path: Path) -> None:
    manifest = tmp_path / f"jobs{suffix}"
    manifest.touch()
    assert Roots([tmp_path]).suggestions(f"{tmp_path}/jo") == [str(manifest)]
    command = batch_command(str(manifest), "out", "music", {}, recursive=False)
    assert command.startswith("airband render --manifest ")


def test_a_batch_that_breaks_on_what_nobody_foresaw_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wait_until: Any
) -> None:
    class Broken(EngineLine):
        def client(self, *, local: bool = True) -> Client:
            raise RuntimeError("out of threads")

    asked = BatchAsked("render", str(tmp_path), str(tmp_path / "out"))
    broken = Batch(Kept(new_ulid(), asked, "paused"), Broken(find_home(tmp_path / "state")), lambda: None)
    broken.start()
    wait_until(lambda: broken.state == "failed", "the end of the batch")
    assert broken.told()["why"] == "RuntimeError: out of threads"
    assert "a batch failed" in caplog.text


def test_a_batch_tells_how_it_stands_while_items_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.console.batches.batch.EVENTS_MAX", 5000)
    asked = BatchAsked("render", str(tmp_path), str(tmp_path / "out"))
    batch = Batch(Kept(new_ulid(), asked, "paused"), EngineLine(find_home(tmp_path)), lambda: None)
    ends = [Event(Item(Path(f"{n}.wav"), Path(f"out/{n}.wav")), "done") for n in range(5000)]

    def keep() -> None:
        for event in ends:
            batch._keep(event)

    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        keeping = threading.Thread(target=keep)
        keeping.start()
        while keeping.is_alive():
            batch.told()
        keeping.join()
    finally:
        sys.setswitchinterval(before_s)
    assert batch.told()["counts"]["done"] == 5000


def test_a_batch_that_two_pages_go_on_with_runs_once(tmp_path: Path, wait_until: Any) -> None:
    asked_for: list[int] = []
    over = threading.Event()

    class Slow(EngineLine):
        def client(self, *, local: bool = True) -> Client:
            asked_for.append(threading.get_ident())
            over.wait(10)
            raise InputError("enough")

    asked = BatchAsked("render", str(tmp_path), str(tmp_path / "out"))
    batch = Batch(Kept(new_ulid(), asked, "paused"), Slow(find_home(tmp_path / "state")), lambda: None)
    pages = [threading.Thread(target=batch.start) for _ in range(4)]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    over.set()
    wait_until(lambda: batch.state == "failed", "the end of the batch")
    assert len(asked_for) == 1


def test_a_page_is_told_of_files_whose_names_are_no_text(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.wav")
    asked = BatchAsked("render", str(tmp_path), str(tmp_path / "out"))
    batch = Batch(Kept(new_ulid(), asked, "paused"), EngineLine(find_home(tmp_path)), lambda: None)
    batch._keep(Event(Item(Path(odd), Path("out") / odd), "failed", error=InputError(f"{odd}: no sound")))
    told = json.loads(encoded({"batches": [batch.told()]}))
    assert told["batches"][0]["failures"] == [{"source": "caf\\xe9.wav", "why": "caf\\xe9.wav: no sound"}]


def test_a_path_that_no_page_and_no_record_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.wav").symlink_to(os.fsdecode(b"caf\xe9.wav"))
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.wav")).touch()
    except OSError:
        pytest.skip("names are UTF-8 on this file system")
    roots = Roots([tmp_path.resolve()])
    with pytest.raises(UsageError, match="not UTF-8"):
        roots.allowed(str(tmp_path / "plain.wav"))
    assert roots.suggestions(f"{tmp_path}/") == [str(tmp_path / "plain.wav")]


@pytest.fixture
def clips(tmp_path: Path, dull: NDArray[np.float32]) -> Path:
    """Two clips, and a file that is not one."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, name in enumerate(("kick.wav", "snare.wav")):
        soundfile.write(folder / name, dull[:, 10000 * number : 40000 + 10000 * number].T, 48000, "PCM_24")
    (folder / "broken.wav").write_bytes(b"no audio")
    return folder


def batch(page: Any, id: str) -> dict[str, Any]:
    found: dict[str, Any] = next((each for each in page.parts.get("batches", []) if each["id"] == id), {})
    return found


def remove(console: Any, id: str) -> None:
    assert console.ask("POST", f"/api/batches/{id}", {"what": "remove"}).status == 200


def test_a_manifest_is_rendered_counted_and_reported(console: Any, clips: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "jobs.csv"
    manifest.write_text("path,seed,takes\nclips/kick.wav,1,2\nclips/snare.wav,2,\nclips/broken.wav,3,\n")
    out = tmp_path / "out"
    asked = {"kind": "render", "source": str(manifest), "out": str(out), "knobs": {"high_gain_db": -3}}
    told = console.ask("POST", "/api/batches", asked).said
    assert told["command"] == f"airband render --manifest {manifest} -o {out} -p music --high-gain-db=-3"
    with console.events() as page:
        page.until(lambda: batch(page, told["id"]).get("state") == "done")
        ended = batch(page, told["id"])
        assert (ended["total"], ended["counts"]) == (4, {"done": 3, "skipped": 0, "failed": 1})
        assert [each.partition(":")[0] for each in ended["takes"]] in (["kick-take1.wav"], ["kick-take2.wav"])
        assert "broken.wav" in ended["failures"][0]["why"]
    assert {path.stem for path in out.glob("*.wav")} == {"kick-take1", "kick-take2", "snare"}
    report = console.ask("GET", f"/batches/{told['id']}/report")
    assert report.status == 200
    assert b"3 rendered, 0 done already, 1 failed; 3 to hear below" in report.body
    assert report.body.count(b", the best: ") >= 1
    assert b"<script>" not in report.body
    assert b"<style" not in report.body
    for name in ("player.js", "report-page.js", "report-page.css"):
        assert name.encode() in report.body
        assert console.ask("GET", f"/static/{name}").status == 200
    remove(console, told["id"])


def test_a_folder_is_watched_paused_and_gone_on_with(console: Any, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (clips / "broken.wav").unlink()
    (clips / "snare.wav").rename(tmp_path / "snare.wav")
    told = console.ask("POST", "/api/batches", {"kind": "watch", "source": str(clips), "out": str(out)}).said
    with console.events() as page:
        page.until(lambda: batch(page, told["id"]).get("counts", {}).get("done") == 1)
        assert console.ask("POST", f"/api/batches/{told['id']}", {"what": "pause"}).status == 200
        page.until(lambda: batch(page, told["id"])["state"] == "paused")
        (tmp_path / "snare.wav").rename(clips / "snare.wav")
        assert console.ask("POST", f"/api/batches/{told['id']}", {"what": "resume"}).status == 200
        page.until(lambda: (out / "snare.wav").exists() and batch(page, told["id"])["state"] == "running")
        remove(console, told["id"])
        page.until(lambda: not batch(page, told["id"]))


def test_what_could_never_run_is_refused_at_once(console: Any, clips: Path, tmp_path: Path) -> None:
    for asked in (
        {"kind": "watch", "source": str(clips), "out": str(clips)},
        {"kind": "watch", "source": str(tmp_path / "none"), "out": str(tmp_path / "out")},
        {"kind": "watch", "source": "/etc", "out": str(tmp_path / "out")},
        {"kind": "render", "source": str(clips), "out": "/etc/out"},
        {"kind": "render", "source": str(clips), "out": str(tmp_path / "out"), "preset": "none"},
        {
            "kind": "render",
            "source": str(clips / "kick.wav"),
            "out": str(tmp_path / "out"),
            "knobs": {"seed": -1},
        },
    ):
        assert console.ask("POST", "/api/batches", asked).status in (400, 422), asked
    with console.events() as page:
        page.until(lambda: "batches" in page.parts)
        assert page.parts["batches"] == []


def test_the_next_console_takes_up_a_watch(
    start_engine: Callable[..., Any], begin: Callable[[Path], Any], clips: Path, tmp_path: Path
) -> None:
    state = start_engine().home.state
    first = begin(state)
    out = tmp_path / "out"
    asked = {"kind": "watch", "source": str(clips), "out": str(out), "knobs": {"model": "null"}}
    told = first.ask("POST", "/api/batches", asked).said
    with first.events() as page:
        page.until(lambda: batch(page, told["id"]).get("counts", {}).get("done") == 2)
    first.end()
    (clips / "kick.wav").rename(clips / "late.wav")
    second = begin(state)
    with second.events() as page:
        page.until(lambda: batch(page, told["id"]).get("state") == "running" and (out / "late.wav").exists())
