from __future__ import annotations

import os
from pathlib import Path

import pytest

import presets
from presets.errors import PresetError
from presets.schema import Preset

SHIPPED = ("archive", "effects", "generated", "music", "preview", "speech", "stems")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRBAND_CONFIG", str(tmp_path))
    folder = tmp_path / "presets"
    folder.mkdir()
    return folder


def test_the_presets_ship() -> None:
    assert presets.names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_loads_and_says_what_it_is_for(name: str) -> None:
    assert len(presets.load(name).description) > 40


def test_shipped_presets_differ_from_one_another() -> None:
    plain = [{**vars_of(presets.load(name)), "description": ""} for name in SHIPPED]
    assert all(a != b for i, a in enumerate(plain) for b in plain[:i])


def vars_of(preset: Preset) -> dict[str, object]:
    return {name: getattr(preset, name) for name in Preset.__struct_fields__}


def test_music_is_the_plain_render() -> None:
    assert {**vars_of(presets.load("music")), "description": ""} == vars_of(Preset())


def test_a_users_preset_overrides_and_adds(config: Path) -> None:
    (config / "music.toml").write_text("seed = 7\n")
    (config / "my-tape.toml").write_text("cutoff = 9000\n[delivery]\nclip = true\n")
    assert presets.load("music").seed == 7
    assert presets.load("my-tape").cutoff == 9000
    assert presets.load("my-tape").delivery.clip
    assert presets.names() == tuple(sorted((*SHIPPED, "my-tape")))
    assert presets.path_of("music") == config / "music.toml"


def test_a_preset_is_also_given_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "Album 3.toml"
    file.write_text("seed = 3")
    assert presets.load(str(file)).seed == 3


def test_a_configuration_that_cannot_be_looked_into_leaves_the_presets_that_ship(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another user's folder, as `sudo -u` leaves in the environment; here a name that no folder can have."""
    monkeypatch.setenv("AIRBAND_CONFIG", "/" + "x" * 300)
    assert presets.names() == tuple(sorted(SHIPPED))
    assert presets.load("music").seed == 0
    with pytest.raises(PresetError, match="the presets are"):
        presets.load("tape")
    with pytest.raises(PresetError, match=r"\.toml: cannot be read: File name too long"):
        presets.load(f"{'x' * 300}.toml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_pipe_is_no_preset_file_and_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.toml")
    with pytest.raises(PresetError, match=r"mine\.toml: is not a file"):
        presets.load(str(tmp_path / "mine.toml"))


def test_an_unknown_preset_is_told_with_those_there_are(config: Path) -> None:
    with pytest.raises(PresetError, match=r"unknown preset 'musik'.*archive.*speech"):
        presets.load("musik")


@pytest.mark.parametrize(
    "name", ["../music", "", "/etc/passwd", "Music", "a" * 65, "music\n", "missing.toml"]
)
def test_a_name_never_reaches_beyond_the_folders(name: str) -> None:
    with pytest.raises(PresetError):
        presets.load(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"seed = ", "not valid TOML"),
        (b"seed = 1\nseed = 2", "not valid TOML"),
        (b"\xff\xfe\x00", "not valid TOML"),
        (b"sede = 1", "unknown key 'sede'"),
        (b"steps = 0", "steps = 0.*1 to 1000"),
        (b"steps = '50'", "steps = '50'"),
        (b"start = inf", "start = inf"),
        (b"cutoff = nan", "cutoff = nan.*1000 to 23000 Hz"),
        (b"[delivery]\nloudness = 3", "delivery.loudness = 3; allowed: as-is, match-input, -70 to 0 LUFS"),
        (b"[effects]\nmiddle = []", "unknown key 'middle'; the keys are before, after"),
        (b"[[effects.after]]\nnmae = 'Gain'", "effects.after: unknown key 'nmae'; the keys are name, path"),
        (b"[delivery]\nlufs = -23", "unknown key 'lufs'; the keys are loudness, true_peak_dbtp, clip"),
        (b"#" * 70_000, "at most 64 KiB"),
    ],
)
def test_a_bad_file_is_one_clear_error_naming_file_and_key(config: Path, text: bytes, message: str) -> None:
    file = config / "bad.toml"
    file.write_bytes(text)
    with pytest.raises(PresetError, match=f"(?s){file}.*{message}"):
        presets.load("bad")


def test_a_folder_in_place_of_a_file_is_not_a_preset(config: Path) -> None:
    (config / "odd.toml").mkdir()
    with pytest.raises(PresetError, match="unknown preset"):
        presets.load("odd")


def test_a_byte_order_mark_is_no_part_of_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "notepad.toml"
    path.write_text("seed = 7\r\n", encoding="utf-8-sig")
    assert presets.load(str(path)).seed == 7
