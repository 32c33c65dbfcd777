from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.models import command, registry
from engine.models.audiosr.checkpoint import write
from engine.models.audiosr.networks import Networks
from engine.models.audiosr.precision import fast_half
from presets.errors import ModelError, UsageError
from presets.schema import make
from render.noise import PhiloxNoise
from render.upscaler import CELL_FRAMES, Window


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, and a Hugging Face cache with nothing in it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("AIRBAND_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path: Path, small_networks: Networks) -> list[str]:
    """The arguments of `models convert` for the small networks: their file and its configuration."""
    state = {small_networks.to_official(n): t for n, t in small_networks.state_dict().items()}
    save_file(state, tmp_path / "official.safetensors")
    sizes = small_networks.configuration
    (tmp_path / "config.json").write_text(
        json.dumps({"unet": sizes.unet, "vae": sizes.vae, "vocoder": sizes.vocoder})
    )
    return [str(tmp_path / "official.safetensors"), "--config", str(tmp_path / "config.json")]


def test_without_weights_the_list_says_how_to_get_them() -> None:
    listed = {model.name: model for model in registry.available()}
    assert list(listed) == ["null", "draft", "audiosr-basic", "audiosr-mini", "audiosr-speech"]
    for name in ("null", "draft", "audiosr-mini"):
        assert listed[name].ready
    for name in ("audiosr-basic", "audiosr-speech"):
        assert not listed[name].ready
        assert f"airband models fetch {name}" in listed[name].why
        with pytest.raises(ModelError, match=f"airband models fetch {name}"):
            registry.load_upscaler(name, "cpu")


def test_folders_that_cannot_be_looked_into_leave_the_models_that_ship(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another user's folders, as `sudo -u` leaves in the environment; here names that no folder can have."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/" + "x" * 300)
    monkeypatch.setenv("AIRBAND_MODELS", "/" + "x" * 300)
    ready = [model.name for model in registry.available() if model.ready]
    assert ready == ["null", "draft", "audiosr-mini"]


def test_an_unknown_model_is_a_usage_error_that_names_the_known() -> None:
    with pytest.raises(UsageError, match="null, draft, audiosr-basic, audiosr-mini, audiosr-speech"):
        registry.load_upscaler("audiosr-huge", "cpu")


@pytest.mark.parametrize("name", ["null", "draft"])
def test_models_without_a_checkpoint_load(name: str) -> None:
    listed = {model.name: model for model in registry.available()}[name]
    model = registry.load_upscaler(name, "cpu")
    assert (model.name, model.digest) == (name, listed.digest)


def test_the_small_audiosr_that_ships_renders_until_the_user_has_another(
    folder: Path, small_networks: Networks
) -> None:
    listed = {model.name: model for model in registry.available()}["audiosr-mini"]
    assert listed.digest
    assert listed.hours
    assert listed.nbytes < 30_000_000
    model = registry.load_upscaler("audiosr-mini", "cpu")
    assert (model.name, model.digest) == ("audiosr-mini", listed.digest)
    x = np.random.default_rng(0).standard_normal((1, 8 * CELL_FRAMES)).astype(np.float32) * 0.1
    (y,) = model.upscale([Window(x, 0, 4000.0, 0)], PhiloxNoise(0), make(steps=2), lambda _: None)
    assert y.shape == x.shape
    assert np.all(np.isfinite(y))
    folder.mkdir()
    target = folder / "audiosr-mini.safetensors"
    write(small_networks.state_dict(), target, small_networks.configuration, "own")
    own = {model.name: model for model in registry.available()}["audiosr-mini"]
    assert own.where == str(target)
    assert registry.load_upscaler("audiosr-mini", "cpu").digest == own.digest != listed.digest


def test_a_converted_model_is_listed_and_renders(
    folder: Path, source: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["convert", *source, "--name", "audiosr-small"]) == 0
    told = capsys.readouterr().out
    listed = {model.name: model for model in registry.available()}["audiosr-small"]
    assert listed.ready
    assert listed.where == str(folder / "audiosr-small.safetensors")
    assert listed.digest in told
    assert "0 unexpected" in told
    model = registry.load_upscaler("audiosr-small", "cpu")
    assert (model.name, model.digest) == ("audiosr-small", listed.digest)
    x = np.random.default_rng(0).standard_normal((1, CELL_FRAMES)).astype(np.float32) * 0.1
    (y,) = model.upscale([Window(x, 0, 4000.0, 0)], PhiloxNoise(0), make(steps=1), lambda _: None)
    assert y.shape == x.shape
    assert np.all(np.isfinite(y))


def test_a_checkpoint_in_the_hubs_cache_is_converted_on_first_use(
    folder: Path, source: list[str], monkeypatch: pytest.MonkeyPatch, small_networks: Networks
) -> None:
    from engine.models.audiosr import networks

    cached = Path(source[0])
    monkeypatch.setattr(registry, "cached_checkpoint", lambda name: cached)
    monkeypatch.setattr(networks, "Configuration", lambda: small_networks.configuration)
    listed = {model.name: model for model in registry.available()}["audiosr-speech"]
    assert listed.ready
    assert listed.where == str(cached)
    model = registry.load_upscaler("audiosr-speech", "cpu")
    assert (folder / "audiosr-speech.safetensors").is_file()
    assert {model.name: model for model in registry.available()}["audiosr-speech"].digest == model.digest


@pytest.mark.parametrize(
    "name", ["audiosr-basic (1)", "audiosr-basic_v2", "audiosr-\N{SNOWMAN}", "audiosr-" + "a" * 99]
)
def test_a_file_whose_name_no_message_can_hold_is_left_out(folder: Path, name: str) -> None:
    folder.mkdir()
    (folder / f"{name}.safetensors").write_bytes(b"whatever")
    listed = [model.name for model in registry.available()]
    assert name not in listed
    assert "audiosr-basic" in listed


def test_a_damaged_file_is_listed_with_what_is_wrong(folder: Path) -> None:
    folder.mkdir()
    (folder / "audiosr-basic.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    listed = {model.name: model for model in registry.available()}["audiosr-basic"]
    assert not listed.ready
    assert "truncated" in listed.why
    with pytest.raises(ModelError, match="truncated"):
        registry.load_upscaler("audiosr-basic", "cpu")


@pytest.mark.parametrize(
    "header", [{}, {"digest": "d", "configuration": "[1"}, {"digest": "d", "hours": "soon"}], ids=str
)
def test_a_header_that_is_damaged_hides_one_model_alone(folder: Path, header: dict[str, str]) -> None:
    folder.mkdir()
    path = folder / "audiosr-own.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"format": "airband-audiosr-1", **header})
    listed = {model.name: model for model in registry.available()}
    assert listed["draft"].ready
    assert "its header is damaged" in listed["audiosr-own"].why


def test_list_prints_a_line_each_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    assert "audiosr-basic    not ready" in capsys.readouterr().out
    assert command.main(["list", "--json"]) == 0
    assert [model["name"] for model in json.loads(capsys.readouterr().out)][:2] == ["null", "draft"]


@pytest.mark.parametrize("name", ["draft", "../escape", "Audiosr-X"])
def test_convert_refuses_names_that_are_not_audiosrs(source: list[str], name: str) -> None:
    with pytest.raises(UsageError, match="audiosr-"):
        command.main(["convert", *source, "--name", name])


@pytest.mark.parametrize(
    "content",
    [None, b"no JSON", b"[]", b"{}", b"\xff" * 5000],
    ids=["absent", "text", "list", "map", "bytes"],
)
def test_a_configuration_that_is_none_is_named(
    source: list[str], tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "own.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"own\.json: (cannot be read|no official configuration)") as caught:
        command.main(["convert", source[0], "--config", str(path)])
    assert len(caught.value.message) < len(str(path)) + 300


def test_fetch_refuses_what_is_not_published() -> None:
    with pytest.raises(UsageError, match="audiosr-basic, audiosr-speech"):
        command.main(["fetch", "audiosr-mini"])


def test_a_cpu_computes_in_bfloat16_where_it_is_fast() -> None:
    fast = torch.cpu._is_avx512_bf16_supported()
    assert fast_half("cpu") == (torch.bfloat16 if fast else None)
