"""Readers of messages, presets, manifests, audio and weights: whatever the bytes, the worst is an
AirbandError.

Each input is a valid one, or one of `corpus`, damaged in up to six places. Those of `corpus` come first,
undamaged; their names say what is wrong with them. AIRBAND_FUZZ=60 tries new ones for a minute per reader;
without it the same few are tried, in about a second for each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.batch.manifest import rows
from bridge.wire.frames import decode
from bridge.wire.messages import VERSION, Chunk, DeliverFile, Fetch, File, Hello, Submit
from engine.models.trained_file import read_model
from presets import path_of
from presets.errors import AirbandError
from presets.schema import Preset, from_toml, make
from render.clip import open_clip
from render.files.carried import metadata

FUZZ_S = float(os.environ.get("AIRBAND_FUZZ", "0"))
JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
CLIP_BYTES_MAX = 32 * 1024**2
"""More than any of these files decodes to."""

Edit = tuple[float, str, bytes]
edits: st.SearchStrategy[list[Edit]] = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(["overwrite", "insert", "delete", "cut", "repeat"]),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from([b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80"]),
        ),
    ),
    max_size=6,
)


def damaged(content: bytes, where: list[Edit]) -> bytes:
    """`content` after some edits, each at a relative position."""
    for share, kind, piece in where:
        place = round(share * len(content))
        before, after = content[:place], content[place:]
        content = {
            "overwrite": before + piece + after[len(piece) :],
            "insert": before + piece + after,
            "delete": before + after[len(piece) :],
            "cut": before,
            "repeat": before + before[-64:] + after,
        }[kind]
    return content


def tries(count: int) -> Callable[[Any], Any]:
    """So many examples of a property; with FUZZ_S, ever new ones until that time is over."""
    bounded = settings(
        max_examples=count,
        deadline=None,
        derandomize=not FUZZ_S,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: Any) -> Any:
        tried = bounded(test)

        @wraps(tried)
        def again(**fixtures: Any) -> None:
            until_s = time.monotonic() + FUZZ_S
            tried(**fixtures)
            while time.monotonic() < until_s:
                tried(**fixtures)

        return again

    return decorate


def corpus(kind: str) -> dict[str, bytes]:
    """The corpus of one reader, by name."""
    paths = sorted((Path(__file__).with_name("corpus") / kind).iterdir())
    return {path.name: path.read_bytes() for path in paths}


def first(each: str, inputs: Iterable[object], **others: object) -> Callable[[Any], Any]:
    """Tries these inputs, undamaged, before any other; `others` are the property's further arguments."""

    def decorate(test: Any) -> Any:
        for content in inputs:
            test = example(**{each: content, "where": []}, **others)(test)
        return test

    return decorate


MESSAGES = [
    msgpack.packb(msgspec.to_builtins(message))
    for message in (
        Hello(VERSION, "fuzz"),
        Submit(JOB, File("a.wav", 10), DeliverFile(), make(cutoff=4000)),
        Chunk(JOB, 0, True, "0" * 64),
        Fetch(JOB, "full", 0, 1),
    )
]


FRAMES = corpus("frames")
buffers = st.one_of(st.none(), st.binary(max_size=64))


@tries(300)
@first("header", FRAMES.values(), buffer=None)
@given(
    header=st.sampled_from([*MESSAGES, *FRAMES.values()]),
    where=edits,
    buffer=st.one_of(st.none(), st.binary(max_size=64)),
)
def test_frames(header: bytes, where: list[Edit], buffer: bytes | None) -> None:
    frames = [damaged(header, where)] + ([] if buffer is None else [buffer])
    with suppress(AirbandError):
        decode(frames, "client")


PRESETS = [path_of(name).read_bytes() for name in ("music", "speech", "archive")]
PRESETS.append(b'[[effects.before]]\nname = "gain"\ngain_db = 3\n[delivery]\nloudness = "-16"\n')
TABLES = corpus("presets")


@tries(120)
@first("text", TABLES.values())
@given(text=st.sampled_from([*PRESETS, *TABLES.values()]), where=edits)
def test_presets(text: bytes, where: list[Edit]) -> None:
    with suppress(AirbandError):
        assert isinstance(from_toml(damaged(text, where), "fuzz"), Preset)


MANIFESTS = {
    "list.csv": b"path,seed,cutoff\na.wav,1,4000\nb.wav,2,auto\n",
    "list.jsonl": b'{"path": "a.wav", "seed": 1}\n{"path": "b.wav", "cutoff": "auto"}\n',
    "list.yaml": b"- path: a.wav\n  seed: 1\n- {path: b.wav, cutoff: auto}\n",
} | corpus("manifests")


@tries(60)
@first("name", corpus("manifests"))
@given(name=st.sampled_from(sorted(MANIFESTS)), where=edits)
def test_manifests(tmp_path_factory: pytest.TempPathFactory, name: str, where: list[Edit]) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(damaged(MANIFESTS[name], where))
    with suppress(AirbandError):
        rows.read(path, Preset(), "music", {})


def audio_files() -> dict[str, bytes]:
    """One small file of each kind."""
    noise = 0.1 * np.random.default_rng(3).standard_normal((400, 2))
    kinds = {
        "a.wav": ("WAV", "PCM_16"),
        "b.wav": ("WAVEX", "FLOAT"),
        "c.aiff": ("AIFF", "PCM_24"),
        "d.flac": ("FLAC", "PCM_16"),
        "e.wav": ("RF64", "PCM_16"),
    }
    files = {}
    for name, (kind, subtype) in kinds.items():
        memory = BytesIO()
        soundfile.write(memory, noise, 44100, format=kind, subtype=subtype)
        files[name] = memory.getvalue()
    return files


AUDIO = audio_files() | corpus("audio")


@pytest.fixture(scope="module")
def without_ffmpeg() -> Any:
    """Leaves only our own readers and libsndfile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        yield


@tries(60)
@first("name", corpus("audio"), accept_truncated=True)
@first("name", corpus("audio"), accept_truncated=False)
@given(name=st.sampled_from(sorted(AUDIO)), where=edits, accept_truncated=st.booleans())
def test_audio_files(
    tmp_path_factory: pytest.TempPathFactory,
    without_ffmpeg: None,
    name: str,
    where: list[Edit],
    accept_truncated: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(damaged(AUDIO[name], where))
    with suppress(AirbandError), open_clip(path, accept_truncated=accept_truncated) as clip:
        assert 4 * clip.channels * clip.frames < CLIP_BYTES_MAX
        samples = clip.read(0, clip.frames)
        assert samples.shape == (clip.channels, clip.frames)
        assert np.isfinite(samples).all()
    with suppress(AirbandError):
        metadata.read(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model file."""
    import torch

    from engine.models.trained_file import write_model

    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    state = {"layer.weight": torch.zeros(4, 4), "layer.bias": torch.ones(4)}
    write_model(path, "fuzz", {"width": 4}, state, hours=1.0)
    return path


WEIGHTS = corpus("weights")


@tries(50)
@first("kept", WEIGHTS.values())
@given(kept=st.sampled_from([None, *WEIGHTS.values()]), where=edits)
def test_weights(weights: Path, kept: bytes | None, where: list[Edit]) -> None:
    path = weights.with_name("damaged.safetensors")
    path.write_bytes(damaged(weights.read_bytes() if kept is None else kept, where))
    with suppress(AirbandError):
        read_model(path, "fuzz")
