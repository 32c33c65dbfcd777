from __future__ import annotations

from pathlib import Path

import pytest

from bridge.batch.plan import plan
from presets.errors import InputError, UsageError
from presets.schema import Preset, make

PLAIN = Preset()


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/kick.wav",
        "a/snare.FLAC",
        "a/notes.txt",
        "a/.hidden.wav",
        "a/live/kick.mp3",
        "b/kick.wav",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def pairs(inputs: list[str], out: str, preset: Preset = PLAIN, *, recursive: bool = False) -> dict[str, str]:
    return {str(item.source): str(item.out) for item in plan(inputs, out, preset, recursive=recursive)}


@pytest.mark.usefixtures("album")
class TestDestinations:
    def test_one_file_to_one_file(self) -> None:
        assert pairs(["a/kick.wav"], "hi.flac") == {"a/kick.wav": "hi.flac"}

    @pytest.mark.parametrize("out", ["out", "out/", "out.v2", "b"])
    def test_anything_without_an_audio_suffix_is_a_folder(self, out: str) -> None:
        assert pairs(["a/kick.wav"], out) == {"a/kick.wav": f"{out.rstrip('/')}/kick.wav"}

    def test_a_folder_gives_its_audio_and_nothing_else(self) -> None:
        assert pairs(["a"], "out") == {"a/kick.wav": "out/kick.wav", "a/snare.FLAC": "out/snare.flac"}

    def test_recursive_keeps_the_tree(self) -> None:
        found = pairs(["a"], "out", recursive=True)
        assert found["a/live/kick.mp3"] == "out/live/kick.wav"
        assert len(found) == 3

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("a/*", {"a/kick.wav", "a/snare.FLAC"}),
            ("**/*.mp3", {"a/live/kick.mp3"}),
            ("?/[r-t]*", {"a/snare.FLAC"}),
        ],
    )
    def test_globs_find_audio(self, pattern: str, names: set[str]) -> None:
        assert set(pairs([pattern], "out")) == names

    def test_a_template_names_stem_and_ext(self) -> None:
        preset = make(format="flac")
        assert pairs(["a/kick.wav"], "x/{stem}-48k{ext}", preset) == {"a/kick.wav": "x/kick-48k.flac"}

    def test_a_source_given_twice_is_rendered_once(self) -> None:
        assert len(pairs(["a/kick.wav", "a", "./a/kick.wav", "a/*.wav"], "out")) == 2

    def test_results_are_not_taken_for_sources(self, album: Path) -> None:
        (album / "a" / "kick-hi.wav").write_bytes(b"")
        (album / "a" / "kick-hi.wav.airband.json").write_text("{}")
        (album / "a" / "out").mkdir()
        (album / "a" / "out" / "kick.wav").write_bytes(b"")
        assert set(pairs(["a"], "a/out", recursive=True)) == {"a/kick.wav", "a/snare.FLAC", "a/live/kick.mp3"}
        assert set(pairs(["a/kick*.wav"], "{stem}-hi{ext}")) == {"a/kick.wav"}
        assert set(pairs(["a/kick-hi.wav"], "again")) == {"a/kick-hi.wav"}


@pytest.mark.usefixtures("album")
class TestRefusals:
    @pytest.mark.parametrize(
        ("inputs", "out", "message"),
        [
            (
                ["a/kick.wav", "b/kick.wav"],
                "out",
                r"a/kick.wav and b/kick.wav would both become out/kick.wav",
            ),
            (["a"], "one.wav", "2 inputs for the one file one.wav"),
            (["a/kick.wav"], "out/{name}.wav", r"unknown field \{name\}; there are \{stem\} and \{ext\}"),
            (["a/kick.wav"], "out/{stem.__class__}.wav", "unknown field"),
            (["a/kick.wav"], "out/{}.wav", "unknown field"),
            (["a/kick.wav"], "out/{stem.wav", "'}'"),
            (["a/kick.wav"], "out.mp3", "results end in .wav"),
            (["a/kick.wav"], "{stem}.txt", "results end in .wav"),
        ],
    )
    def test_what_cannot_be_is_refused_up_front(self, inputs: list[str], out: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            plan(inputs, out, PLAIN)

    def test_a_format_that_cannot_hold_the_bits_is_refused_up_front(self) -> None:
        with pytest.raises(UsageError, match="flac holds 16 or 24 bits"):
            plan(["a"], "out", make(bit_depth=32))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("missing.wav", "no such file or folder"),
            ("a/*.ogg", "nothing matches"),
            ("empty", "holds no audio files .*--recursive"),
        ],
    )
    def test_an_input_that_is_not_there_is_named(self, album: Path, text: str, message: str) -> None:
        (album / "empty").mkdir()
        with pytest.raises(InputError, match=message) as caught:
            plan([text], "out", PLAIN)
        assert caught.value.message.startswith(text)
