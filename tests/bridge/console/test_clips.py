"""A clip: inspected, rendered, heard, downloaded, saved; with the requests that the page makes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

RATE = 48000


@pytest.fixture
def clip(console: Any, source: Path) -> Any:
    """The source, opened by its path; closed after the test."""
    opened = console.ask("POST", "/api/clips/path", {"path": str(source)}).said
    yield opened
    console.ask("DELETE", f"/api/clips/{opened['id']}")


def low_band(samples: NDArray[Any], edge_hz: float) -> NDArray[Any]:
    from scipy.signal import firwin, oaconvolve

    taps = firwin(4097, edge_hz, fs=RATE, window=("kaiser", 14.0))
    return oaconvolve(samples, taps[:, None], mode="same", axes=0)[4096:-4096]


def test_a_folder_is_no_clip(console: Any, source: Path) -> None:
    refused = console.ask("POST", "/api/clips/path", {"path": str(source.parent)})
    assert refused.status >= 400
    assert refused.said["message"].endswith("is a folder, not a file")


def test_its_shelf_is_seen_and_drawn(console: Any, clip: dict[str, Any]) -> None:
    facts = console.ask("GET", f"/api/clips/{clip['id']}/facts").said
    assert facts["cutoff_hz"] == pytest.approx(4000, rel=0.1)
    assert facts["seconds"] == 4.0
    assert dict(facts["facts"])["audio"].startswith("WAV FLOAT, 48000 Hz, 2 ch, 4.00 s")
    low, high = console.ask("GET", f"/api/clips/{clip['id']}/wave?start=0&end=4&columns=100").said
    assert len(low) == len(high) == 100
    assert -0.6 < min(low) < -0.1 < 0.1 < max(high) < 0.6
    fine = console.ask("GET", f"/api/clips/{clip['id']}/wave?start=1&end=1.01&columns=200").said
    assert len(fine[0]) == 200
    drawn = console.ask("GET", f"/api/clips/{clip['id']}/spectrogram?start=0&end=4&columns=120")
    assert drawn.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(drawn.body)).convert("L"), float)
    assert picture.shape == (480, 120)
    assert picture[-70:-10].mean() > 100  # up to 3.5 kHz
    assert picture[: 480 - 100].mean() < 30  # from 5 kHz on


@pytest.mark.parametrize(
    "asked", ["start=0&end=1", "start=2&end=1&columns=9", "start=nan&end=1&columns=9", ""]
)
def test_a_view_that_cannot_be_is_refused(console: Any, clip: dict[str, Any], asked: str) -> None:
    assert console.ask("GET", f"/api/clips/{clip['id']}/wave?{asked}").status == 400


def test_a_preview_is_heard_beside_its_source_on_one_time_line(console: Any, clip: dict[str, Any]) -> None:
    job = console.take(clip["id"], start_s=1.0, end_s=2.5, knobs={"seed": 3})
    said = console.ask("GET", f"/api/takes/{job}").said
    assert said["start_s"] == 1.0
    assert said["duration"] == pytest.approx(1.5)
    assert said["cutoff_hz"] == pytest.approx(4000, rel=0.1)
    assert dict(said["figures"])["seed"] == "3"
    before, after, added = (
        soundfile.read(io.BytesIO(console.ask("GET", version["sound"]).body))[0]
        for version in said["versions"]
    )
    assert len(before) == len(after) == len(added) == 1.5 * RATE
    np.testing.assert_allclose(before + added, after, atol=1e-5)
    assert np.abs(added).max() > 0.001
    opened = soundfile.read(clip["path"])[0][RATE : RATE * 5 // 2]
    ratio = np.abs(before).max() / np.abs(opened).max()
    np.testing.assert_allclose(before, ratio * opened, atol=1e-4)


def test_a_download_nulls_against_its_source_below_the_cutoff(
    console: Any, source: Path, clip: dict[str, Any]
) -> None:
    job = console.take(clip["id"])
    answer = console.ask("GET", f"/api/takes/{job}/download")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''kick-airband.wav"
    result, rate = soundfile.read(io.BytesIO(answer.body))
    given = soundfile.read(source)[0]
    assert (rate, result.shape) == (RATE, given.shape)
    null = low_band(result - given, 3300)
    assert 20 * np.log10(np.abs(null).max() / np.abs(given).max()) < -90
    assert np.abs(result - given).max() > 0.001


def test_an_upload_renders_as_its_file_does(console: Any, source: Path, clip: dict[str, Any]) -> None:
    sent = console.upload(source)
    jobs = console.take(sent["id"]), console.take(clip["id"])
    one, other = (console.ask("GET", f"/api/takes/{job}/download").body for job in jobs)
    assert soundfile.read(io.BytesIO(one))[0].tobytes() == soundfile.read(io.BytesIO(other))[0].tobytes()
    console.ask("DELETE", f"/api/clips/{sent['id']}")


def test_a_result_is_saved_beside_its_source_and_never_over_another(
    console: Any, source: Path, clip: dict[str, Any]
) -> None:
    told = console.ask("POST", f"/api/clips/{clip['id']}/foresee", {"preset": "music"}).said
    assert told["model"] in ("draft", "audiosr-mini")
    assert told["why"]
    assert told["beside"] == str(source.with_name("kick-airband.wav"))
    console.take(clip["id"], out=told["beside"])
    assert soundfile.info(told["beside"]).frames == soundfile.info(source).frames
    changed = {"preset": "music", "out": told["beside"], "knobs": {"seed": 4}}
    again = console.ask("POST", f"/api/clips/{clip['id']}/takes", changed).said["job"]
    with console.events() as page:
        page.until(lambda: page.jobs.get(again, {}).get("state") == "failed")
        assert page.jobs[again]["code"] == "output"
    elsewhere = console.ask(
        "POST", f"/api/clips/{clip['id']}/takes", {"preset": "music", "out": "/etc/kick.wav"}
    )
    assert elsewhere.status == 422


@pytest.mark.parametrize(
    "knobs", [{"cutoff": 50}, {"nonsense": 1}, {"seed": -1}, {"cutoff": "loud"}, {"model": "no-such-model"}]
)
def test_what_cannot_be_is_told_with_its_limit(
    console: Any, clip: dict[str, Any], knobs: dict[str, Any]
) -> None:
    answer = console.ask("POST", f"/api/clips/{clip['id']}/foresee", {"preset": "music", "knobs": knobs})
    assert (answer.status, answer.said["code"]) == (400, "usage")
    assert next(iter(knobs)) in answer.said["message"]


def test_a_take_that_is_dropped_is_gone_and_its_job_stays(console: Any, clip: dict[str, Any]) -> None:
    job = console.take(clip["id"], start_s=0.0, end_s=0.5)
    assert console.ask("DELETE", f"/api/takes/{job}").status == 200
    assert console.ask("GET", f"/api/takes/{job}").status == 400
    with console.events() as page:
        page.until(lambda: job in page.jobs)


def test_a_preset_is_kept_listed_and_never_replaced_unasked(console: Any) -> None:
    asked = {"name": "my-tape", "preset": "music", "knobs": {"cutoff": 12000, "gate_db": -60}}
    answer = console.ask("POST", "/api/presets", asked)
    assert "cutoff = 12000.0\ngate_db = -60.0\n" in Path(answer.said["path"]).read_text()
    [kept] = [preset for preset in answer.said["presets"] if preset["name"] == "my-tape"]
    assert kept["own"]
    assert kept["values"]["cutoff"] == 12000
    assert console.ask("POST", "/api/presets", asked).status == 409
    assert console.ask("POST", "/api/presets", asked | {"force": True}).status == 200
    assert console.ask("POST", "/api/presets", asked | {"name": "../x"}).status == 400
