"""What pages learn about the engine and its jobs, and the actions they offer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.client.client import Client

Audio = NDArray[np.float32]


@pytest.fixture
def slow() -> Audio:
    """10 minutes, so that a job is still running when a test looks at it."""
    return (0.1 * np.random.default_rng(1).standard_normal((1, 600 * 16000))).astype("f4")


def test_a_page_is_told_of_the_engine_and_of_every_job_as_it_goes(console: Any, dull: Audio) -> None:
    with Client.connect(state=console.state, start=False) as client, console.events() as page:
        page.until(lambda: page.parts.get("engine", {}).get("state") == "here")
        engine = page.parts["engine"]
        assert "draft" in [model["name"] for model in engine["models"]]
        assert engine["pid"]
        assert sum(engine["memory_mb"].values()) > 10
        job = client.submit((dull, 48000), "music", model="null").id
        page.until(lambda: page.jobs.get(job, {}).get("state") == "done")
        assert page.jobs[job]["preset"] == "music"
        assert page.jobs[job]["source"] == "pcm"
        failed = client.submit((dull, 48000), "music", model="audiosr-basic").id
        page.until(lambda: page.jobs.get(failed, {}).get("state") == "failed")
        assert page.jobs[failed]["code"] == "model"
        assert console.ask("POST", "/api/jobs", {"what": "forget", "jobs": [job, failed]}).said == {
            "refused": {}
        }
        page.until(lambda: not {job, failed} & page.jobs.keys())


def test_jobs_are_cancelled_and_put_in_another_order(console: Any, slow: Audio, dull: Audio) -> None:
    with Client.connect(state=console.state, start=False) as client, console.events() as page:
        first = client.submit((slow, 16000), "music").id
        low, high = (client.submit((dull, 48000), "music", model="null").id for _ in range(2))
        page.until(
            lambda: page.jobs.get(first, {}).get("eta_s") is not None or "of" in page.jobs.get(first, {})
        )
        assert (
            console.ask("POST", "/api/jobs", {"what": "prioritise", "jobs": [high], "priority": 5}).status
            == 200
        )
        page.until(lambda: page.jobs.get(high, {}).get("priority") == 5)
        assert console.ask("POST", "/api/jobs", {"what": "prioritise", "jobs": [high], "priority": 10}).said[
            "refused"
        ]
        assert console.ask("POST", "/api/jobs", {"what": "cancel", "jobs": [first]}).said == {"refused": {}}
        page.until(lambda: page.jobs[first]["state"] == "cancelled")
        page.until(lambda: page.jobs[low]["state"] == page.jobs[high]["state"] == "done")
        refused = console.ask("POST", "/api/jobs", {"what": "prioritise", "jobs": [low, "0" * 26]}).said[
            "refused"
        ]
        assert "only unfinished jobs have a priority" in refused[low]
        assert "no job" in refused["0" * 26]


def test_two_pages_agree(console: Any, dull: Audio) -> None:
    with (
        console.events() as one,
        console.events() as other,
        Client.connect(state=console.state, start=False) as client,
    ):
        job = client.submit((dull, 48000), "music", model="null").id
        for page in (one, other):
            page.until(lambda page=page: page.jobs.get(job, {}).get("state") == "done")
        assert one.jobs == other.jobs


def test_an_engine_that_is_killed_is_missed_and_found_again(
    start_engine: Callable[..., Any], begin: Callable[[Path], Any], tmp_path: Path, slow: Audio
) -> None:
    engine = start_engine()
    console = begin(engine.home.state)
    with console.events() as page:
        page.until(lambda: page.parts.get("engine", {}).get("state") == "here")
        with Client.connect(state=console.state, start=False) as client:
            job = client.submit((slow[:, : 16000 * 30], 16000), "music").id
        page.until(lambda: job in page.jobs)
        engine.end()
        page.until(lambda: page.parts["engine"]["state"] == "gone")
        assert "no engine runs" in page.parts["engine"]["why"]
        answer = console.ask("POST", "/api/jobs", {"what": "cancel", "jobs": [job]})
        assert (answer.status, answer.said["code"]) == (503, "engine")
        start_engine()
        page.until(lambda: page.parts["engine"]["state"] == "here")
        page.until(lambda: page.jobs.get(job, {}).get("state") == "done")


def test_jobs_and_clips_outlive_a_console(
    start_engine: Callable[..., Any], begin: Callable[[Path], Any], tmp_path: Path, dull: Audio
) -> None:
    engine = start_engine()
    first = begin(engine.home.state)
    clip = first.ask("POST", "/api/clips?name=kick.wav", b"no audio").said
    first.end()
    assert first.process.returncode == 0
    second = begin(engine.home.state)
    assert second.token != first.token
    with second.events() as page:
        page.until(lambda: [each["id"] for each in page.parts.get("clips", [])] == [clip["id"]])
    answer = second.ask("GET", f"/api/clips/{clip['id']}/facts")
    assert answer.status == 422
    assert "kick.wav" in answer.said["message"]
