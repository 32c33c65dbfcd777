from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path

import pytest

from bridge.batch.plan import plan
from presets.errors import UsageError
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
    items, refused = plan(inputs, out, preset, recursive=recursive)
    assert not refused
    return {str(item.source): str(item.out) for item in items}


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

    def test_a_template_tells_sources_of_one_name_apart(self) -> None:
        found = pairs(["a/kick.wav", "b/kick.wav", "a/live/kick.mp3"], "x/{parent}/{stem}{suffix}{ext}")
        assert found["b/kick.wav"] == "x/b/kick.wav.wav"
        assert found["a/live/kick.mp3"] == "x/live/kick.mp3.wav"

    def test_braces_of_a_folder_that_is_there_are_its_own(self, album: Path) -> None:
        (album / "Mix {stem}").mkdir()
        assert pairs(["a/kick.wav"], "Mix {stem}") == {"a/kick.wav": "Mix {stem}/kick.wav"}
        assert pairs(["a/kick.wav"], "Mix {stem}/{stem}{ext}") == {"a/kick.wav": "Mix {stem}/kick.wav"}
        assert pairs(["a/kick.wav"], "{{new}}/") == {"a/kick.wav": "{new}/kick.wav"}
        assert pairs(["a/kick.wav"], "{{new}}.wav") == {"a/kick.wav": "{new}.wav"}

    def test_folders_with_brackets_in_their_names_are_taken_literally(self, album: Path) -> None:
        for name in ("Stems [v2]/a[1].wav", "Stems [v2]/deep [x]/b.wav", "Stems v/no.wav"):
            (album / name).parent.mkdir(parents=True, exist_ok=True)
            (album / name).write_bytes(b"")
        assert set(pairs(["Stems [v2]/*.wav"], "out")) == {"Stems [v2]/a[1].wav"}
        assert set(pairs(["Stems [v2]/a[1].wav"], "out")) == {"Stems [v2]/a[1].wav"}
        assert set(pairs(["Stems [v2]/deep [x]/?.wav"], "out")) == {"Stems [v2]/deep [x]/b.wav"}
        assert set(pairs(["*/deep [x]/?.wav"], "out")) == {"Stems [v2]/deep [x]/b.wav"}
        assert set(pairs([f"{album}/Stems [v2]/[ab]*.wav"], "out")) == {f"{album}/Stems [v2]/a[1].wav"}

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


@pytest.mark.parametrize("ignores_case", [True, False])
def test_names_that_differ_by_case_are_one_where_the_disk_says_so(
    album: Path, monkeypatch: pytest.MonkeyPatch, ignores_case: bool
) -> None:
    (album / "b" / "KICK.WAV").touch()
    if ignores_case:
        exists = os.path.lexists
        monkeypatch.setattr(
            "os.path.lexists",
            lambda path: exists(path) or exists(Path(path).parent / Path(path).name.swapcase()),
        )
    items, refused = plan(["a/kick.wav", "b/KICK.WAV", "a/snare.FLAC"], "out", PLAIN)
    apart = [] if ignores_case else ["kick.wav", "KICK.WAV"]
    assert [item.source.name for item in items] == [*apart, "snare.FLAC"]
    assert len(refused) == 2 - len(apart)


@pytest.mark.usefixtures("album")
class TestRefusals:
    @pytest.mark.parametrize(
        ("inputs", "out", "message"),
        [
            (["a"], "one.wav", "2 inputs for the one file one.wav"),
            (["a/kick.wav"], "out/{name}.wav", r"unknown field \{name\}; there are \{stem\}, "),
            (["a/kick.wav"], "out/{stem.__class__}.wav", "unknown field"),
            (["a/kick.wav"], "out/{}.wav", "unknown field"),
            (["a/kick.wav"], "out/{stem.wav", "'}'"),
            (["a/kick.wav"], "", "an empty name"),
            (["a/kick.wav", ""], "out", "an empty name"),
            (["-"], "out", "'-': audio cannot go through a pipe"),
            (["a/kick.wav"], "-", r"name a file \(./- for one called -\)"),
        ],
    )
    def test_what_cannot_be_is_refused_up_front(self, inputs: list[str], out: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            plan(inputs, out, PLAIN)

    @pytest.mark.parametrize(
        ("inputs", "out", "kept", "messages"),
        [
            (
                ["a/kick.wav", "b/kick.wav", "a/snare.FLAC"],
                "out",
                {"a/snare.FLAC"},
                [
                    "a/kick.wav and b/kick.wav would both become out/kick.wav",
                    "b/kick.wav and a/kick.wav would both become out/kick.wav",
                ],
            ),
            (["a/kick.wav"], "out.mp3", set(), ["results end in .wav"]),
            (["a/kick.wav"], "{stem}.txt", set(), ["results end in .wav"]),
            (["a/kick.wav", "missing.wav"], "out", {"a/kick.wav"}, ["missing.wav: no such file or folder"]),
            (["a/*.ogg", "a/kick.wav"], "out", {"a/kick.wav"}, [r"a/\*.ogg: nothing matches"]),
            (["empty", "b"], "out", {"b/kick.wav"}, ["empty: holds no audio files .*--recursive"]),
        ],
    )
    def test_what_is_wrong_with_one_input_leaves_the_others(
        self, album: Path, inputs: list[str], out: str, kept: set[str], messages: list[str]
    ) -> None:
        (album / "empty").mkdir()
        items, refused = plan(inputs, out, PLAIN)
        assert {str(item.source) for item in items} == kept
        assert len(refused) == len(messages)
        for (_, error), message in zip(refused, messages, strict=True):
            assert re.match(f".*{message}", error.message), error.message

    def test_a_format_that_cannot_hold_the_bits_is_refused_for_that_file(self) -> None:
        items, refused = plan(["a"], "out", make(bit_depth=32))
        assert [str(item.source) for item in items] == ["a/kick.wav"]
        assert "flac holds 16 or 24 bits" in refused[0].error.message

    def test_what_is_no_file_is_refused_unopened(self, album: Path) -> None:
        os.mkfifo(album / "b" / "pipe.wav")
        (album / "b" / "gone.wav").symlink_to("nowhere")
        (album / "b" / "loop.wav").symlink_to("loop.wav")
        (album / "b" / "zero.wav").symlink_to("/dev/zero")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("b/socket.wav")
            items, refused = plan(["b"], "out", PLAIN)
        assert [str(item.source) for item in items] == ["b/kick.wav"]
        assert [error.message for _, error in refused] == [
            "b/gone.wav: is a broken link",
            "b/loop.wav: Too many levels of symbolic links",
            "b/pipe.wav: is a named pipe, not a file",
            "b/socket.wav: is a socket, not a file",
            "b/zero.wav: is a device, not a file",
        ]


@pytest.mark.usefixtures("album")
def test_a_folder_that_cannot_be_listed_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path) == "a":  # as for a folder of mode 0, except for root
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    items, refusals = plan(["a", "b"], "out", PLAIN)
    assert [str(item.source) for item in items] == ["b/kick.wav"]
    assert [refusal.error.message for refusal in refusals] == ["a: cannot be listed: Permission denied"]
